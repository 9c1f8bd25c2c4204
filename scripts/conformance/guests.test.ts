import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { ByteSink, ByteSource } from '../../emulator/linux-user/stdio.ts';
import { runBare } from '../../emulator/machine/bare.ts';
import type { Tier } from '../../emulator/machine/tier.ts';
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

for (const guest of GUESTS) {
  test(`${guest.name} prints what it must and exits 0`, () => {
    const { result, output, errors } = run(guest.name, 'interpreter');
    assert.deepEqual(result.outcome, { kind: 'exit', code: 0 }, errors);
    assert.equal(output, expectedOutput(guest, 'smoke'));
  });
}

test('two deterministic runs agree in every counter', () => {
  const facts = ({ counters, vcpu, outcome }: UserResult) => ({ counters, vcpu, outcome });
  const [first, second] = [0, 1].map(() => run('libc', 'interpreter', { deterministic: true }));
  assert.deepEqual(facts(first!.result), facts(second!.result));
  assert.equal(first!.output, second!.output);
});

test('the instruction budget is exact, to the instruction, in every tier', () => {
  for (const [tier, budgets] of [
    ['interpreter', [1, 2, 1000, 123_457]],
    ['reference', [1, 1000, 5003]],
  ] as const) {
    for (const maximumInstructions of budgets) {
      const { result } = run('fib', tier, { maximumInstructions });
      assert.deepEqual(result.outcome, { kind: 'limit', limit: 'instructions' });
      assert.equal(result.counters.instructions, maximumInstructions, tier);
    }
  }
});

for (const guest of BARE_GUESTS) {
  for (const tier of ['interpreter', 'reference'] as const) {
    test(`bare ${guest.name} ends as it must in the ${tier}`, () => {
      let text = '';
      const bytes = fs.readFileSync(bareElfPath(guest));
      const { outcome, counters } = runBare({
        image: { origin: guest.name, bytes },
        tier,
        maximumInstructions: guest.exitCode === undefined ? 30_000 : 300_000,
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
