import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ConfigError } from '../../check/errors.ts';
import { riscv64 } from '../../isa/riscv/index.ts';
import { RAM_BASE } from './map.ts';
import { TIERS } from '../tier.ts';
import { VirtMachine, type RunLimits, type VirtOptions } from './machine.ts';

const RAM = 8 * 2 ** 20;
const KERNEL = RAM_BASE + 0x20_0000;

function assemble(address: number, lines: readonly string[]): Uint8Array {
  const bytes = lines.map((line, n) => {
    const word = riscv64.assemble(line, BigInt(address + 4 * n));
    assert.ok(word instanceof Uint8Array && word.length === 4, `${line}: ${JSON.stringify(word)}`);
    return word;
  });
  return Buffer.concat(bytes);
}

/** A program without firmware, in supervisor mode. */
const kernel = (...lines: string[]): Pick<VirtOptions, 'kernel'> => ({
  kernel: { origin: 'program', bytes: assemble(KERNEL, lines) },
});
/** The same in machine mode, as firmware. */
const firmware = (...lines: string[]): Pick<VirtOptions, 'firmware'> => ({
  firmware: { origin: 'program', bytes: assemble(RAM_BASE, lines) },
});

/** The finisher's word; 0x100000 is its address. */
const finish = (upper: string, lower: number): string[] => [
  'lui t0, 0x100',
  `lui t1, ${upper}`,
  `addiw t1, t1, ${lower}`,
  'sw t1, 0(t0)',
  'wfi',
  'jal zero, 0x80000010',
];
/** A supervisor call: extension in two halves, as lui and addiw take it, and the function. */
const call = (upper: string, lower: number, id: number): string[] => [
  `lui a7, ${upper}`,
  `addiw a7, a7, ${lower}`,
  `addi a6, zero, ${id}`,
  'ecall',
];
const SHUTDOWN = ['addi a0, zero, 0', 'addi a1, zero, 0', ...call('0x53525', 0x354, 0)];

async function run(options: VirtOptions, limits: RunLimits = {}) {
  let console = '';
  const machine = new VirtMachine({
    memorySize: RAM,
    deterministic: true,
    output: (bytes) => (console += Buffer.from(bytes).toString('latin1')),
    ...options,
  });
  try {
    const outcome = await machine.run({ maximumInstructions: 1e6, ...limits });
    return { outcome, console, machine, counters: machine.counters };
  } finally {
    machine.close();
  }
}

for (const tier of TIERS) {
  test(`${tier}: firmware ends the run by the finisher: power-off, failure with a code, reset`, async () => {
    const cases = [
      [finish('0x5', 0x555), { kind: 'exit', code: 0 }],
      [finish('0x2a3', 0x333), { kind: 'exit', code: 0x2a }],
      [finish('0x3', 0x333), { kind: 'exit', code: 1 }],
      [finish('0x7', 0x777), { kind: 'reset' }],
    ] as const;
    for (const [program, expected] of cases) {
      assert.deepEqual((await run({ tier, ...firmware(...program) })).outcome, expected);
    }
  });

  test(`${tier}: a kernel without firmware prints by a supervisor call and shuts the machine down`, async () => {
    const { outcome, console, counters } = await run({
      tier,
      ...kernel('addi a0, zero, 72', ...call('0x44424', 0x34e, 2), ...SHUTDOWN, 'jal zero, 0x80200000'),
    });
    assert.deepEqual([outcome, console], [{ kind: 'exit', code: 0 }, 'H']);
    assert.deepEqual(counters['exceptions'], { 9: 2 });
  });

  test(`${tier}: a hart that waits is woken by its timer, and deterministic waiting takes no instructions`, async () => {
    const { outcome, machine, counters } = await run({
      tier,
      ...kernel(
        'csrrwi zero, sie, 0',
        'addi t0, zero, 32',
        'csrrs zero, sie, t0',
        // The timer: 10^6 ticks, a tenth of a second.
        'lui a0, 0xf4',
        'addiw a0, a0, 0x240',
        ...call('0x54495', -0x2bb, 0),
        'wfi',
        ...SHUTDOWN,
      ),
    });
    assert.deepEqual(outcome, { kind: 'exit', code: 0 });
    assert.ok(machine.instructions < 30);
    assert.ok(machine.guestSeconds >= 0.1 && machine.guestSeconds < 0.1001);
    assert.equal(counters['idle-ticks'], 1_000_000);
  });
}

test('without firmware user mode may read the counters, as the vDSO of Linux does', async () => {
  const { console } = await run(
    kernel(
      'csrrs a0, scounteren, zero',
      'addi a0, a0, 48',
      ...call('0x44424', 0x34e, 2),
      // Into user mode, whose call comes to the handler behind it:
      'auipc t0, 0',
      'addi t0, t0, 24',
      'csrrw zero, sepc, t0',
      'addi t0, t0, 8',
      'csrrw zero, stvec, t0',
      'sret',
      'csrrs t1, time, zero',
      'ecall',
      'csrrs a0, scause, zero',
      'addi a0, a0, 48',
      ...call('0x44424', 0x34e, 2),
      ...SHUTDOWN,
    ),
  );
  assert.equal(console, '78', 'the call of user mode, not an illegal instruction');
});

test('a guest that waits for nothing has ended; with input to come it sleeps until the end', async () => {
  const waiting = kernel('wfi', 'jal zero, 0x80200000');
  assert.deepEqual((await run(waiting)).outcome, { kind: 'idle' });
  assert.deepEqual((await run(waiting, { inputEnded: () => false, timeout: 0.05 })).outcome, {
    kind: 'limit',
    limit: 'timeout',
  });
});

