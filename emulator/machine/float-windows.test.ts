import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Random } from '../ir/random.ts';
import { Permission } from '../layout/memory-map.ts';
import { DATA, DATA_PAGES, type LoopProgram, compareRandomLoops, runLoop } from './loop-run.test-support.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 200);
const VALUES = 64;

/** Bits of doubles: mostly ordinary ones, so that windows run to their end, and some that no check may let pass. */
function randomDouble(random: Random, odd: boolean): bigint {
  const special = [
    0n,
    1n << 63n,
    1n,
    0x000f_ffff_ffff_ffffn,
    0x0010_0000_0000_0000n,
    0x0010_0000_0000_0001n,
    0x7fef_ffff_ffff_ffffn,
    0x7ff0_0000_0000_0000n,
    0xfff0_0000_0000_0000n,
    0x7ff8_0000_0000_0000n,
    0xfff8_0000_0000_1234n,
    0x7ff0_0000_0000_0001n,
    0x0170_0000_0000_0003n,
    0x2000_0000_0000_0001n,
    0x5ff0_0000_0000_0001n,
    0x7fe8_0000_0000_0003n,
    0xffe8_0000_0000_0005n,
    0x7fe8_0000_0000_0003n,
    0xffe8_0000_0000_0005n,
  ];
  if (odd && random.below(12) === 0) return random.pick(special);
  const exponent = BigInt(1023 - 3 + random.below(6));
  const fraction = BigInt(random.below(2 ** 26)) * BigInt(2 ** 26) + BigInt(random.below(2 ** 26));
  return (BigInt(random.below(2)) << 63n) | (exponent << 52n) | fraction;
}

/** A loop over an array of doubles with arithmetic between loads and stores; fs0 to fs3 stay as they are, so that values stay in bounds. */
function randomLoop(random: Random): LoopProgram {
  const odd = random.below(4) !== 0;
  const registers = ['fa0', 'fa1', 'fa2', 'fa3', 'fa4', 'fa5'];
  const source = () => random.pick(random.below(3) === 0 ? ['fs0', 'fs1', 'fs2', 'fs3'] : registers);
  const target = () => random.pick(registers);
  const line = (): string => {
    switch (random.below(14)) {
      case 0:
      case 1:
      case 2:
        return `${random.pick(['fadd.d', 'fsub.d'])} ${target()},${source()},${source()}`;
      case 3:
      case 4:
      case 5:
        return `fmul.d ${target()},${source()},${source()}`;
      case 6:
        return `fdiv.d ${target()},${source()},${source()}`;
      case 7:
        return `fsqrt.d ${target()},${source()}`;
      case 8:
        return `${random.pick(['fmadd.d', 'fnmsub.d'])} ${target()},${source()},${source()},${source()}`;
      case 9:
        return `fld ${target()},${8 * random.below(4)}(a0)`;
      case 10:
        return `fsd ${source()},${8 * random.below(4)}(a0)`;
      case 11:
        return `${random.pick(['flt.d', 'feq.d', 'fle.d'])} a3,${source()},${source()}`;
      case 12:
        return random.pick([
          'addi a4,a4,7',
          'xor a4,a4,a3',
          `fmv.x.d a5,${source()}`,
          `fsgnjn.d ${target()},${source()},fs0`,
        ]);
      default:
        return random.pick([
          `fcvt.d.l ${target()},a4`,
          `fmin.d ${target()},${source()},${source()}`,
          `fcvt.s.d fa6,${source()}`,
        ]);
    }
  };
  const body = Array.from({ length: 4 + random.below(24) }, line);
  // Back to ordinary numbers in most turns: otherwise all would be infinite soon.
  body.unshift('fld fa0,0(a0)', 'fld fa1,8(a0)', 'fld fa2,16(a0)');
  body.push('addi a0,a0,8', 'addi a2,a2,-1');
  body.push(`bne a2,zero,@${-4 * body.length}`);
  const data = Array.from({ length: VALUES }, () => randomDouble(random, odd));
  return {
    lines: body,
    registers: { 10: DATA, 12: VALUES - 4, 14: random.below(1000) },
    floats: Array.from({ length: 32 }, (_, index) => {
      return index === 8 ? 0x3ff0_0000_0000_0000n : randomDouble(random, odd && index !== 9);
    }),
    permissions: Array.from({ length: DATA_PAGES }, () => Permission.read | Permission.write),
    data,
  };
}

