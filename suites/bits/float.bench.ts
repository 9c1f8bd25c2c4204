import assert from 'node:assert/strict';
import * as float from '../../emulator/bits/float.ts';
import { bitsFromNumber, numberFromBits } from '../../emulator/bits/float-convert.ts';
import { Format, Rounding, type FloatResult } from '../../emulator/bits/float-format.ts';
import { fusedMultiplyAdd64 } from '../../emulator/bits/error-free.ts';
import { defineBench } from '../harness/define-bench.ts';
import { seededRandom } from '../harness/random.ts';

const COUNT = 256;
const format = Format.f64;
const environment = { rounding: Rounding.nearestEven };

interface Operands {
  readonly numbers: readonly (readonly [number, number, number])[];
  readonly bits: readonly (readonly [bigint, bigint, bigint])[];
}

/** Positive normal numbers of like size, as programs mostly have; results are rounded. */
function operands(): Operands {
  const random = seededRandom(11);
  const numbers = Array.from({ length: COUNT }, () => [1 + 9 * random(), 1 + 9 * random(), 1 + 9 * random()] as const);
  const bits = numbers.map(([a, b, c]) => [bitsFromNumber(a), bitsFromNumber(b), bitsFromNumber(c)] as const);
  return { numbers, bits };
}

type Exact = (a: bigint, b: bigint, c: bigint) => FloatResult;
type Host = (a: number, b: number, c: number) => number;

/** The reference meaning, and the same operation of the host to check it by. */
const OPERATIONS: Readonly<Record<string, readonly [Exact, Host]>> = {
  add: [(a, b) => float.add(format, a, b, environment), (a, b) => a + b],
  multiply: [(a, b) => float.mul(format, a, b, environment), (a, b) => a * b],
  divide: [(a, b) => float.div(format, a, b, environment), (a, b) => a / b],
  'square-root': [(a) => float.sqrt(format, a, environment), (a) => Math.sqrt(a)],
  'fused-multiply-add': [(a, b, c) => float.fusedMultiplyAdd(format, a, b, c, environment), fusedMultiplyAdd64],
};

for (const [name, [exact, host]] of Object.entries(OPERATIONS)) {
  defineBench<Operands>({
    id: `bits/float/${name}`,
    title: `${name.replaceAll('-', ' ')} of doubles by its definition, in BigInt`,
    unit: 'ns/op',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    setup: operands,
    work: ({ bits }) => {
      let flags = 0;
      for (const [a, b, c] of bits) flags += exact(a, b, c).flags;
      return flags;
    },
    items: () => COUNT,
    check: ({ numbers, bits }) => {
      const found = bits.map(([a, b, c]) => numberFromBits(format, exact(a, b, c).bits));
      assert.deepEqual(
        found,
        numbers.map(([a, b, c]) => host(a, b, c)),
      );
    },
    counters: ({ bits }) => ({ inexact: bits.filter(([a, b, c]) => exact(a, b, c).flags !== 0).length }),
  });
}
