import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';

const dyno = path.join(import.meta.dirname, '..', 'dyno');
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-machine-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));

const RAM_BASE = 0x8000_0000n;

/** Firmware of these instructions, 4 bytes each. */
function firmware(name: string, lines: readonly string[]): string {
  const file = path.join(root, name);
  const words = lines.map((line, n) => {
    const word = riscv64.assemble(line, RAM_BASE + 4n * BigInt(n));
    assert.ok(word instanceof Uint8Array && word.length === 4, line);
    return word;
  });
  fs.writeFileSync(file, Buffer.concat(words));
  return file;
}

/** Prints `!` and powers off with code 42. */
const SHORT = firmware('short', [
  'lui t0, 0x10000',
  'addi t1, zero, 33',
  'sb t1, 0(t0)',
  'lui t0, 0x100',
  'lui t1, 0x2a3',
  'addiw t1, t1, 0x333',
  'sw t1, 0(t0)',
  'wfi',
]);
/** Prints every byte that comes, plus one. */
const ECHO = firmware('echo', [
  'lui t0, 0x10000',
  'lbu t1, 5(t0)',
  'andi t1, t1, 1',
  'beq t1, zero, 0x80000004',
  'lbu t2, 0(t0)',
  'addi t2, t2, 1',
  'sb t2, 0(t0)',
  'jal zero, 0x80000004',
]);
/** Prints `!` 2^20 times and powers off. */
const LOUD = firmware('loud', [
  'lui t0, 0x10000',
  'lui t2, 0x100',
  'addi t1, zero, 33',
  'sb t1, 0(t0)',
  'addi t2, t2, -1',
  'bne t2, zero, 0x8000000c',
  'lui t0, 0x100',
  'lui t1, 0x5',
  'addiw t1, t1, 0x555',
  'sw t1, 0(t0)',
  'wfi',
]);
/** Maps RAM to where kernels have theirs, counts to 2^20 there in supervisor mode, and powers off. */
const PAGED = firmware('paged', [
  // Sv39: 1 GiB each of devices, of RAM, and of RAM at 0xffffffff80000000, in the table at 0x80001000.
  'auipc t0, 0x1',
  'addi t1, zero, 0xc7',
  'sd t1, 0(t0)',
  'lui t1, 0x20000',
  'addi t1, t1, 0xcf',
  'sd t1, 16(t0)',
  'lui t2, 0x1',
  'add t0, t0, t2',
  'sd t1, -16(t0)',
  'addi t1, zero, -1',
  'csrrw zero, pmpaddr0, t1',
  'addi t1, zero, 31',
  'csrrw zero, pmpcfg0, t1',
  'addi t1, zero, 1',
  'slli t1, t1, 63',
  'lui t2, 0x80',
  'addi t2, t2, 1',
  'or t1, t1, t2',
  'csrrw zero, satp, t1',
  'lui t1, 0x1',
  'srli t1, t1, 1',
  'csrrs zero, mstatus, t1',
  'lui t1, 0x80000',
  'addi t1, t1, 112',
  'csrrw zero, mepc, t1',
  'sfence.vma zero, zero',
  'lui t2, 0x100',
  'mret',
  // 0x70
  'addi t2, t2, -1',
  'xor t3, t3, t2',
  'bne t2, zero, 0x80000070',
  'lui t0, 0x100',
  'lui t1, 0x5',
  'addiw t1, t1, 0x555',
  'sw t1, 0(t0)',
  'jal zero, 0x8000008c',
]);
const WAITING = firmware('waiting', ['wfi', 'jal zero, 0x80000000']);

function machine(args: readonly string[], input = '') {
  const argv = ['emulate', '--machine', 'virt', '--memory', '8M', ...args];
  const { status, stdout, stderr } = spawnSync(dyno, argv, { encoding: 'utf8', input, timeout: 60_000 });
  return { code: status, output: stdout, errors: stderr };
}

test('the guest’s exit code and console are passed on, counters go to the file', () => {
  const stats = path.join(root, 'stats.json');
  assert.deepEqual(machine(['--bios', SHORT, '--deterministic', '--stats', stats]), {
    code: 42,
    output: '!',
    errors: '',
  });
  const counters = JSON.parse(fs.readFileSync(stats, 'utf8')) as Record<string, unknown>;
  assert.equal(counters['instructions'], 7);
  for (const name of ['seconds', 'mips', 'tlb', 'memory', 'exceptions', 'virtio']) assert.ok(name in counters, name);
});

