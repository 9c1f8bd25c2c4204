import assert from 'node:assert/strict';
import { test } from 'node:test';
import { X } from '../../isa/riscv/registers.ts';
import { StateOffset } from '../../layout/state.ts';
import { callSbi, HartState, SbiError, supervisorCall, type SbiMachine } from './sbi.ts';

const BASE = 0x10n;
const TIME = 0x5449_4d45n;
const IPI = 0x73_5049n;
const RFENCE = 0x5246_4e43n;
const HSM = 0x48_534dn;
const SRST = 0x5352_5354n;
const DBCN = 0x4442_434en;
const ALL = (1n << 64n) - 1n;
const RAM = 0x8000_0000;

/** A machine that writes down what it is asked for. Hart 0 runs, the others are stopped. */
class Recorder implements SbiMachine {
  readonly log: string[] = [];
  readonly ram = new Uint8Array(4096);
  readonly harts: number;
  readonly states: HartState[];
  input = '';
  pending = false;
  readonly memory = {
    view: (gpa: number, length: number): Uint8Array<ArrayBuffer> | undefined =>
      gpa >= RAM && length >= 0 && gpa + length <= RAM + 4096
        ? this.ram.subarray(gpa - RAM, gpa - RAM + length)
        : undefined,
    written: (gpa: number, length: number): void => void this.log.push(`written ${gpa.toString(16)} ${length}`),
  };

  constructor(harts = 3) {
    this.harts = harts;
    this.states = Array.from({ length: harts }, (_, hart) => (hart === 0 ? HartState.started : HartState.stopped));
  }

  consoleWrite(bytes: Uint8Array): void {
    this.log.push(`console ${String.fromCharCode(...bytes)}`);
  }
  consoleRead(into: Uint8Array): number {
    const count = Math.min(into.length, this.input.length);
    into.set(new TextEncoder().encode(this.input.slice(0, count)));
    this.input = this.input.slice(count);
    return count;
  }
  setTimer(hart: number, deadline: bigint): void {
    this.log.push(`timer ${hart} ${deadline}`);
  }
  raiseSoftwareInterrupt(hart: number): void {
    this.log.push(`ipi ${hart}`);
  }
  clearSoftwareInterrupt(): boolean {
    const was = this.pending;
    this.pending = false;
    return was;
  }
  fence(hart: number, fence: object): void {
    this.log.push(`fence ${hart} ${Object.values(fence).join(' ')}`);
  }
  hartState(hart: number): HartState {
    return this.states[hart]!;
  }
  startHart(hart: number, address: bigint, argument: bigint): void {
    this.log.push(`start ${hart} ${address.toString(16)} ${argument}`);
  }
  stopHart(hart: number): void {
    this.log.push(`stop ${hart}`);
  }
  suspendHart(hart: number, resume?: { address: bigint; argument: bigint }): void {
    this.log.push(
      `suspend ${hart} ${resume === undefined ? '' : `${resume.address.toString(16)} ${resume.argument}`}`.trim(),
    );
  }
  systemReset(reset: string, failure: boolean): void {
    this.log.push(`${reset}${failure ? ' after a failure' : ''}`);
  }
  readVirtual(_hart: number, address: bigint): bigint | undefined {
    return address === 0x1000n ? 0b101n : undefined;
  }
}

interface Case {
  readonly what: string;
  readonly call: readonly [extension: bigint, functionId: bigint, ...values: bigint[]];
  /** a0 and a1; `gone` when the call does not return. */
  readonly reply: readonly [number] | readonly [number, bigint] | 'gone';
  readonly log?: readonly string[];
  readonly machine?: () => Recorder;
}

