import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../emulator/bits/float-operands.ts';
import { compareWithOracle, type Comparison } from './compare.ts';
import { EXECUTOR_NAMES } from './execute.ts';
import { listCode } from './filetest.ts';
import { evaluatorOracle, type Oracle, qemuOracle } from './oracle.ts';

const INSTRUCTIONS = 20_000;
const seed = testSeed();

function assertAgreement({ executors, rows, told }: Comparison): void {
  assert.deepEqual(told, [], `SEED=${seed}\n${told.join('\n')}`);
  assert.ok(rows.met > 0.95 * rows.all, `only ${rows.met} of ${rows.all} instructions met`);
  for (const { name, instructions, mismatches } of executors) {
    assert.equal(mismatches, 0, name);
    assert.ok(instructions >= INSTRUCTIONS, name);
  }
}

test('random instructions end in the state that qemu-riscv64 gives, on every executor', (t) => {
  const oracle = qemuOracle();
  if ('absent' in oracle) return t.skip(oracle.absent);
  t.diagnostic(`SEED=${seed}, ${oracle.name}`);
  const plan = { seed, instructions: INSTRUCTIONS, executors: EXECUTOR_NAMES, oracle };
  assertAgreement(compareWithOracle(plan));
});

test('random instructions, Zicond among them, do the same on every executor', (t) => {
  t.diagnostic(`SEED=${seed}`);
  const executors = ['wasm', 'interpreter'] as const;
  assertAgreement(compareWithOracle({ seed, instructions: INSTRUCTIONS, executors, oracle: evaluatorOracle() }));
});

test('a wrong result is found and told as a small filetest', () => {
  const right = evaluatorOracle();
  // As if MULHU, when control comes to it first of all, gave one too many.
  const wrong: Oracle = {
    name: 'wrong',
    includes: ({ extension }) => extension === 'I' || extension === 'M',
    run: (tests) =>
      right.run(tests).map((answer, index) => {
        const { code } = tests[index]!;
        const place = listCode(code).find(({ name }) => name === 'mulhu');
        const rd = place?.operands['rd'] ?? 0;
        if (rd === 0) return answer;
        const x = answer.x.slice();
        x[rd] = BigInt.asUintN(64, x[rd]! + 1n);
        return { ...answer, x };
      }),
  };
  const { executors, told } = compareWithOracle({
    seed,
    instructions: INSTRUCTIONS,
    executors: ['evaluate'],
    oracle: wrong,
  });
  assert.ok(executors[0]!.mismatches > 0, `SEED=${seed}`);
  for (const text of told) {
    const lines = text.split('\n');
    assert.match(lines[0]!, /^# evaluate and wrong differ: x\d+ is /, text);
    assert.ok(lines.filter((line) => /^[a-z]/.test(line) && !/^(addi zero|c\.nop)/.test(line)).length <= 2, text);
    assert.match(text, /^mulhu /m);
    assert.match(lines.at(-1)!, /^; run: .*=> x\d+=/, text);
  }
});
