import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { SHAPES, type Shape, type Type, WIDTH } from './type.ts';
import type { Attributes } from './attributes.ts';
import type { Op } from './block.ts';
import { makeOp } from './make-op.ts';
import { argumentType, OP_NAMES, type OpName, opRow, resultType, wasmInstruction } from './op.ts';
import { EDGE_VALUES, Random, randomBits } from './random.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { opcode, type OpName as WasmName } from '../wasm/opcode.ts';
import { ValType } from '../wasm/type.ts';

/** Every way of using an op that has a WebAssembly instruction: its types, shapes, sources, lanes and signs. */
function variants(name: OpName): Op[] {
  const row = opRow(name);
  const has = (key: string) => row.attributes?.some((each) => each === key) === true;
  const shapes: readonly (Shape | undefined)[] = row.shapes ?? [undefined];
  const found: Op[] = [];
  for (const type of row.types) {
    for (const shape of shapes) {
      for (const from of has('from') ? (row.from?.[type] ?? []) : [undefined]) {
        const narrow = shape !== undefined && SHAPES[shape].laneWidth < 32;
        for (const signed of has('signed') ? (narrow ? [false, true] : [false]) : [undefined]) {
          const last = shape === undefined ? 0 : SHAPES[shape].lanes - 1;
          for (const lane of has('lane') ? [0, 1, last] : [undefined]) {
            found.push(
              makeOp({
                name,
                type,
                args: [],
                ...(shape && { shape }),
                ...(from && { from }),
                ...(signed !== undefined && { signed }),
                ...(lane !== undefined && { lane }),
                ...(has('lanes') && { lanes: [0, 16, 1, 17, 31, 15, 8, 8, 30, 2, 3, 4, 19, 20, 21, 7] }),
              }),
            );
          }
        }
      }
    }
  }
  return found;
}

const memory = new WebAssembly.Memory({ initial: 1 });
const view = new DataView(memory.buffer);
const RESULT = 256;

/** Runs one instruction on arguments laid out 16 bytes apart in memory, so that NaN payloads and vectors come through. */
function instructionRunner(
  name: WasmName,
  types: readonly Type[],
  result: Type,
  { lane, lanes }: Pick<Attributes, 'lane' | 'lanes'> = {},
): (args: readonly bigint[]) => bigint {
  const module = new ModuleBuilder({ check: true });
  module.importMemory('env', 'memory', { initial: 1 });
  const fn = module.function('run', [], []);
  fn.i32Const(RESULT);
  types.forEach((type, index) => {
    fn.i32Const(0);
    fn.load(`${type}.load`, { offset: 16 * index });
  });
  if (lane !== undefined) fn.laneOp(name, lane);
  else if (lanes !== undefined) fn.shuffle(Uint8Array.from(lanes));
  else fn.op(name);
  fn.store(`${result}.store`);
  module.exportFunction('run', fn);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { env: { memory } });
  const run = instance.exports['run'] as () => void;
  return (args) => {
    args.forEach((bits, index) => {
      view.setBigUint64(16 * index, BigInt.asUintN(64, bits), true);
      view.setBigUint64(16 * index + 8, bits >> 64n, true);
    });
    run();
    const low = view.getBigUint64(RESULT, true);
    return BigInt.asUintN(WIDTH[result], low | (view.getBigUint64(RESULT + 8, true) << 64n));
  };
}

/** WebAssembly leaves the bits of a NaN result open; ours are the canonical ones. */
function canonicalNan(bits: bigint, type: Type): bigint {
  if (type !== 'f32' && type !== 'f64') return bits;
  const infinity = type === 'f32' ? 0x7f80_0000n : 0x7ff0_0000_0000_0000n;
  if ((bits & (infinity | (infinity - 1n))) <= infinity) return bits;
  return type === 'f32' ? 0x7fc0_0000n : 0x7ff8_0000_0000_0000n;
}

/** The types of an op's arguments. */
function argumentTypes(op: Op): Type[] {
  return (opRow(op.name).args as readonly unknown[]).map((_, index) => argumentType(op, index)!);
}

function show(op: Op, args: readonly bigint[]): string {
  return `${wasmInstruction(op)} of ${args.map((bits) => `0x${bits.toString(16)}`).join(', ')}`;
}

/** All combinations of edge values (for up to two arguments), then random ones. */
function* samples(types: readonly Type[], seed: number): Generator<bigint[]> {
  const [first = [], second = [0n]] = types.map((type) => EDGE_VALUES[type]);
  if (types.length <= 2) for (const a of first) for (const b of second) yield [a, b].slice(0, types.length);
  const random = new Random(seed);
  for (let i = 0; i < 300; i++) yield types.map((type) => randomBits(random, type));
}

const SEED = Number(process.env['DYNO_SEED'] ?? 20_261_121);