test('results that are checked by way of others end alike, flags and NaNs included, wherever the check or the budget ends', (context) => {
  compareRandomLoops(context, randomLoop, ROUNDS, [30, 400]);
});

function bitsOf(value: number): bigint {
  return new BigUint64Array(Float64Array.of(value).buffer)[0]!;
}

/** Bodies whose arithmetic goes wrong late: with one odd number among ordinary ones, fs0 = 1, fs1 = 2^1000, fs2 = 2^-1000 and fs3 = 2^1023. */
const DIRECTED: readonly { readonly title: string; readonly odd: bigint; readonly lines: readonly string[] }[] = [
  {
    title: 'an overflow that only a minimum sees',
    odd: 0x7fe0_0000_0000_0001n,
    lines: ['fadd.d fa3,fa0,fs3', 'fmin.d fa4,fa3,fs0', 'fadd.d fa5,fa4,fs0', 'fadd.d fa5,fa5,fs0'],
  },
  {
    title: 'zero divided by an overflow',
    odd: 0x7fe0_0000_0000_0001n,
    lines: ['fadd.d fa3,fa0,fs3', 'fsub.d fa4,fs0,fs0', 'fdiv.d fa5,fa4,fa3', 'fadd.d fa5,fa5,fs0'],
  },
  {
    title: 'a subnormal product that a sum swallows',
    odd: 0x3e10_0000_0000_0003n,
    lines: ['fmul.d fa3,fa0,fs2', 'fadd.d fa4,fa3,fs0', 'fsd fa4,1024(a0)'],
  },
  {
    title: 'a tiny product that a sum swallows',
    odd: 0x0170_0000_0000_0003n,
    lines: ['fmul.d fa3,fa0,fs2', 'fadd.d fa4,fa3,fs0', 'fsd fa4,1024(a0)'],
  },
  {
    title: 'a NaN with a payload that is stored',
    odd: 0x7ff8_0000_0000_1234n,
    lines: ['fadd.d fa3,fa0,fs0', 'fadd.d fa4,fa3,fs0', 'fadd.d fa5,fa4,fa3', 'fsd fa4,1024(a0)', 'fsd fa5,1032(a0)'],
  },
  {
    title: 'a signalling NaN among values that are only compared',
    odd: 0x7ff0_0000_0000_0001n,
    lines: ['fadd.d fa3,fa0,fs0', 'fmul.d fa4,fa3,fs0', 'feq.d a3,fa3,fa4', 'flt.d a5,fa0,fs1', 'add a4,a4,a3'],
  },
  {
    title: 'a register of the window that is written again behind it',
    odd: 0xfff0_0000_0000_0000n,
    lines: [
      'addi a4,a4,1',
      'fadd.d fa3,fa0,fs0',
      'addi a4,a4,1',
      'fsub.d fa3,fa3,fa0',
      'addi a4,a4,1',
      'fsd fa3,1024(a0)',
    ],
  },
];

for (const { title, odd, lines } of DIRECTED) {
  test(`${title}: flags and registers are those of the reference`, () => {
    const body = ['fld fa0,0(a0)', ...lines, 'addi a0,a0,8', 'addi a2,a2,-1'];
    const floats = Array<bigint>(32).fill(0x3ff0_0000_0000_0000n);
    [floats[9], floats[18], floats[19]] = [2 ** 1000, 2 ** -1000, 2 ** 1023].map(bitsOf) as [
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    for (const late of [40, 58]) {
      const program: LoopProgram = {
        lines: [...body, `bne a2,zero,@${-4 * body.length}`],
        registers: { 10: DATA, 12: VALUES - 4 },
        floats,
        permissions: Array<number>(DATA_PAGES).fill(Permission.read | Permission.write),
        data: Array.from({ length: VALUES }, (_, at) => (at === late ? odd : 0x3ff8_0000_0000_0000n + BigInt(at))),
      };
      const { end } = runLoop('reference', program, 2, () => 1_000_000);
      const optimized = runLoop('optimized', program, 2, () => 1_000_000);
      assert.deepEqual(optimized.end, end);
      assert.ok(optimized.regionInstructions > 100, `${optimized.regionInstructions} instructions ran in regions`);
    }
  });
}
