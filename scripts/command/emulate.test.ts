import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { ElfMachine } from '../../emulator/loader/elf.ts';
import { headersSize, SegmentFlag, writeElf } from '../../emulator/loader/write-elf.ts';
import { elfPath, findGuest } from '../../suites/guests/guests.ts';

const dyno = path.join(import.meta.dirname, '..', 'dyno');
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-emulate-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));
const fib = fs.readFileSync(elfPath(findGuest('fib'), 'riscv64'));

function emulate(...args: readonly string[]) {
  const result = spawnSync(dyno, ['emulate', ...args], { encoding: 'utf8', input: '' });
  return { code: result.status, output: result.stdout, errors: result.stderr };
}

/** A file in the temporary directory. */
function file(name: string, bytes: Uint8Array): string {
  const full = path.join(root, name);
  fs.writeFileSync(full, bytes);
  return full;
}

function spoiled(name: string, spoil: (view: DataView) => void): string {
  const bytes = new Uint8Array(fib);
  spoil(new DataView(bytes.buffer));
  return file(name, bytes);
}

/** Offset of the first PT_LOAD program header. */
function firstLoad(view: DataView): number {
  let at = 64;
  while (view.getUint32(at, true) !== 1) at += 56;
  return at;
}

/** A static program of these instruction words at 0x10000, readable and executable. */
function program(name: string, words: readonly number[]): string {
  const bytes = new Uint8Array(Uint32Array.from(words).buffer);
  const entry = 0x1_0000 + headersSize(1);
  const segment = { address: 0x1_0000, flags: SegmentFlag.read | SegmentFlag.execute, bytes, withHeaders: true };
  return file(name, writeElf({ machine: ElfMachine.riscv, entry, segments: [segment] }));
}

test('what cannot run is refused with exit 2 and one line that names file and cause', () => {
  const cases: [string, readonly string[], RegExp][] = [
    ['no such file', ['--user', path.join(root, 'none')], /none: cannot be read \(ENOENT\)/],
    ['a directory', ['--user', root], /cannot be read \(EISDIR\)/],
    ['empty', ['--user', file('empty', new Uint8Array())], /empty: not an ELF file/],
    ['text', ['--user', file('text', Buffer.from('hello\n'.repeat(20)))], /text: not an ELF file/],
    ['truncated', ['--user', file('short', fib.subarray(0, 5000))], /short: segment \d ends at .*truncated/],
    [
      'another machine',
      ['--user', spoiled('other', (view) => view.setUint16(18, 62, true))],
      /other: e_machine 62 is not riscv64/,
    ],
    ['32-bit', ['--user', spoiled('narrow', (view) => view.setUint8(4, 1))], /narrow: a 32-bit ELF/],
    [
      'too large',
      ['--user', spoiled('large', (view) => view.setBigUint64(firstLoad(view) + 40, 2n ** 40n, true))],
      /large: segment/,
    ],
    ['nothing to run', [], /nothing to run; give --user ELF, --bare ELF or --machine virt/],
    ['unknown flag', ['--frobnicate'], /frobnicate/],
    [
      'bad number',
      ['--user', elfPath(findGuest('fib'), 'riscv64'), '--max-insns', 'many'],
      /'many' is not a positive number/,
    ],
    ['bad size', ['--user', elfPath(findGuest('fib'), 'riscv64'), '--memory', 'lots'], /'lots' is not a size/],
    ['too much memory', ['--user', elfPath(findGuest('fib'), 'riscv64'), '--memory', '64G'], /guest memory/],
    ['bad mount', ['--user', elfPath(findGuest('fib'), 'riscv64'), '--mount', 'nonsense'], /nonsense: not a mount/],
    ['bare ELF elsewhere', ['--bare', elfPath(findGuest('fib'), 'riscv64')], /outside RAM/],
  ];
  for (const [name, args, message] of cases) {
    const { code, output, errors } = emulate(...args);
    assert.equal(code, 2, `${name}: ${errors}`);
    assert.match(errors, message, name);
    assert.equal(errors.trim().split('\n').length, 1, `${name}: ${errors}`);
    assert.equal(output, '');
  }
});

test('a guest that does wrong is ended by a typed, precise fault: 128 + signal', () => {
  const cases: [string, readonly number[], number, RegExp][] = [
    // lui a0, 0x40000; ld a0, 8(a0)
    ['an unmapped load', [0x40000537, 0x00853503], 139, /SIGSEGV: load of 0x40000008 at pc 0x1007c/],
    // sd a0, 0(zero)
    ['a store to the null page', [0x00a03023], 139, /SIGSEGV: store of 0x0 at pc 0x10078/],
    // auipc a0, 0; sd a0, 0(a0)
    ['a store to code', [0x00000517, 0x00a53023], 139, /SIGSEGV: store of 0x10078 at pc 0x1007c/],
    // li a0, -1; jr a0
    ['a wild jump', [0xfff00513, 0x00050067], 139, /SIGSEGV: fetch of 0xfffffffffffffffe at pc 0xfffffffffffffffe/],
    // unimp
    ['an illegal instruction', [0xc0001073], 132, /SIGILL: trap 2 at pc 0x10078/],
    ['a word of ones', [0xffffffff], 132, /SIGILL: trap 2 at pc 0x10078/],
    // ebreak
    ['a breakpoint', [0x00100073], 133, /SIGTRAP: trap 3 at pc 0x10078/],
  ];
  for (const [name, words, expected, message] of cases) {
    const { code, errors } = emulate('--user', program(name.replaceAll(' ', '-'), words), '--timeout', '20');
    assert.match(errors, message, name);
    assert.equal(code, expected, name);
  }
});