test('--stats without a file is a table, for machines and bare-metal programs too', () => {
  const table = machine(['--bios', SHORT, '--deterministic', '--stats']).errors;
  for (const row of [
    /^instructions +7 /m,
    /^ {2}in the interpreter +7 +100\.00 %/m,
    /^ {2}page walks +0 /m,
    /^translations +0 /m,
  ])
    assert.match(table, row);
  const primes = path.join(import.meta.dirname, '..', '..', 'suites', 'guests', 'bare', 'riscv64', 'primes');
  const bare = spawnSync(dyno, ['emulate', '--bare', primes, '--stats'], { encoding: 'utf8' });
  assert.match(bare.stderr, /^instructions +[1-9][\d,]* /m);
  assert.match(bare.stderr, /^ {2}page walks +[\d,]+ /m);
});

test('what cannot be is refused with exit 2 and one line', () => {
  const cases: [readonly string[], RegExp][] = [
    [[], /nothing to run; give --kernel or --bios/],
    [['--bios', path.join(root, 'none')], /none: cannot be read \(ENOENT\)/],
    [['--bios', SHORT, '--drive', path.join(root, 'none')], /--drive .*none: cannot be opened: ENOENT/],
    [['--bios', SHORT, '--net', 'bridge'], /not a kind of network; use none or user/],
    [['--bios', SHORT, '--share', path.join(root, 'none')], /none/],
    [['--bios', SHORT, '--smp', '2'], /one hart so far/],
    [['--bios', SHORT, '--memory', '5G'], /RAM/],
    [['--bios', SHORT, '--dtb', SHORT], /short/],
    [['--bios', SHORT, 'argument'], /takes no arguments/],
    [['--bios', SHORT, '--mount', '.:/w'], /--mount: is for programs; give --user/],
    [['--bios', SHORT, '--env', 'A=1'], /--env: is for programs; give --user/],
    [['--bios', SHORT, '--cwd', '/w'], /--cwd: is for programs; give --user/],
  ];
  for (const [args, message] of cases) {
    const { code, output, errors } = machine(args);
    assert.deepEqual([code, output], [2, ''], `${args.join(' ')}: ${errors}`);
    assert.match(errors, message);
    assert.equal(errors.trimEnd().split('\n').length, 1, errors);
  }
  const other = spawnSync(dyno, ['emulate', '--bare', SHORT, '--drive', 'x'], { encoding: 'utf8' });
  assert.match(other.stderr, /--drive: is for machines; give --machine virt/);
  for (const flag of [['--timeline'], ['--dump', 'ir:0'], ['--cache-dir', root]]) {
    const { status, stderr } = spawnSync(dyno, ['emulate', '--bare', SHORT, ...flag], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(
      stderr,
      new RegExp(`^dyno: ${flag[0]}: is for programs and machines; give --user or --machine virt\n$`),
    );
  }
});

test('--timeline and --dump show what was translated, by the addresses that the guest uses', () => {
  const seed = '0xffffffff80000070';
  const how = ['--bios', PAGED, '--deterministic', '--tier', 'optimized'];
  const timeline = machine([...how, '--timeline']);
  assert.equal(timeline.code, 0, timeline.errors);
  assert.match(timeline.errors, /^at instruction +region +nodes .*why/);
  assert.match(timeline.errors, new RegExp(`^[\\d,]+ +${seed} +1 +3 .* reached`, 'm'));
  const { code, errors } = machine([...how, '--dump', `wasm,ir,regions:${seed}`]);
  assert.equal(code, 0, errors);
  // The newest region: the loop came to be entered in its middle too.
  assert.match(errors, /^Region 0xffffffff8000007[048], generation 0\n/);
  assert.match(errors, new RegExp(`^ +\\d {2}${seed}–0xffffffff8000007[8c] {2}\\d instructions .*loop`, 'm'));
  assert.match(
    errors,
    new RegExp(`at ${seed} as lifted, \\d+ operations\\ninsn pc=${seed} length=4\\n%1 = get\\.i64 x7\\n`),
  );
  assert.match(errors, new RegExp(`after the passes, \\d+ operations\\ninsn pc=${seed}`));
  assert.match(errors, /\(module\n/);
  assert.match(machine([...how, '--dump', 'ir:0x80000070']).errors, /^No region was made that holds 0x80000070\.$/m);
  const refused = machine([...how, '--dump', 'ir:-1']);
  assert.deepEqual([refused.code, refused.output], [2, '']);
  assert.match(refused.errors, /^dyno: --dump: .* is not something to dump; write .*\n$/);
});

test('limits end the guest with 124, and so does waiting for nothing', () => {
  assert.match(machine(['--bios', ECHO, '--max-insns', '1e5']).errors, /--max-insns are used up/);
  assert.match(machine(['--bios', ECHO, '--timeout', '0.3']).errors, /--timeout is over/);
  const { code, errors } = machine(['--bios', WAITING]);
  assert.equal(code, 124);
  assert.match(errors, /it waits, and nothing can happen any more/);
});

test('what a pipe holds is typed, Ctrl-A and all', () => {
  const { output } = machine(['--bios', ECHO, '--deterministic', '--max-insns', '1e5'], 'HAL\x01x');
  assert.equal(output, 'IBM\x02y');
});

test('with --deterministic what a pipe holds that is still open is typed, and that is said', async () => {
  const argv = [
    'emulate',
    '--machine',
    'virt',
    '--memory',
    '8M',
    '--bios',
    ECHO,
    '--deterministic',
    '--max-insns',
    '1e5',
  ];
  const child = spawn(dyno, argv);
  child.stdin.write('HAL');
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('latin1')));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString('latin1')));
  await new Promise((resolve) => child.once('close', resolve));
  child.stdin.destroy();
  assert.equal(output, 'IBM');
  assert.match(errors, /^dyno: standard input is still open: .*\ndyno: guest stopped: the --max-insns are used up\n$/);
});

