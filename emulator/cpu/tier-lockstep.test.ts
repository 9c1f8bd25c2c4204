import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { X } from '../isa/riscv/registers.ts';
import { STATE } from '../layout/memory-map.ts';
import { ExitReason, REGISTERS, StateOffset } from '../layout/state.ts';
import { CODE, CODE_SIZE, GUEST_SIZE, Image, randomImage } from './random-code.test-support.ts';
import { randomPolicies, type Tiers } from './random-policy.test-support.ts';
import { randomProgram, randomSpaghetti } from './random-program.test-support.ts';
import { ReferenceCpu } from './reference.ts';
import { Vcpu } from './vcpu.ts';

/** Blocks that the tiers run, all together. `BLOCKS=10000000` takes some minutes. */
const BLOCKS = Number(process.env['BLOCKS'] ?? 60_000);
const base = testSeed();

const oracle = new Image();
const subject = new Image();
/** Words of the register files: two for each of 32 integer and 32 floating-point registers, and some of control state behind them. */
const WORDS = 0x400 / 4;
const SINK = (X.offset - REGISTERS + 32 * X.stride) / 4;

/** What is visible where a block ends: FNV-1a over pc, registers and flags. */
function digest(image: Image, words: Int32Array): number {
  let hash = 0x811c9dc5 ^ image.state.getInt32(StateOffset.pc, true);
  hash = Math.imul(hash ^ image.state.getInt32(StateOffset.floatFlags, true), 0x01000193);
  for (let word = 0; word < WORDS; word++) {
    // The sink's content is nobody's business.
    if (word === SINK || word === SINK + 1) continue;
    hash = Math.imul(hash ^ words[word]!, 0x01000193);
  }
  return hash;
}

const oracleWords = new Int32Array(oracle.memory.buffer as ArrayBuffer, STATE + REGISTERS, WORDS);
const subjectWords = new Int32Array(subject.memory.buffer as ArrayBuffer, STATE + REGISTERS, WORDS);

/** Where a block ends: instructions retired so far and what is visible then; with a text when it ended in a trap or fault. */
interface BlockEnd {
  readonly retired: number;
  readonly digest: number;
  readonly left?: string;
}

type Start = ReturnType<typeof randomImage>;
type Cpu = Pick<Vcpu, 'cause' | 'value' | 'pc'> & { readonly counters: { readonly instructions: number } };

const describe = (cpu: Cpu, reason: ExitReason) => `${reason} ${cpu.cause} ${cpu.value} at ${cpu.pc}`;

/** After a trap or fault goes on at an address that depends on what has been done so far only. */
function goOn(cpu: { pc: bigint }, retired: number, exits: number): void {
  cpu.pc = BigInt(CODE + 2 * ((retired * 4057 + exits * 773) % (CODE_SIZE / 2)));
}

/** What the evaluator does, instruction by instruction. */
function trace(start: Start, budget: number): BlockEnd[] {
  oracle.load(start);
  const cpu = new ReferenceCpu(riscv64, oracle.memory, { guestSize: GUEST_SIZE });
  cpu.pc = BigInt(CODE);
  const ends: BlockEnd[] = [];
  let exits = 0;
  while (cpu.counters.instructions < budget && exits < 150) {
    const { pc } = cpu;
    const reason = cpu.run(1);
    const retired = cpu.counters.instructions;
    if (reason !== ExitReason.budget) {
      ends.push({ retired, digest: digest(oracle, oracleWords), left: describe(cpu, reason) });
      goOn(cpu, retired, ++exits);
    } else if (cpu.pc < pc || cpu.pc > pc + 4n || retired === budget)
      ends.push({ retired, digest: digest(oracle, oracleWords) });
  }
  return ends;
}

/** Runs up to the ends of blocks, `stride()` at a time, and compares there. */
function follow(start: Start, ends: readonly BlockEnd[], stride: () => number, tiers: Tiers, what: string): Vcpu {
  subject.load(start);
  const vcpu = new Vcpu(riscv64, subject.memory, { guestSize: GUEST_SIZE, tiers });
  vcpu.pc = BigInt(CODE);
  let exits = 0;
  for (let at = 0; at < ends.length; at++) {
    // A trap or fault is an end that is not run over.
    const last = Math.min(ends.length, at + stride());
    while (at < last - 1 && ends[at]!.left === undefined) at++;
    const { retired, digest: expected, left } = ends[at]!;
    // An instruction more than retires before a trap or fault.
    const reason = vcpu.run(retired - vcpu.counters.instructions + (left === undefined ? 0 : 1));
    const where = `${what}, block ${at}, after ${retired}`;
    assert.equal(reason === ExitReason.budget ? undefined : describe(vcpu, reason), left, where);
    assert.equal(vcpu.counters.instructions, retired, where);
    assert.equal(digest(subject, subjectWords), expected, where);
    if (left !== undefined) goOn(vcpu, retired, ++exits);
  }
  vcpu.checkInvariants();
  return vcpu;
}

const KINDS = [
  ['code', randomImage, 1500],
  ['programs', randomProgram, 20_000],
  ['control flow', randomSpaghetti, 4000],
] as const;

test('every tier is where the evaluator is at the ends of blocks, whatever the thresholds, regions and budgets', (context) => {
  context.diagnostic(`SEED=${base}`);
  const sum = { blocks: 0, comparisons: 0, instructions: 0, inRegions: 0, regions: 0, evaluated: 0, programs: 0 };
  for (let seed = base; sum.blocks < BLOCKS; seed++) {
    for (const [kind, image, budget] of KINDS) {
      const random = new Random(seed);
      const start = image(random);
      const ends = trace(start, budget);
      sum.evaluated += ends.length;
      sum.programs++;
      for (const [name, tiers] of Object.entries(randomPolicies(random))) {
        // Every end, or some of them: a region that is longer than what is left of the budget is not entered.
        const longest = random.pick([1, 4, 40, 400, ends.length]);
        let comparisons = 0;
        const stride = () => {
          comparisons++;
          return 1 + random.below(longest);
        };
        const vcpu = follow(start, ends, stride, tiers, `seed ${seed}, ${kind}, ${name}`);
        assert.ok(
          Buffer.from(subject.guest).equals(Buffer.from(oracle.guest)),
          `memory, seed ${seed}, ${kind}, ${name}`,
        );
        const { regionInstructions, regions } = vcpu.tiers!.counters;
        sum.blocks += ends.length;
        sum.comparisons += comparisons;
        sum.instructions += vcpu.counters.instructions;
        sum.inRegions += regionInstructions;
        sum.regions += regions;
      }
    }
  }
  context.diagnostic(JSON.stringify(sum));
  assert.ok(sum.inRegions > 0.3 * sum.instructions, 'regions run');
});
