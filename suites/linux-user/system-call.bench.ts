import assert from 'node:assert/strict';
import { ByteSink, ByteSource } from '../../emulator/linux-user/stdio.ts';
import { runUser, type UserResult } from '../../emulator/machine/user.ts';
import { defineBench } from '../harness/define-bench.ts';
import { tinyProgram } from './tiny-program.ts';

/** What `lui s0,0x5` loads. */
const CALLS = 0x5000;
const BYTES = 64;
const FORKS = 40;

interface Run {
  readonly result: UserResult;
  readonly output: number;
}

function run(program: Uint8Array, input: Uint8Array = new Uint8Array()): Run {
  const output = new ByteSink();
  const result = runUser({
    program: { path: '/program', bytes: program },
    argv: ['program'],
    stdio: [new ByteSource(input), output, output],
    memorySize: 1 << 24,
    deterministic: true,
  });
  return { result, output: output.bytes().length };
}

function exact({ result }: Run): Record<string, number> {
  return {
    'guest-instructions': result.counters.instructions,
    'system-calls': [...result.counters.systemCalls.values()].reduce((sum, count) => sum + count, 0),
    decoded: result.vcpu['decoded']!,
    misses: result.vcpu['misses']!,
  };
}

/** A loop of CALLS calls of one kind; then exit with 0. */
const loopOf = (call: string) => `
  lui s0,0x5
  lui s1,0x20
again:
${call}
  ecall
  addi s0,s0,-1
  bne s0,zero,again
  addi a0,zero,0
  addi a7,zero,93
  ecall
`;

const transfer = (descriptor: number, number: number) => `
  addi a0,zero,${descriptor}
  addi a1,s1,0
  addi a2,zero,${BYTES}
  addi a7,zero,${number}
`;

const KINDS = [
  { name: 'getpid', title: 'getpid', call: 'addi a7,zero,172', input: 0, output: 0 },
  { name: 'write', title: 'write 64 bytes to memory', call: transfer(1, 64), input: 0, output: CALLS * BYTES },
  { name: 'read', title: 'read 64 bytes from memory', call: transfer(0, 63), input: CALLS * BYTES, output: 0 },
];

for (const { name, title, call, input, output } of KINDS) {
  const setup = () => ({ program: tinyProgram(loopOf(call)), input: new Uint8Array(input).fill(0x61) });
  defineBench<ReturnType<typeof setup>>({
    id: `linux-user/system-call/${name}`,
    title: `system call: ${title}`,
    unit: 'ns/call',
    kind: 'time',
    direction: 'lower',
    engine: 'tinybench',
    tags: ['riscv64'],
    inputs: ['tiny-program.ts'],
    setup,
    work: (state) => run(state.program, state.input),
    items: () => CALLS,
    check: (_, done) => {
      const { result, output: written } = done as Run;
      assert.deepEqual(result.outcome, { kind: 'exit', code: 0 });
      assert.equal(result.counters.systemCalls.get(name), CALLS);
      assert.equal(written, output);
    },
    counters: (state) => exact(run(state.program, state.input)),
  });
}

const FORK = `
  addi s0,zero,${FORKS}
again:
  addi a0,zero,17
  addi a1,zero,0
  addi a7,zero,220
  ecall
  beq a0,zero,child
  addi a0,zero,-1
  addi a1,zero,0
  addi a2,zero,0
  addi a3,zero,0
  addi a7,zero,260
  ecall
  addi s0,s0,-1
  bne s0,zero,again
child:
  addi a0,zero,0
  addi a7,zero,93
  ecall
`;

defineBench<Uint8Array>({
  id: 'linux-user/process/fork',
  title: 'fork, exit and wait4 of a process with 16 MiB of address space',
  unit: 'µs/fork',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  tags: ['riscv64'],
  inputs: ['tiny-program.ts'],
  setup: () => tinyProgram(FORK),
  work: (program) => run(program),
  items: () => FORKS,
  check: (_, done) => {
    const { result } = done as Run;
    assert.deepEqual(result.outcome, { kind: 'exit', code: 0 });
    assert.equal(result.counters.forks, FORKS);
  },
  counters: (program) => exact(run(program)),
});