test('a budget of instructions is exact, a timeout ends an endless loop, stopping too', async () => {
  const endless = kernel('addi t0, t0, 1', 'jal zero, 0x80200000');
  const { outcome, machine } = await run(endless, { maximumInstructions: 123_457 });
  assert.deepEqual([outcome, machine.instructions], [{ kind: 'limit', limit: 'instructions' }, 123_457]);
  const forever = { maximumInstructions: Infinity };
  assert.deepEqual((await run(endless, { ...forever, timeout: 0.05 })).outcome, { kind: 'limit', limit: 'timeout' });
  assert.deepEqual((await run(endless, { ...forever, stopped: () => true })).outcome, { kind: 'stopped' });
});

test('a second machine takes its regions from the directory of the first, and another kernel does not', async (context) => {
  const cacheDirectory = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-machine-'));
  context.after(() => fs.rmSync(cacheDirectory, { recursive: true, force: true }));
  const counting = (limit: number) => [
    `addi t1, zero, ${limit}`,
    'addi t0, t0, 1',
    'bne t0, t1, 0x80200004',
    ...SHUTDOWN,
  ];
  const boot = async (limit: number) => {
    const machine = new VirtMachine({
      memorySize: RAM,
      deterministic: true,
      tier: 'optimized',
      cacheDirectory,
      ...kernel(...counting(limit)),
    });
    try {
      assert.deepEqual(await machine.run({ maximumInstructions: 1e6 }), { kind: 'exit', code: 0 });
      machine.saveCode();
      const { translation, cache } = machine.counters as Record<string, Record<string, number>>;
      const { instructions } = machine;
      return { instructions, ...translation, ...cache };
    } finally {
      machine.close();
    }
  };
  const [first, second, other] = [await boot(1000), await boot(1000), await boot(999)] as Record<string, number>[];
  assert.ok(first!['translated']! > 0 && first!['saved'] === first!['translated']);
  assert.deepEqual([second!['translated'], second!['reused']], [0, first!['translated']]);
  assert.equal(second!['instructions'], first!['instructions']);
  assert.deepEqual([other!['loaded'], other!['reused']], [0, 0]);
  assert.ok(other!['translated']! > 0 && other!['instructions']! < first!['instructions']!);
});

test('traps that nobody takes end the run and are named', async () => {
  // mtvec is 0, where nothing can be fetched.
  const { outcome } = await run(firmware('ebreak'), { maximumInstructions: Infinity });
  assert.deepEqual(outcome, { kind: 'trap', cause: 3, pc: 0n });
});

test('what is typed comes out of the serial port, at its own pace', async () => {
  const typed = 'a line that is longer than the FIFO of the serial port';
  const options = kernel(
    'lui t0, 0x10000',
    // A byte, when there is one:
    'lbu t1, 5(t0)',
    'andi t1, t1, 1',
    'beq t1, zero, 0x80200004',
    'lbu t2, 0(t0)',
    'sb t2, 0(t0)',
    'jal zero, 0x80200004',
  );
  let console = '';
  const machine = new VirtMachine({
    memorySize: RAM,
    deterministic: true,
    ...options,
    output: (bytes) => (console += Buffer.from(bytes).toString('latin1')),
  });
  machine.type(Buffer.from(typed));
  await machine.run({ maximumInstructions: 1000 });
  machine.close();
  assert.equal(console, typed);
});

test('after a reset the guest begins anew: its program is as it was loaded, time goes on', async () => {
  // The first time it overwrites its own first instruction with what powers off instead.
  const machine = new VirtMachine({
    memorySize: RAM,
    deterministic: true,
    ...firmware('sw zero, 0x100(zero)', 'jal zero, 0x80000000'),
  });
  const ram = machine.bus.view(RAM_BASE, 8)!;
  const loaded = Uint8Array.from(ram);
  await machine.run({ maximumInstructions: 10, timeout: 1 });
  ram.fill(0);
  machine.bus.written(RAM_BASE, 8);
  const before = machine.guestSeconds;
  machine.reset();
  assert.deepEqual(Uint8Array.from(ram), loaded);
  assert.equal(machine.engine.pc, BigInt(RAM_BASE));
  assert.ok(machine.guestSeconds >= before);
  machine.close();
});

test('two deterministic runs are the same to the last counter, and a hart’s time is its instructions', async () => {
  // Prints the low byte of time again and again, between supervisor calls.
  const program = kernel('csrrs a0, time, zero', ...call('0x44424', 0x34e, 2), 'jal zero, 0x80200000');
  const [first, second] = [await run(program), await run(program)];
  assert.equal(first.console.length > 1000, true);
  assert.equal(first.console, second.console);
  assert.deepEqual(first.counters, second.counters);
});

test('what cannot be built is refused, and leaves no file open', () => {
  const build = (options: VirtOptions) => () => new VirtMachine(options);
  assert.throws(build({}), (error: unknown) => error instanceof ConfigError && /nothing to run/.test(error.message));
  assert.throws(build({ ...kernel('wfi'), memorySize: 12_345 }), ConfigError);
  assert.throws(
    build({
      ...kernel('wfi'),
      memorySize: RAM,
      drives: [{ file: '/nonexistent', size: 0, readOnly: false, snapshot: false, sectorSize: 512, serial: undefined }],
    }),
    /cannot be opened/,
  );
});
