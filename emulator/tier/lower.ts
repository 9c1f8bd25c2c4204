import { assert } from '../check/assert.ts';
import type { Block, Op, Value } from '../ir/block.ts';
import { plainOp } from '../ir/make-op.ts';
import { OP_NAMES, type OpName, opRow, resultType, rowOf, wasmInstruction } from '../ir/op.ts';
import type { Type } from '../ir/type.ts';
import { STATE } from '../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../layout/state.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { ValType } from '../wasm/type.ts';
import { opcode, type OpName as WasmOp } from '../wasm/opcode.ts';
import type { Opcode } from '../wasm/opcode-row.ts';
import { FLOAT_LOWERING } from './lower-float.ts';
import { INTEGER_LOWERING } from './lower-integer.ts';
import { VECTOR_LOWERING } from './lower-vector.ts';
import { ATOMIC_LOWERING } from './lower-atomic.ts';
import type { MemoryPath } from './memory-path.ts';
import { filled } from '../pass/rewriter.ts';
import { placeValues, type Placement } from './placement.ts';
import type { Runtime } from './runtime.ts';
import type { Site } from './site.ts';

/** Writes the code of one op, its result (if any) left on the stack. */
export type OpLowering = (lowering: Lowering, op: Op) => void;

const NO_LOCAL = -1;

/**
 * Turns a block of IR into WebAssembly at a site. Values used once are computed where they are used, so that code comes out as trees;
 * the others, and results of ops that fault or have effects, are kept in locals that later values reuse.
 */
export class Lowering {
  readonly site: Site;
  readonly fn: FunctionBuilder;
  readonly memory: MemoryPath;
  readonly runtime: Runtime;
  readonly block: Block;
  readonly #placement: Placement;
  readonly #locals: number[];
  readonly #usesLeft: number[];

  constructor(block: Block, site: Site, memory: MemoryPath, runtime: Runtime) {
    this.block = block;
    this.site = site;
    this.fn = site.fn;
    this.memory = memory;
    this.runtime = runtime;
    const isFree = (get: Op) => site.localOf?.(get.slot!, get.type as Type) !== undefined;
    this.#placement = placeValues(block, site.forgone, site.localOf && isFree);
    this.#locals = filled(block.ops.length, NO_LOCAL);
    this.#usesLeft = this.#placement.uses.slice();
  }