const ADDRESS = BigInt(RAM);
const CASES: readonly Case[] = [
  { what: 'Get SBI specification version: 2.0', call: [BASE, 0n], reply: [0, 0x0200_0000n] },
  { what: 'Get SBI implementation ID', call: [BASE, 1n], reply: [0, 0x6479_6e6fn] },
  { what: 'Get SBI implementation version', call: [BASE, 2n], reply: [0, 1n] },
  ...[BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, 0n, 8n].map((id): Case => ({
    what: `Probe SBI extension: 0x${id.toString(16)} is there`,
    call: [BASE, 3n, id],
    reply: [0, 1n],
  })),
  ...[9n, 0x50_4d55n, ALL].map((id): Case => ({
    what: `Probe SBI extension: 0x${id.toString(16)} is not`,
    call: [BASE, 3n, id],
    reply: [0, 0n],
  })),
  { what: 'Get machine vendor ID', call: [BASE, 4n], reply: [0, 0n] },
  { what: 'Get machine architecture ID', call: [BASE, 5n], reply: [0, 0n] },
  { what: 'Get machine implementation ID', call: [BASE, 6n], reply: [0, 0n] },
  {
    what: 'Binary Encoding: an absent function is not supported',
    call: [BASE, 7n],
    reply: [SbiError.notSupported, 0n],
  },
  {
    what: 'Binary Encoding: an absent extension is not supported',
    call: [0x1234n, 0n],
    reply: [SbiError.notSupported, 0n],
  },
  { what: 'Binary Encoding: a huge function number', call: [BASE, ALL], reply: [SbiError.notSupported, 0n] },
  { what: 'Legacy: reserved numbers', call: [0xfn, 0n], reply: [SbiError.notSupported, 0n] },

  { what: 'Set Timer', call: [TIME, 0n, 12345n], reply: [0, 0n], log: ['timer 0 12345'] },
  { what: 'Set Timer: never', call: [TIME, 0n, ALL], reply: [0, 0n], log: [`timer 0 ${ALL}`] },

  { what: 'Send IPI: by mask', call: [IPI, 0n, 0b101n, 0n], reply: [0, 0n], log: ['ipi 0', 'ipi 2'] },
  {
    what: 'Send IPI: the mask begins at its base',
    call: [IPI, 0n, 0b11n, 1n],
    reply: [0, 0n],
    log: ['ipi 1', 'ipi 2'],
  },
  { what: 'Send IPI: base -1 means all', call: [IPI, 0n, 0n, ALL], reply: [0, 0n], log: ['ipi 0', 'ipi 1', 'ipi 2'] },
  { what: 'Send IPI: to nobody', call: [IPI, 0n, 0n, 0n], reply: [0, 0n], log: [] },
  {
    what: 'Hart Mask Errors: a hart that is not there',
    call: [IPI, 0n, 0b1001n, 0n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  },
  {
    what: 'Hart Mask Errors: a base that is not there',
    call: [IPI, 0n, 1n, 3n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  },
  {
    what: 'Hart Mask Errors: a base beyond everything',
    call: [IPI, 0n, 1n, 1n << 63n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  },

  { what: 'Remote FENCE.I', call: [RFENCE, 0n, 0b10n, 0n], reply: [0, 0n], log: ['fence 1 instructions'] },
  {
    what: 'Remote SFENCE.VMA',
    call: [RFENCE, 1n, 1n, 0n, 0x1000n, 0x2000n],
    reply: [0, 0n],
    log: ['fence 0 translations 4096 8192'],
  },
  {
    what: 'Remote SFENCE.VMA: zeros mean everything',
    call: [RFENCE, 1n, 1n, 0n, 0n, 0n],
    reply: [0, 0n],
    log: ['fence 0 translations'],
  },
  {
    what: 'Remote SFENCE.VMA: all ones mean everything',
    call: [RFENCE, 1n, 1n, 0n, 5n, ALL],
    reply: [0, 0n],
    log: ['fence 0 translations'],
  },
  {
    what: 'Remote SFENCE.VMA with ASID',
    call: [RFENCE, 2n, 1n, 0n, 0n, 0n, 7n],
    reply: [0, 0n],
    log: ['fence 0 translations 7'],
  },
  {
    what: 'Remote HFENCE.GVMA: there is no hypervisor extension',
    call: [RFENCE, 4n, 1n, 0n],
    reply: [SbiError.notSupported, 0n],
    log: [],
  },
  {
    what: 'Remote fences check their harts',
    call: [RFENCE, 1n, 8n, 0n, 0n, 0n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  },

  { what: 'Hart start', call: [HSM, 0n, 1n, ADDRESS, 42n], reply: [0, 0n], log: ['start 1 80000000 42'] },
  {
    what: 'Hart start: no such hart',
    call: [HSM, 0n, 3n, ADDRESS, 0n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  },
  {
    what: 'Hart start: started already',
    call: [HSM, 0n, 0n, ADDRESS, 0n],
    reply: [SbiError.alreadyAvailable, 0n],
    log: [],
  },
  { what: 'Hart start: outside RAM', call: [HSM, 0n, 1n, 0x1000n, 0n], reply: [SbiError.invalidAddress, 0n], log: [] },
  {
    what: 'Hart start: misaligned',
    call: [HSM, 0n, 1n, ADDRESS + 1n, 0n],
    reply: [SbiError.invalidAddress, 0n],
    log: [],
  },
  {
    what: 'Hart start: beyond every address',
    call: [HSM, 0n, 1n, ALL - 1n, 0n],
    reply: [SbiError.invalidAddress, 0n],
    log: [],
  },
  { what: 'Hart stop: does not return', call: [HSM, 1n], reply: 'gone', log: ['stop 0'] },
  { what: 'Hart get status: started', call: [HSM, 2n, 0n], reply: [0, 0n] },
  { what: 'Hart get status: stopped', call: [HSM, 2n, 2n], reply: [0, 1n] },
  { what: 'Hart get status: no such hart', call: [HSM, 2n, ALL], reply: [SbiError.invalidParameter, 0n] },
  { what: 'Hart suspend: retentive', call: [HSM, 3n, 0n, 0n, 0n], reply: [0, 0n], log: ['suspend 0'] },
  {
    what: 'Hart suspend: non-retentive',
    call: [HSM, 3n, 0x8000_0000n, ADDRESS, 9n],
    reply: 'gone',
    log: ['suspend 0 80000000 9'],
  },
  {
    what: 'Hart suspend: type sign-extended to 64 bits',
    call: [HSM, 3n, 0xffff_ffff_8000_0000n, ADDRESS, 9n],
    reply: 'gone',
    log: ['suspend 0 80000000 9'],
  },
  {
    what: 'Hart suspend: non-retentive to nowhere',
    call: [HSM, 3n, 0x8000_0000n, 0n, 9n],
    reply: [SbiError.invalidAddress, 0n],
    log: [],
  },
  ...[1n, 0x1000_0000n, 0x8000_0001n, 0x9000_0000n].map((type): Case => ({
    what: `Hart suspend: type 0x${type.toString(16)}`,
    call: [HSM, 3n, type],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  })),

  { what: 'System reset: shutdown', call: [SRST, 0n, 0n, 0n], reply: 'gone', log: ['shutdown'] },
  {
    what: 'System reset: cold reboot after a failure',
    call: [SRST, 0n, 1n, 1n],
    reply: 'gone',
    log: ['cold reboot after a failure'],
  },
  { what: 'System reset: warm reboot', call: [SRST, 0n, 2n, 0n], reply: 'gone', log: ['warm reboot'] },
  ...[3n, 0xefff_ffffn, 0xf000_0000n].map((type): Case => ({
    what: `System reset: type 0x${type.toString(16)}`,
    call: [SRST, 0n, type, 0n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  })),
  ...[2n, 0xe000_0000n, 0xffff_ffffn].map((reason): Case => ({
    what: `System reset: reason 0x${reason.toString(16)}`,
    call: [SRST, 0n, 0n, reason],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  })),

  {
    what: 'Console Write',
    call: [DBCN, 0n, 2n, ADDRESS + 1n, 0n],
    reply: [0, 2n],
    log: ['console el'],
    machine: withHello,
  },
  { what: 'Console Write: nothing', call: [DBCN, 0n, 0n, ADDRESS, 0n], reply: [0, 0n], log: [] },
  {
    what: 'Console Write: over the end of RAM',
    call: [DBCN, 0n, 2n, ADDRESS + 4095n, 0n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  },
  {
    what: 'Console Write: a high half',
    call: [DBCN, 0n, 2n, ADDRESS, 1n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  },
  {
    what: 'Console Write: endless',
    call: [DBCN, 0n, ALL, ADDRESS, 0n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
  },
  {
    what: 'Console Read',
    call: [DBCN, 1n, 4n, ADDRESS, 0n],
    reply: [0, 4n],
    log: ['written 80000000 4'],
    machine: withInput,
  },
  { what: 'Console Read: nothing there', call: [DBCN, 1n, 4n, ADDRESS, 0n], reply: [0, 0n], log: [] },
  {
    what: 'Console Read: outside RAM',
    call: [DBCN, 1n, 4n, 0n, 0n],
    reply: [SbiError.invalidParameter, 0n],
    log: [],
    machine: withInput,
  },
  { what: 'Console Write Byte: eight bits of it', call: [DBCN, 2n, 0x141n], reply: [0, 0n], log: ['console A'] },

  { what: 'Legacy: Set Timer leaves a1 alone', call: [0n, 99n, 7n], reply: [0], log: ['timer 0 7'] },
  { what: 'Legacy: Console Putchar', call: [1n, 0n, 0x42n], reply: [0], log: ['console B'] },
  { what: 'Legacy: Console Getchar', call: [2n, 0n], reply: [0x74], machine: withInput },
  { what: 'Legacy: Console Getchar: nothing there', call: [2n, 0n], reply: [-1] },
  { what: 'Legacy: Clear IPI', call: [3n, 0n], reply: [0] },
  { what: 'Legacy: Send IPI through a pointer', call: [4n, 0n, 0x1000n], reply: [0], log: ['ipi 0', 'ipi 2'] },
  { what: 'Legacy: Send IPI to all', call: [4n, 0n, 0n], reply: [0], log: ['ipi 0', 'ipi 1', 'ipi 2'] },
  {
    what: 'Legacy: Send IPI through a bad pointer',
    call: [4n, 0n, 0x2000n],
    reply: [SbiError.invalidAddress],
    log: [],
  },
  {
    what: 'Legacy: Remote FENCE.I',
    call: [5n, 0n, 0x1000n],
    reply: [0],
    log: ['fence 0 instructions', 'fence 2 instructions'],
  },
  {
    what: 'Legacy: Remote SFENCE.VMA',
    call: [6n, 0n, 0n, 1n, 2n],
    reply: [0],
    log: [0, 1, 2].map((n) => `fence ${n} translations 1 2`),
  },
  {
    what: 'Legacy: Remote SFENCE.VMA with ASID',
    call: [7n, 0n, 0x1000n, 0n, 0n, 3n],
    reply: [0],
    log: ['fence 0 translations 3', 'fence 2 translations 3'],
  },
  { what: 'Legacy: System Shutdown', call: [8n, 0n], reply: 'gone', log: ['shutdown'] },
];

function withHello(): Recorder {
  const machine = new Recorder();
  machine.ram.set(new TextEncoder().encode('hello'));
  return machine;
}

function withInput(): Recorder {
  const machine = new Recorder();
  machine.input = 'typed';
  return machine;
}

for (const { what, call, reply, log, machine: build } of CASES) {
  test(what, () => {
    const machine = build?.() ?? new Recorder();
    const [extension, functionId, ...values] = call;
    const padded = [...values, 0n, 0n, 0n, 0n, 0n, 0n].slice(0, 6);
    const actual = callSbi(machine, 0, extension, functionId, padded);
    if (reply === 'gone') assert.equal(actual, undefined);
    else {
      const [error, value] = reply;
      assert.deepEqual(actual, value === undefined ? { error: BigInt(error) } : { error: BigInt(error), value });
    }
    if (log !== undefined) assert.deepEqual(machine.log, log);
  });
}

test('Legacy: Clear IPI says whether one was pending', () => {
  const machine = new Recorder();
  machine.pending = true;
  assert.deepEqual(callSbi(machine, 0, 3n, 0n, [0n]), { error: 1n });
  assert.deepEqual(callSbi(machine, 0, 3n, 0n, [0n]), { error: 0n });
});

test('what the console reads lands in guest memory', () => {
  const machine = withInput();
  callSbi(machine, 0, DBCN, 1n, [4n, ADDRESS, 0n]);
  assert.equal(String.fromCharCode(...machine.ram.subarray(0, 5)), 'type\0');
});

/** A vCPU's state with pc and registers set. */
function stateWith(registers: Readonly<Record<number, bigint>>): DataView {
  const state = new DataView(new ArrayBuffer(0x1000));
  state.setBigUint64(StateOffset.pc, 0xffff_ffff_8000_0100n, true);
  for (const [number, value] of Object.entries(registers))
    state.setBigUint64(X.offset + 8 * Number(number), value, true);
  return state;
}
const x = (state: DataView, number: number): bigint => state.getBigInt64(X.offset + 8 * number, true);

test('a call answers in a0 and a1, keeps the other registers, and the hart goes on behind the ecall', () => {
  const registers = Object.fromEntries(Array.from({ length: 31 }, (_, n) => [n + 1, BigInt(1000 + n)]));
  const state = stateWith({ ...registers, 16: 0n, 17: BASE });
  supervisorCall(new Recorder(), 0, state);
  assert.deepEqual([x(state, 10), x(state, 11)], [0n, 0x0200_0000n]);
  assert.equal(state.getBigUint64(StateOffset.pc, true), 0xffff_ffff_8000_0104n);
  for (let n = 1; n < 32; n++) if (![10, 11, 16, 17].includes(n)) assert.equal(x(state, n), BigInt(999 + n));
});

test('errors are negative numbers in a0', () => {
  const state = stateWith({ 10: 9n, 11: 9n, 17: 0xabcn });
  supervisorCall(new Recorder(), 0, state);
  assert.deepEqual([x(state, 10), x(state, 11)], [-2n, 0n]);
});

test('a legacy call leaves a1 alone, and one that does not return leaves both', () => {
  const legacy = stateWith({ 10: 0x41n, 11: 77n, 17: 1n });
  supervisorCall(new Recorder(), 0, legacy);
  assert.deepEqual([x(legacy, 10), x(legacy, 11)], [0n, 77n]);
  const gone = stateWith({ 10: 5n, 11: 77n, 16: 1n, 17: HSM });
  supervisorCall(new Recorder(), 0, gone);
  assert.deepEqual([x(gone, 10), x(gone, 11)], [5n, 77n]);
});

test('10^5 random calls: none throws, and every answer is a standard error or success', () => {
  let seed = 0x5b1;
  const next = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 4;
  const extensions = [BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, 0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, ALL];
  const values = [0n, 1n, 2n, 7n, 0x1000n, ADDRESS, ADDRESS + 4095n, 0x8000_0000n, 1n << 63n, ALL, ALL - 1n];
  const pick = <T>(list: readonly T[]): T => list[next() % list.length]!;
  const machine = new Recorder();
  for (let n = 0; n < 100_000; n++) {
    const extension = pick(extensions);
    const functionId = next() % 8 === 0 ? pick(values) : BigInt(next() % 8);
    machine.log.length = 0;
    const reply = callSbi(
      machine,
      next() % 3,
      extension,
      functionId,
      Array.from({ length: 6 }, () => pick(values)),
    );
    if (reply === undefined) continue;
    const legacyGetchar = extension === 2n;
    assert.ok(legacyGetchar || (reply.error <= 1n && reply.error >= -6n), `call ${n}`);
    assert.equal(reply.value === undefined, extension <= 8n, `call ${n}`);
  }
});
