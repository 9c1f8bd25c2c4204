import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { ByteSink, ByteSource } from '../../emulator/linux-user/stdio.ts';
import { runBare } from '../../emulator/machine/bare.ts';
import { TIERS, type Tier } from '../../emulator/machine/tier.ts';
import { runUser, type UserResult } from '../../emulator/machine/user.ts';
import {
  BARE_GUESTS,
  bareElfPath,
  elfPath,
  expectedOutput,
  findGuest,
  GUESTS,
  guestArguments,
  LIBC_TREE,
} from '../../suites/guests/guests.ts';

function run(name: string, tier: Tier, more: { maximumInstructions?: number; deterministic?: boolean } = {}) {
  const guest = findGuest(name);
  const output = new ByteSink();
  const errors = new ByteSink();
  const result = runUser({
    program: { path: `/${name}`, bytes: fs.readFileSync(elfPath(guest, 'riscv64')) },
    argv: [name, ...guestArguments(guest, 'smoke', '/tree')],
    mounts: [{ host: LIBC_TREE, guest: '/tree', readOnly: true }],
    stdio: [new ByteSource(new Uint8Array()), output, errors],
    tier,
    timeout: 120,
    ...more,
  });
  return { result, output: output.text(), errors: errors.text() };
}

/**
 * Tiers that translate from the first instruction on take seconds for the start of a C library; they run two of the guests. The
 * evaluator is a thousand times slower than they are: the bare guests and the budgets below are what it can run.
 */
const EVERYTHING: readonly Tier[] = ['auto', 'interpreter'];
const EAGER = TIERS.filter((tier) => tier !== 'reference' && !EVERYTHING.includes(tier));
const EAGER_GUESTS = ['sieve', 'fib'];

for (const guest of GUESTS) {
  for (const tier of [...EVERYTHING, ...(EAGER_GUESTS.includes(guest.name) ? EAGER : [])]) {
    test(`${guest.name} prints what it must and exits 0 in tier ${tier}`, () => {
      const { result, output, errors } = run(guest.name, tier);
      assert.deepEqual(result.outcome, { kind: 'exit', code: 0 }, errors);
      assert.equal(output, expectedOutput(guest, 'smoke'));
    });
  }
}

test('two deterministic runs agree in every counter', () => {
  const facts = ({ counters, vcpu, outcome }: UserResult) => ({ counters, vcpu, outcome });
  const [first, second] = [0, 1].map(() => run('libc', 'interpreter', { deterministic: true }));
  assert.deepEqual(facts(first!.result), facts(second!.result));
  assert.equal(first!.output, second!.output);
});

test('the instruction budget is exact, to the instruction, in every tier', () => {
  for (const tier of TIERS) {
    for (const maximumInstructions of EVERYTHING.includes(tier) ? [1, 2, 1000, 123_457] : [1, 1000, 5003]) {
      const { result } = run('fib', tier, { maximumInstructions });
      assert.deepEqual(result.outcome, { kind: 'limit', limit: 'instructions' });
      assert.equal(result.counters.instructions, maximumInstructions, tier);
    }
  }
});

for (const guest of BARE_GUESTS) {
  for (const tier of TIERS) {
    test(`bare ${guest.name} ends as it must in tier ${tier}`, () => {
      let text = '';
      const bytes = fs.readFileSync(bareElfPath(guest));
      const { outcome, counters } = runBare({
        image: { origin: guest.name, bytes },
        tier,
        maximumInstructions: guest.exitCode === undefined ? 30_000 : 300_000,
        timeout: 60,
        output: (chunk) => (text += Buffer.from(chunk).toString('latin1')),
      });
      if (guest.exitCode === undefined) {
        assert.deepEqual(outcome, { kind: 'limit', limit: 'instructions' });
        assert.equal(counters['instructions'], 30_000);
      } else assert.deepEqual(outcome, { kind: 'exit', code: guest.exitCode });
      assert.equal(text, guest.console);
    });
  }
}