test('no more is typed than anybody types', () => {
  const input = 'x'.repeat(65 * 2 ** 20);
  const { code, errors } = machine(['--bios', ECHO, '--deterministic'], input);
  assert.deepEqual(
    [code, errors],
    [2, 'dyno: --deterministic: standard input holds more than 64 MiB; redirect less, or from /dev/null\n'],
  );
});

test('the process does not end before all is written, however late that is read', async () => {
  const child = spawn(dyno, ['emulate', '--machine', 'virt', '--memory', '8M', '--bios', LOUD], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = new Promise((resolve) => child.once('close', resolve));
  let length = 0;
  // More than the pipe holds, and the guest has long powered off.
  await setTimeout(1500);
  child.stdout.on('data', (chunk: Buffer) => (length += chunk.length));
  assert.deepEqual([await closed, length], [0, 2 ** 20]);
});

test('a signal ends the machine in order', async () => {
  const child = spawn(dyno, ['emulate', '--machine', 'virt', '--memory', '8M', '--bios', ECHO]);
  child.stdin.write('@');
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGTERM');
  const code = await new Promise((resolve) => child.once('exit', resolve));
  assert.equal(code, 128 + 15);
});

test('at a terminal keys go to the guest as they are pressed, Ctrl-A h helps, Ctrl-A x leaves; the terminal is as before', async (t) => {
  const run = `stty -a > before; ${dyno} emulate --machine virt --memory 8M --bios ${ECHO}; echo "left $?"; stty -a > after`;
  const child = spawn('script', ['-qec', run, '/dev/null'], { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
  const started = await new Promise((resolve) => {
    child.once('error', () => resolve(false));
    child.once('spawn', () => resolve(true));
  });
  if (started === false) return t.skip('no script(1) here (Debian package bsdutils)');
  let shown = '';
  const until = (text: string) =>
    new Promise<void>((resolve) => {
      const look = (): void => {
        if (!shown.includes(text)) return;
        child.stdout.off('data', look);
        resolve();
      };
      child.stdout.on('data', look);
      look();
    });
  child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString('latin1')));
  // Raw mode comes with the machine; what is typed before is kept by the line discipline until a line ends.
  child.stdin.write('B\r');
  await until('C');
  child.stdin.write('\x03');
  await until('\x04');
  child.stdin.write('\x01h');
  await until('Ctrl-A x  leave');
  child.stdin.write('\x01x');
  await until('left 0');
  await new Promise((resolve) => child.once('exit', resolve));
  const settings = (name: string): string => fs.readFileSync(path.join(root, name), 'utf8');
  assert.equal(settings('after'), settings('before'));
});