test('every op with a WebAssembly instruction means what the engine makes of it', (t) => {
  let compared = 0;
  for (const name of OP_NAMES.filter((each) => opRow(each).wasm !== undefined)) {
    const { evaluate } = opRow(name);
    assert.ok(evaluate !== undefined, `${name} has a pure meaning`);
    for (const op of variants(name)) {
      const types = argumentTypes(op);
      const instruction = wasmInstruction(op)!;
      assert.ok(Object.hasOwn(opcode, instruction), `${name}: there is an instruction ${instruction}`);
      const run = instructionRunner(instruction as WasmName, types, resultType(op)!, op);
      for (const args of samples(types, SEED)) {
        const expected = run(args);
        assert.equal(evaluate(args, op.type === 'none' ? 0 : WIDTH[op.type], op), expected, show(op, args));
        compared++;
      }
    }
  }
  t.diagnostic(`seed ${SEED}, ${compared} results compared`);
  assert.ok(compared > 50_000);
});

const i64Bits = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const int = (type: 'i32' | 'i64') =>
  fc.oneof(fc.constantFrom(...EDGE_VALUES[type]), type === 'i32' ? fc.nat(0xffff_ffff).map(BigInt) : i64Bits);
const meaning = (name: OpName, type: Type, ...args: bigint[]) => opRow(name).evaluate!(args, WIDTH[type], { type });

/** The 128-bit product from 32-bit digits in JavaScript numbers split so that nothing is rounded. */
function schoolbookProduct(a: bigint, b: bigint, width: number): bigint {
  const digits = (value: bigint) =>
    Array.from({ length: width / 16 }, (_, i) => Number((value >> BigInt(16 * i)) & 0xffffn));
  const x = digits(a);
  const y = digits(b);
  const sums: number[] = Array.from<number>({ length: x.length + y.length }).fill(0);
  x.forEach((p, i) => {
    let carry = 0;
    y.forEach((q, j) => {
      const sum = sums[i + j]! + p * q + carry;
      sums[i + j] = sum % 65536;
      carry = Math.floor(sum / 65536);
    });
    sums[i + y.length] = carry;
  });
  return BigInt(
    `0x${sums
      .reverse()
      .map((digit) => digit.toString(16).padStart(4, '0'))
      .join('')}`,
  );
}

test('the high half of a product is that of multiplication by digits', () => {
  for (const type of ['i32', 'i64'] as const) {
    const width = WIDTH[type];
    const modulus = 1n << BigInt(width);
    fc.assert(
      fc.property(int(type), int(type), (a, b) => {
        const high = schoolbookProduct(a, b, width) / modulus;
        assert.equal(meaning('mulh_u', type, a, b), high);
        // Two's complement (Hacker's Delight, "High-Order Product Signed from/to Unsigned"): a negative factor a' = a - 2^w takes one b off.
        const negative = (value: bigint) => value >= modulus / 2n;
        const less = (value: bigint, taken: bigint) => (value - taken + 2n * modulus) % modulus;
        const signedUnsigned = less(high, negative(a) ? b : 0n);
        assert.equal(meaning('mulh_su', type, a, b), signedUnsigned);
        assert.equal(meaning('mulh_s', type, a, b), less(signedUnsigned, negative(b) ? a : 0n));
      }),
    );
  }
});

test('division is the engine’s, with values in place of its traps', () => {
  for (const type of ['i32', 'i64'] as const) {
    const least = 1n << BigInt(WIDTH[type] - 1);
    const minusOne = 2n * least - 1n;
    const runners = ['div_s', 'div_u', 'rem_s', 'rem_u'] as const;
    const run = Object.fromEntries(
      runners.map((name) => [name, instructionRunner(`${type}.${name}`, [type, type], type)]),
    ) as Record<(typeof runners)[number], (args: readonly bigint[]) => bigint>;
    fc.assert(
      fc.property(int(type), int(type), (a, b) => {
        const overflows = a === least && b === minusOne;
        for (const name of runners) {
          const remainder = name.startsWith('rem');
          const expected = b === 0n ? (remainder ? a : 0n) : name === 'div_s' && overflows ? least : run[name]([a, b]);
          assert.equal(meaning(name, type, a, b), expected, `${name} ${a} ${b}`);
        }
      }),
      { numRuns: 500 },
    );
    assert.equal(meaning('div_s', type, least, minusOne), least);
    assert.equal(meaning('rem_s', type, least, minusOne), 0n);
  }
});

