import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { elfPath, findGuest } from '../../suites/guests/guests.ts';
import { ByteSink, ByteSource } from '../linux-user/stdio.ts';
import { InstructionTrace } from './instruction-trace.ts';
import { runUser, type UserResult } from './user.ts';

function run(maximumInstructions: number, trace?: InstructionTrace): UserResult {
  const output = new ByteSink();
  return runUser({
    program: { path: '/fib', bytes: readFileSync(elfPath(findGuest('fib'), 'riscv64')) },
    argv: ['fib'],
    stdio: [new ByteSource(new Uint8Array()), output, output],
    memorySize: 1 << 25,
    tier: 'interpreter',
    deterministic: true,
    maximumInstructions,
    ...(trace === undefined ? {} : { trace }),
  });
}

test('a trace has a line for each instruction, and changes nothing of what the program does', () => {
  let text = '';
  const trace = new InstructionTrace((piece) => (text += piece));
  const traced = run(20_000, trace);
  trace.close();
  const plain = run(20_000);
  assert.deepEqual(traced.outcome, plain.outcome);
  assert.deepEqual(traced.counters, plain.counters);
  const lines = text.trimEnd().split('\n');
  assert.equal(lines.length, traced.counters.instructions);
  assert.ok(lines.every((line) => /^1 0x[0-9a-f]+: [0-9a-f]{4,8} +\S/.test(line)));
});

test('a trace ends at its limit, and the program does not', () => {
  let text = '';
  const trace = new InstructionTrace((piece) => (text += piece), 100);
  const { counters } = run(5000, trace);
  trace.close();
  assert.equal(counters.instructions, 5000);
  assert.equal(text.trimEnd().split('\n').length, 101);
  assert.match(text, /# ended after 100 instructions\n$/);
});