test('a guest that never ends is ended by its budget or its time, with 124', () => {
  const loop = program('loop', [0x0000006f]);
  const budget = emulate('--user', loop, '--max-insns', '1e6', '--stats', path.join(root, 'stats.json'));
  assert.equal(budget.code, 124);
  assert.match(budget.errors, /--max-insns are used up/);
  const statistics = JSON.parse(fs.readFileSync(path.join(root, 'stats.json'), 'utf8'));
  assert.equal(statistics.instructions, 1_000_000);
  for (const name of ['seconds', 'mips', 'tier', 'memory']) assert.ok(name in statistics, name);
  const time = emulate('--user', loop, '--timeout', '0.2');
  assert.equal(time.code, 124);
  assert.match(time.errors, /--timeout is over/);
});

test("the guest's own exit code, standard output and unknown calls come through", () => {
  // li a7, 93; li a0, 41; ecall
  assert.equal(emulate('--user', program('exits', [0x05d00893, 0x02900513, 0x00000073])).code, 41);
  // li a7, 4000 is no system call: -ENOSYS in a0, whose negation is the exit code. li a7,2000; ecall; neg a0,a0; li a7,93; ecall
  const stats = path.join(root, 'unknown.json');
  const unknown = emulate(
    '--user',
    program('unknown', [0x7d000893, 0x00000073, 0x40a00533, 0x05d00893, 0x00000073]),
    '--stats',
    stats,
  );
  assert.equal(unknown.code, 38);
  assert.deepEqual(JSON.parse(fs.readFileSync(stats, 'utf8')).unknown, { '#2000': 1 });
  const run = emulate('--user', elfPath(findGuest('fib'), 'riscv64'), 'smoke');
  assert.equal(run.code, 0);
  assert.match(run.output, /fib/);
});

test('--trace writes each instruction in order, and the program does what it does without', () => {
  // li a0,3; li a7,93; ecall
  const file = program('traced', [0x0030_0513, 0x05d0_0893, 0x0000_0073]);
  const trace = path.join(root, 'trace');
  assert.equal(emulate('--trace', trace, '--user', file).code, 3);
  assert.deepEqual(fs.readFileSync(trace, 'utf8').trimEnd().split('\n'), [
    '1 0x10078: 13053000 addi\ta0,zero,3',
    '1 0x1007c: 9308d005 addi\ta7,zero,93',
    '1 0x10080: 73000000 ecall',
  ]);
  const refused = emulate('--trace', path.join(root, 'none', 'trace'), '--user', file);
  assert.equal(refused.code, 2);
  assert.match(refused.errors, /none\/trace: cannot be written \(ENOENT\)/);
  const bare = path.join(import.meta.dirname, '..', '..', 'suites', 'guests', 'bare', 'riscv64', 'hello');
  for (const how of [
    ['--bare', bare],
    ['--machine', 'virt', '--kernel', bare],
  ]) {
    emulate('--trace', trace, '--max-insns', '50', ...how);
    const lines = fs.readFileSync(trace, 'utf8').trimEnd().split('\n');
    assert.equal(lines.length, 50, how.join(' '));
    assert.match(lines[0]!, /^1 0x80000000: [0-9a-f]{4,8} +\S/);
  }
});

test('--stats holds what the contract names, for programs and bare metal', () => {
  const stats = path.join(root, 'stats.json');
  const bare = path.join(import.meta.dirname, '..', '..', 'suites', 'guests', 'bare', 'riscv64', 'hello');
  for (const args of [
    ['--user', elfPath(findGuest('fib'), 'riscv64'), 'smoke'],
    ['--bare', bare],
  ]) {
    assert.equal(emulate('--stats', stats, ...args).code, 0);
    const found = JSON.parse(fs.readFileSync(stats, 'utf8')) as Record<string, unknown>;
    for (const name of ['instructions', 'seconds', 'mips', 'regions', 'codeBytes', 'memory'])
      assert.ok(Number.isFinite(found[name]), `${args[0]}: ${name}`);
    const tier = found['tier'] as Record<string, number>;
    assert.equal(tier['interpreter']! + tier['regions']!, found['instructions']);
    const tlb = found['tlb'] as Record<string, number>;
    assert.ok([tlb['l1Misses'], tlb['l2Hits'], tlb['walks']].every(Number.isInteger), `${args[0]}: tlb`);
  }
});
