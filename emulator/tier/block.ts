import type { Block, JumpHint, Op } from '../ir/block.ts';
import type { Field, Slot, Type } from '../ir/type.ts';
import { assert, CHECK, CheckLevel } from '../check/assert.ts';
import type { Isa } from '../isa/instruction.ts';
import { STATE } from '../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../layout/state.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import { Lowering } from './lower.ts';
import { FlatMemoryPath } from './memory-path.ts';
import { loadRegister, storeRegister } from './register-access.ts';
import { Runtime, type RuntimeImports, type RuntimeOptions } from './runtime.ts';
import type { Site } from './site.ts';

/** A block as WebAssembly, ready to be instantiated on any memory of the size it was made for. */
export interface CompiledBlock {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly module: WebAssembly.Module;
  /** What the module may ask `env.float` for. */
  readonly floatOps: readonly Op[];
}

/**
 * Translates one block with known operands. The module exports `run() -> ExitReason`: `budget` (0) when control goes on at the pc it
 * wrote, else a trap or fault of the instruction at that pc. The count of instructions retired is left in the state.
 */
export function compileBlock(isa: Isa, block: Block, options: RuntimeOptions): CompiledBlock {
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full });
  const runtime = new Runtime(module, isa, options);
  const fn = module.function('run', [], [ValType.i32]);
  new Lowering(block, new BlockSite(fn), new FlatMemoryPath(options.guestSize), runtime).run();
  module.exportFunction('run', fn);
  const bytes = module.encode();
  return { bytes, module: new WebAssembly.Module(bytes), floatOps: runtime.floatOps };
}

/** The `run` of a compiled block over a memory. */
export function instantiateBlock(compiled: CompiledBlock, imports: RuntimeImports): () => ExitReason {
  const instance = new WebAssembly.Instance(compiled.module, { env: { ...imports } });
  return instance.exports['run'] as () => ExitReason;
}

/** Straight-line code with its operands known. */
class BlockSite implements Site {
  readonly fn: FunctionBuilder;
  readonly inline = false;
  readonly inexactAccrued = false;
  #pc = 0n;
  #length = 0;
  #begun = 0;

  constructor(fn: FunctionBuilder) {
    this.fn = fn;
  }

  beginInstruction(pc: bigint, length: number): void {
    this.#pc = pc;
    this.#length = length;
    this.#begun++;
  }

  bailIf(): void {
    assert(false, 'a block has no twin to bail to');
  }

  field(): void {
    assert(false, 'a translated block knows its operands');
  }

  readRegister({ file, index }: Slot, type: Type): void {
    assert(typeof index === 'number', 'a translated block knows its registers');
    this.fn.i32Const(0);
    loadRegister(this.fn, type, STATE + file.offset + file.stride * index);
  }

  writeRegister({ file, index }: Slot, type: Type, push: () => void): void {
    assert(typeof index === 'number', 'a translated block knows its registers');
    this.fn.i32Const(0);
    push();
    storeRegister(this.fn, type, STATE + file.offset + file.stride * index);
  }

  pc(): void {
    this.fn.i64Const(this.#pc);
  }

  nextPc(): void {
    this.fn.i64Const(BigInt.asUintN(64, this.#pc + BigInt(this.#length)));
  }

  leave(reason: ExitReason): void {
    this.#exit(() => this.pc(), this.#begun - 1, reason);
  }

  jump(_hint: JumpHint): void {
    const { fn } = this;
    const target = fn.takeLocal(ValType.i64);
    fn.localSet(target);
    this.#exit(() => fn.localGet(target), this.#begun, ExitReason.budget);
    fn.freeLocal(target);
  }

  jumpRelative(displacement: number | Field): void {
    this.#exit(() => this.#target(displacement), this.#begun, ExitReason.budget);
  }

  branch(displacement: number | Field): void {
    const taken = this.fn.if();
    this.jumpRelative(displacement);
    this.fn.end(taken);
    this.fallThrough();
  }

  fallThrough(): void {
    this.#exit(() => this.nextPc(), this.#begun, ExitReason.budget);
  }

  #target(displacement: number | Field): void {
    assert(typeof displacement === 'number', 'a translated block knows its targets');
    this.fn.i64Const(BigInt.asUintN(64, this.#pc + BigInt(displacement)));
  }

  #exit(pushPc: () => void, retired: number, reason: ExitReason): void {
    const { fn } = this;
    fn.i32Const(0);
    pushPc();
    fn.store('i64.store', { offset: STATE + StateOffset.pc });
    fn.i32Const(0);
    fn.i64Const(retired);
    fn.store('i64.store', { offset: STATE + StateOffset.retired });
    fn.i32Const(reason);
    fn.return();
  }
}
