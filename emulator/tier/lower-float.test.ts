import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boundaryOperands, testSeed } from '../bits/float-operands.ts';
import { FloatFlag, Format, signBit, type FloatResult } from '../bits/float-format.ts';
import { Builder } from '../ir/builder.ts';
import { opKind } from '../ir/make-op.ts';
import type { Attributes } from '../ir/block.ts';
import { argumentType, OP_NAMES, opRow, resultType, type OpName } from '../ir/op.ts';
import { Random, randomBits } from '../ir/random.ts';
import { WIDTH, type RegisterFile, type Type } from '../ir/type.ts';
import type { Isa } from '../isa/instruction.ts';
import { GUEST, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { REGISTERS, StateOffset } from '../layout/state.ts';
import { compileBlock, instantiateBlock } from './block.ts';
import { exactFloat } from './host-imports.ts';

const GUEST_SIZE = 65536;
const X: RegisterFile = { name: 'x', offset: REGISTERS, stride: 8, count: 8, type: 'i64' };
const isa = { name: 'riscv64', files: [X], helpers: {} } as unknown as Isa;
const memory = new WebAssembly.Memory({ initial: (GUEST + GUEST_SIZE) / 65536 });
const state = new DataView(memory.buffer, STATE, STATE_SIZE);
const [RESULT, MODE] = [4, 5];
const DYNAMIC = -1;

interface Operation {
  readonly name: OpName;
  readonly type: Type;
  readonly attributes: Attributes;
  readonly rounds: boolean;
  readonly argumentTypes: readonly Type[];
}

/** Every floating-point op with each of its types. */
function* operations(): Generator<Operation> {
  for (const name of OP_NAMES) {
    const row = opRow(name);
    if (row.effect !== 'flags' && name !== 'fclass') continue;
    for (const type of row.types) {
      for (const from of row.from?.[type] ?? [undefined]) {
        for (const signed of row.attributes?.includes('signed') === true ? [false, true] : [undefined]) {
          const attributes: Attributes = {
            ...(from === undefined ? {} : { from }),
            ...(signed === undefined ? {} : { signed }),
          };
          const typings = row.args === 'variadic' ? [] : row.args;
          const rounds = typings.at(-1) === 'rm';
          const count = typings.length - (rounds ? 1 : 0);
          const op = { kind: opKind(name), type, ...attributes };
          yield {
            name,
            type,
            attributes,
            rounds,
            argumentTypes: Array.from({ length: count }, (_, index) => argumentType(op, index)!),
          };
        }
      }
    }
  }
}

class Subject {
  readonly #operation: Operation;
  readonly #mode: number;
  readonly #run: () => number;
  slowCalls = 0;

  constructor(operation: Operation, mode: number) {
    this.#operation = operation;
    this.#mode = mode;
    const b = new Builder('riscv64');
    b.beginInstruction(0x1000n, 4);
    const args = operation.argumentTypes.map((type, index) => b.get(X, index, type));
    if (operation.rounds) args.push(mode === DYNAMIC ? b.get(X, MODE, 'i32') : b.const('i32', mode));
    const value = b.emit(operation.name, operation.type, args, operation.attributes);
    b.set(X, RESULT, value, resultType(b.block.ops[value]!)!);
    const compiled = compileBlock(isa, b.block, { guestSize: GUEST_SIZE });
    const float = exactFloat(state, compiled.floatOps);
    const imports = {
      memory,
      helper: () => 0,
      float: (index: number) => {
        this.slowCalls++;
        float(index);
      },
      codeWritten: () => {},
    };
    this.#run = instantiateBlock(compiled, imports);
  }

  check(args: readonly bigint[], mode: number, flagsBefore: number): void {
    const { name, type, attributes, rounds } = this.#operation;
    const op = { kind: opKind(name), type, ...attributes };
    for (const [index, bits] of args.entries()) state.setBigUint64(X.offset + 8 * index, bits, true);
    state.setUint32(X.offset + 8 * MODE, mode, true);
    state.setBigUint64(X.offset + 8 * RESULT, 0n, true);
    state.setUint32(StateOffset.floatFlags, flagsBefore, true);
    this.#run();
    const row = opRow(name);
    const all = rounds ? [...args, BigInt(mode)] : args;
    const expected: FloatResult = row.evaluateFloat?.(all, op) ?? {
      bits: row.evaluate!(all, WIDTH[type], op),
      flags: 0,
    };
    const bits = state.getBigUint64(X.offset + 8 * RESULT, true);
    const flags = state.getUint32(StateOffset.floatFlags, true);
    const what = () =>
      `${name}.${type} ${JSON.stringify(attributes)} rm=${this.#mode === DYNAMIC ? `dynamic ${mode}` : mode} (${args.map((arg) => `0x${arg.toString(16)}`).join(', ')}), flags before ${flagsBefore}`;
    assert.equal(`0x${bits.toString(16)}`, `0x${expected.bits.toString(16)}`, `result of ${what()}`);
    assert.equal(flags, flagsBefore | expected.flags, `flags of ${what()}`);
  }
}

const VIEW = new DataView(new ArrayBuffer(8));

function asNumber(bits: bigint, type: Type): number {
  VIEW.setBigUint64(0, bits);
  return type === 'f32' ? VIEW.getFloat32(4) : VIEW.getFloat64(0);
}

function asBits(value: number, type: Type): bigint {
  if (type === 'f32') {
    VIEW.setFloat32(0, value);
    return BigInt(VIEW.getUint32(0));
  }
  VIEW.setFloat64(0, value);
  return VIEW.getBigUint64(0);
}

/** Operands of moderate size, whose sums cancel and whose products are sometimes exact: where the fast paths decide something. */
function related(random: Random, types: readonly Type[]): bigint[] {
  const moderate = () => {
    const digits = random.pick([2, 10, 24, 27, 53]);
    const value = Number(random.next() % 2n ** BigInt(digits)) * 2 ** (random.below(60) - 40);
    return random.chance(50) ? value : -value;
  };
  const values = types.map(moderate);
  const [a, b] = values;
  if (values.length === 3 && random.chance(60))
    values[2] = -(a! * b!) * (random.chance(50) ? 1 : 1 + 2 ** -(20 + random.below(33)));
  if (values.length === 2 && random.chance(40)) values[1] = -a! * (1 + 2 ** -random.below(54));
  if (values.length === 2 && random.chance(30)) values[0] = b! * moderate();
  return values.map((value, index) => {
    const type = types[index]!;
    return type === 'f32' || type === 'f64'
      ? asBits(value, type)
      : BigInt.asUintN(WIDTH[type], BigInt(Math.trunc(value)));
  });
}

const seed = testSeed();

test('floating-point ops give the exact result and flags in every rounding mode', (context) => {
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  for (const operation of operations()) {
    for (const mode of operation.rounds ? [DYNAMIC, 0, 1, 2, 3, 4] : [0]) {
      const subject = new Subject(operation, mode);
      for (let round = 0; round < 250; round++) {
        const args =
          round % 3 === 0
            ? operation.argumentTypes.map((type) => randomBits(random, type))
            : round % 3 === 1
              ? related(random, operation.argumentTypes)
              : operation.argumentTypes.map((type) => boundary(random, type));
        subject.check(
          args,
          mode === DYNAMIC ? random.pick([0, 0, 0, 1, 2, 3, 4]) : mode,
          random.pick([0, 0, FloatFlag.inexact, 31, 30]),
        );
      }
    }
  }
});

function boundary(random: Random, type: Type): bigint {
  if (type !== 'f32' && type !== 'f64') return randomBits(random, type);
  const format = Format[type];
  return random.pick(boundaryOperands(format)) ^ (random.chance(50) ? signBit(format) : 0n);
}

test('ordinary arithmetic stays on the fast path', () => {
  const random = new Random(1);
  const once = new Set<OpName>(['fma', 'fsqrt', 'fdiv']);
  for (const operation of operations()) {
    if (operation.name === 'fclass') continue;
    const subject = new Subject(operation, operation.rounds ? (operation.name === 'f_to_int' ? 1 : 0) : 0);
    const mode = operation.name === 'f_to_int' ? 1 : 0;
    for (let round = 0; round < 200; round++) {
      const args = operation.argumentTypes.map((type) =>
        type === 'f32' || type === 'f64' ? asBits(1 + random.below(1000) / 7, type) : BigInt(random.below(1_000_000)),
      );
      assert.ok(!Number.isNaN(asNumber(args[0]!, operation.argumentTypes[0]!)));
      subject.check(args, mode, once.has(operation.name) ? FloatFlag.inexact : 0);
    }
    assert.equal(subject.slowCalls, 0, `${operation.name}.${operation.type}`);
  }
});
