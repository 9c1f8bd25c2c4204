import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteSink, ByteSource } from '../../emulator/linux-user/stdio.ts';
import { RUNTIME_FLAGS } from '../../emulator/machine/runtime-flags.ts';
import { runUser } from '../../emulator/machine/user.ts';
import { defineBench, type ProcessSpec } from '../harness/define-bench.ts';
import { HELLO, tinyProgram } from '../linux-user/tiny-program.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** What `scripts/dyno emulate` runs; the first of the warm-up makes what later ones start from. */
const DYNO = ['node', ...RUNTIME_FLAGS, join(ROOT, 'scripts', 'start.ts'), 'emulate'] as const;
const KEPT = { NODE_COMPILE_CACHE: join(ROOT, '.cache', 'compiled') };
const inputs = ['../linux-user/tiny-program.ts'];

const COMMON = { kind: 'time', direction: 'lower', unit: 'ms' } as const;

/** The command line on a program of 15 instructions that writes `hello`. */
function defineHello(name: string, title: string, metric: ProcessSpec['metric']): void {
  defineBench<string>({
    ...COMMON,
    ...(metric === 'peak-memory' ? { kind: 'memory', unit: 'MiB' } : {}),
    id: `startup/process/${name}`,
    title,
    engine: 'process',
    tags: ['riscv64'],
    inputs,
    setup: () => {
      const folder = mkdtempSync(join(tmpdir(), 'dyno-hello-'));
      writeFileSync(join(folder, 'hello'), tinyProgram(HELLO));
      return folder;
    },
    teardown: (folder) => rmSync(folder, { recursive: true, force: true }),
    process: (folder) => ({ argv: [...DYNO, '--user', join(folder, 'hello')], env: KEPT, metric }),
    check: (_, output) => assert.equal(output, 'hello\n'),
  });
}

defineHello('emulate-hello', "'dyno emulate' from its start to the guest's first output", 'first-output');
defineHello('emulate-hello-memory', "peak memory of 'dyno emulate' of a guest that writes one line", 'peak-memory');

defineBench({
  ...COMMON,
  id: 'startup/process/runtime',
  title: 'the runtime alone, doing nothing: the floor of the figures above',
  engine: 'process',
  process: () => ({ argv: ['node', '-e', ''], metric: 'wall' }),
  check: (_, output) => assert.equal(output, ''),
});

function hello(program: Uint8Array): { text: string; instructions: number } {
  const output = new ByteSink();
  const { counters } = runUser({
    program: { path: '/hello', bytes: program },
    argv: ['hello'],
    stdio: [new ByteSource(new Uint8Array()), output, output],
    memorySize: 1 << 26,
    deterministic: true,
  });
  return { text: output.text(), instructions: counters.instructions };
}

defineBench<Uint8Array>({
  ...COMMON,
  id: 'startup/program/warm',
  title: 'a whole program, load to exit, in a process that has run one before',
  engine: 'tinybench',
  tags: ['riscv64'],
  inputs,
  target: { value: 10, from: 'REQUIREMENTS E13' },
  setup: () => tinyProgram(HELLO),
  work: hello,
  check: (_, run) => assert.equal((run as ReturnType<typeof hello>).text, 'hello\n'),
  counters: (program) => ({ 'guest-instructions': hello(program).instructions }),
});
