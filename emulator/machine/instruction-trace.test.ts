import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { elfPath, findGuest } from '../../suites/guests/guests.ts';
import { ByteSink, ByteSource } from '../linux-user/stdio.ts';
import { InstructionTrace } from './instruction-trace.ts';
import { VirtMachine } from './riscv-virt/machine.ts';
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

test('a machine is traced behind address translation, and does what it does without', async () => {
  const machine = (trace?: InstructionTrace) => {
    // addi t0,zero,100; addi t0,t0,-1; bne t0,zero,-4; c.unimp, which traps.
    const words = Uint32Array.of(0x0640_0293, 0xfff2_8293, 0xfe02_9ee3, 0);
    const firmware = { origin: 'loop', bytes: new Uint8Array(words.buffer) };
    const tier = 'interpreter' as const;
    return new VirtMachine({ firmware, tier, deterministic: true, ...(trace === undefined ? {} : { trace }) });
  };
  const outcomes = [];
  let text = '';
  const trace = new InstructionTrace((piece) => (text += piece));
  for (const one of [machine(), machine(trace)]) {
    outcomes.push([await one.run({ maximumInstructions: 1000 }), one.instructions]);
    one.close();
  }
  trace.close();
  assert.deepEqual(outcomes[1], outcomes[0]);
  const lines = text.trimEnd().split('\n');
  assert.deepEqual(lines.slice(0, 3), [
    '1 0x80000000: 93024006 addi\tt0,zero,100',
    '1 0x80000004: 9382f2ff addi\tt0,t0,-1',
    '1 0x80000008: e39e02fe bne\tt0,zero,0x80000004',
  ]);
  assert.equal(lines[201], '1 0x8000000c: 0000     c.unimp');
});