  /** Lowers every op; the block leaves through its terminator or falls through. */
  run(): void {
    const { ops } = this.block;
    let terminated = false;
    for (let index = 0; index < ops.length; index++) {
      const op = ops[index]!;
      if (this.#placement.delayed[index] === 1) continue;
      this.#lowerOp(op);
      const type = resultType(op);
      if (type === undefined) {
        terminated = rowOf(op).terminator === true;
      } else if (this.#placement.uses[index] === 0) {
        this.fn.drop();
      } else {
        const local = this.fn.takeLocal(ValType[type]);
        this.#locals[index] = local;
        this.fn.localSet(local);
      }
    }
    if (!terminated) this.site.fallThrough();
  }

  /** Pushes a value. */
  push(value: Value): void {
    const op = this.block.ops[value]!;
    if (op.name === 'const') return this.#constant(op);
    if (this.#placement.delayed[value] === 1) {
      const register = op.name === 'get' ? this.site.localOf?.(op.slot!, op.type as Type) : undefined;
      if (register === undefined) this.#lowerOp(op);
      else this.fn.localGet(register);
      return;
    }
    const local = this.#locals[value]!;
    this.fn.localGet(local);
    this.#usesLeft[value]!--;
    if (this.#usesLeft[value] === 0) this.fn.freeLocal(local);
  }

  /** Runs `body` with a local that holds a value and must not be written: the value's own, or one to which it is moved. */
  inLocal(value: Value, type: Type, body: (local: number) => void): void {
    const op = this.block.ops[value]!;
    if (op.name === 'get') {
      const register = this.#placement.delayed[value] === 1 ? this.site.localOf?.(op.slot!, type) : undefined;
      if (register !== undefined) return body(register);
    }
    if (op.name !== 'const' && this.#placement.delayed[value] !== 1) {
      const local = this.#locals[value]!;
      body(local);
      this.#usesLeft[value]!--;
      if (this.#usesLeft[value] === 0) this.fn.freeLocal(local);
      return;
    }
    const own = this.fn.takeLocal(ValType[type]);
    this.push(value);
    this.fn.localSet(own);
    body(own);
    this.fn.freeLocal(own);
  }

  /** Pushes all arguments of an op in order. */
  pushArguments(op: Op): void {
    for (let index = 0; index < op.args.length; index++) this.push(op.args[index]!);
  }

  /** The value of a constant, else undefined. */
  constant(value: Value): bigint | undefined {
    const op = this.block.ops[value]!;
    return op.name === 'const' ? op.bits : undefined;
  }

  /** An address as a value to push and a constant to add to it; the constant is 0 when the sum is kept for others too. */
  splitAddress(value: Value): { readonly base: Value; readonly displacement: number } {
    const op = this.block.ops[value]!;
    if (op.name === 'add' && op.type === 'i64' && this.#placement.delayed[value] === 1) {
      const bits = this.constant(op.args[1]!);
      if (bits !== undefined) {
        const displacement = Number(BigInt.asIntN(64, bits));
        if (displacement >= -4096 && displacement < 4096) return { base: op.args[0]!, displacement };
      }
    }
    return { base: value, displacement: 0 };
  }

  /** Whether a value is a sum that is computed where it is pushed, for that one use. */
  isOwnSum(value: Value): boolean {
    return this.#placement.delayed[value] === 1 && this.block.ops[value]!.name === 'add';
  }

  /** Runs `body` with scratch locals of the given types. */
  scratch(types: readonly Type[], body: (...locals: number[]) => void): void {
    const { fn } = this;
    if (types.length === 1) {
      const local = fn.takeLocal(ValType[types[0]!]);
      body(local);
      fn.freeLocal(local);
      return;
    }
    const locals = types.map((type) => fn.takeLocal(ValType[type]));
    body(...locals);
    for (const local of locals) fn.freeLocal(local);
  }

  /** Moves the arguments of an op to scratch locals, runs `body`, frees them. */
  argumentsInLocals(op: Op, types: readonly Type[], body: (...locals: number[]) => void): void {
    this.scratch(types, (...locals) => {
      for (const [index, argument] of op.args.entries()) {
        this.push(argument);
        this.fn.localSet(locals[index]!);
      }
      body(...locals);
    });
  }

  #lowerOp(op: Op): void {
    const custom = LOWERING_OF[op.kind];
    if (custom !== undefined) return custom(this, op);
    this.pushArguments(op);
    const direct = DIRECT[op.kind]![op.type];
    if (direct !== undefined) return this.fn.plain(direct.name, direct.row);
    const name = wasmInstruction(op);
    assert(name !== undefined, `IR op ${op.name} has a lowering`);
    this.fn.op(name as WasmOp);
  }

  #constant(op: Op): void {
    const bits = op.bits ?? 0n;
    switch (op.type) {
      case 'i32':
        return this.fn.i32Const(Number(BigInt.asIntN(32, bits)));
      case 'i64':
        return this.fn.i64Const(bits);
      case 'f32':
        return this.fn.f32ConstBits(Number(bits));
      case 'f64':
        return this.fn.f64ConstBits(Number(BigInt.asUintN(32, bits)), Number(bits >> 32n));
      case 'v128':
        return this.fn.v128Const(
          Uint8Array.from({ length: 16 }, (_, lane) => Number((bits >> BigInt(8 * lane)) & 255n)),
        );
      case 'none':
        assert(false, 'a constant has a type');
    }
  }
}

/** Writes a trap's cause and value to the state; the value is pushed by `value`. */
function storeTrap(fn: FunctionBuilder, cause: number, value: () => void): void {
  fn.i32Const(0);
  fn.i32Const(cause);
  fn.store('i32.store', { offset: STATE + StateOffset.cause });
  fn.i32Const(0);
  value();
  fn.store('i64.store', { offset: STATE + StateOffset.value });
}

function lowerTrapIf(lowering: Lowering, op: Op): void {
  const { fn, site } = lowering;
  const [condition, value] = op.args;
  if (site.inline) {
    lowering.push(condition!);
    site.bailIf();
    // The value is only of use to the twin; pushing and dropping it keeps the books of its locals.
    lowering.push(value!);
    fn.drop();
    return;
  }
  lowering.scratch(['i64'], (local) => {
    lowering.push(value!);
    fn.localSet(local);
    lowering.push(condition!);
    const label = fn.if();
    storeTrap(fn, op.cause!, () => fn.localGet(local));
    site.leave(ExitReason.trap);
    fn.end(label);
  });
}

function lowerTrap(lowering: Lowering, op: Op): void {
  storeTrap(lowering.fn, op.cause!, () => lowering.push(op.args[0]!));
  lowering.site.leave(ExitReason.trap);
}

/** Arguments go through the state; the import's index names the helper. It returns 0 to go on, 1 when it trapped. */
function lowerCall(lowering: Lowering, op: Op): void {
  const { fn, site, runtime } = lowering;
  op.args.forEach((argument, index) => {
    fn.i32Const(0);
    lowering.push(argument);
    fn.store('i64.store', { offset: STATE + StateOffset.arguments + 8 * index });
  });
  site.beforeCall?.();
  fn.i32Const(runtime.helperIndex(op.helper!));
  fn.call(runtime.helper);
  site.afterCall?.();
  const trapped = fn.if();
  site.leave(ExitReason.trap);
  fn.end(trapped);
  if (op.type === 'none') return;
  fn.i32Const(0);
  fn.load('i64.load', { offset: STATE + StateOffset.arguments });
}

const CONTROL_LOWERING: Partial<Record<OpName, OpLowering>> = {
  insn: ({ site }, op) => site.beginInstruction(op.pc!, op.length!),
  field: ({ site }, op) => site.field(op.field!, op.type as 'i32' | 'i64', op.signed === true),
  pc: ({ site }) => site.pc(),
  next_pc: ({ site }) => site.nextPc(),
  get: ({ site }, op) => site.readRegister(op.slot!, op.type as Type),
  set: (lowering, op) => {
    if (lowering.site.moveRegister?.(op) === true) return;
    lowering.site.writeRegister(op.slot!, op.type as Type, () => lowering.push(op.args[0]!));
  },
  select: (lowering, op) => {
    const [condition, then, otherwise] = op.args;
    lowering.push(then!);
    lowering.push(otherwise!);
    lowering.push(condition!);
    lowering.fn.select();
  },
  load: (lowering, op) => lowering.memory.load(lowering, op),
  store: (lowering, op) => lowering.memory.store(lowering, op),
  fence: () => {},
  call: lowerCall,
  trap_if: lowerTrapIf,
  trap: lowerTrap,
  jump: (lowering, op) => {
    lowering.push(op.args[0]!);
    lowering.site.jump(op.hint ?? 'none');
  },
  jump_rel: ({ site }, op) => site.jumpRelative(op.displacement!, op.hint ?? 'none'),
  branch: (lowering, op) => {
    lowering.push(op.args[0]!);
    lowering.site.branch(op.displacement!);
  },
};

const LOWERING: Partial<Record<OpName, OpLowering>> = {
  ...CONTROL_LOWERING,
  ...INTEGER_LOWERING,
  ...ATOMIC_LOWERING,
  ...FLOAT_LOWERING,
  ...VECTOR_LOWERING,
};

const LOWERING_OF: readonly (OpLowering | undefined)[] = OP_NAMES.map((name) => LOWERING[name]);

/** By an op's kind and type, the instruction that does the same, where these say which: putting its name together takes as long as all else. */
const DIRECT: readonly Readonly<Partial<Record<Type | 'none', Direct>>>[] = OP_NAMES.map((name) => {
  const { types, wasm, attributes } = opRow(name);
  const direct: Partial<Record<Type | 'none', Direct>> = {};
  if (wasm === undefined || attributes !== undefined) return direct;
  for (const type of types) {
    const instruction = wasmInstruction(plainOp(name, type, [])) as WasmOp;
    direct[type] = { name: instruction, row: opcode[instruction] };
  }
  return direct;
});

interface Direct {
  readonly name: WasmOp;
  readonly row: Opcode;
}