test('reversals are those of the bytes in memory and of the digits in text', () => {
  for (const type of ['i32', 'i64'] as const) {
    const width = WIDTH[type];
    fc.assert(
      fc.property(int(type), (a) => {
        view.setBigUint64(0, a << BigInt(64 - width), false);
        const bytes = BigInt.asUintN(width, view.getBigUint64(0, true));
        assert.equal(meaning('byte_reverse', type, a), bytes);
        const digits = [...a.toString(2).padStart(width, '0')].reverse().join('');
        assert.equal(meaning('bit_reverse', type, a), BigInt(`0b${digits}`));
        assert.equal(meaning('select', type, 1n, a, 5n), a);
        assert.equal(meaning('select', type, 0n, 5n, a), a);
      }),
    );
  }
});

test('nearest-even float arithmetic and conversions are the engine’s, but for NaN bits', () => {
  const random = new Random(SEED);
  const floatMeaning = (name: OpName, type: Type, args: readonly bigint[], from?: Type, signed?: boolean) => {
    const rm = opRow(name).args.includes('rm' as never) ? [0n] : [];
    return opRow(name).evaluateFloat!([...args, ...rm], {
      type,
      ...(from && { from }),
      ...(signed !== undefined && { signed }),
    }).bits;
  };
  const rows: readonly (readonly [OpName, Type, WasmName, Type?, boolean?])[] = [
    ...(['f32', 'f64'] as const).flatMap((type) => [
      ['fadd', type, `${type}.add`] as const,
      ['fsub', type, `${type}.sub`] as const,
      ['fmul', type, `${type}.mul`] as const,
      ['fdiv', type, `${type}.div`] as const,
      ['fsqrt', type, `${type}.sqrt`] as const,
      ['f_round', type, `${type}.nearest`] as const,
      ['feq', type, `${type}.eq`] as const,
      ['flt', type, `${type}.lt`] as const,
      ['fle', type, `${type}.le`] as const,
      ...(['i32', 'i64'] as const).flatMap((from) => [
        ['int_to_f', type, `${type}.convert_${from}_s`, from, true] as const,
        ['int_to_f', type, `${type}.convert_${from}_u`, from, false] as const,
      ]),
    ]),
    ['f_convert', 'f32', 'f32.demote_f64', 'f64'],
    ['f_convert', 'f64', 'f64.promote_f32', 'f32'],
  ];
  for (const [name, type, wasm, from, signed] of rows) {
    const signature = opcode[wasm].signature!;
    const typeOf = (code: number) => Object.entries(ValType).find(([, value]) => value === code)![0] as Type;
    const types = signature.params.map(typeOf);
    const result = typeOf(signature.results[0]!);
    const run = instructionRunner(wasm, types, result);
    for (const args of samples(types, Number(random.next() % 1000n))) {
      const expected = run(args);
      const actual = floatMeaning(name, type, args, from, signed);
      assert.equal(
        actual,
        canonicalNan(expected, result),
        `${wasm} of ${args.map((bits) => `0x${bits.toString(16)}`).join(', ')}`,
      );
    }
  }
});

test('vector float arithmetic is the engine’s, but for NaN bits', () => {
  for (const name of ['vf_add', 'vf_sub', 'vf_mul', 'vf_div', 'vf_sqrt'] as const) {
    for (const shape of ['f32x4', 'f64x2'] as const) {
      const op = makeOp({ name, type: 'v128', args: [], shape });
      const types = argumentTypes(op);
      const run = instructionRunner(`${shape}.${name.slice(3)}` as WasmName, types, 'v128');
      const { laneWidth, lanes, scalar } = SHAPES[shape];
      const canonical = (vector: bigint) =>
        Array.from({ length: lanes }, (_, lane) =>
          canonicalNan(BigInt.asUintN(laneWidth, vector >> BigInt(lane * laneWidth)), scalar),
        );
      for (const args of samples(types, SEED)) {
        const expected = canonical(run(args));
        const actual = opRow(name).evaluate!(args, 128, op);
        const split = expected.map((_, lane) => BigInt.asUintN(laneWidth, actual >> BigInt(lane * laneWidth)));
        assert.deepEqual(split, expected, `${name} ${shape} of ${args.map((bits) => bits.toString(16)).join(', ')}`);
      }
    }
  }
});

test('the table is consistent', () => {
  for (const name of OP_NAMES) {
    const row = opRow(name);
    assert.match(name, /^[a-z][a-z0-9_]*$/);
    assert.match(row.doc, /^\S.*\.$/s, `${name}: the documentation is a sentence`);
    const pure = row.effect === 'none' && !['field', 'pc', 'next_pc'].includes(name);
    assert.equal(row.evaluate !== undefined, pure, `${name}: pure ops, and only they, have a pure meaning`);
    assert.equal(
      row.evaluateFloat !== undefined,
      row.effect === 'flags',
      `${name}: flags come with a floating-point meaning`,
    );
    assert.equal(row.from !== undefined, row.attributes?.includes('from') === true, name);
    assert.equal(row.shapes !== undefined, row.attributes?.includes('shape') === true, name);
  }
});
