import assert from 'node:assert/strict';
import { X } from '../../emulator/isa/riscv/registers.ts';
import { StateOffset } from '../../emulator/layout/state.ts';
import { HartState, supervisorCall, type SbiMachine } from '../../emulator/machine/riscv-virt/sbi.ts';
import { defineBench } from '../harness/define-bench.ts';

const CALLS = 100;
const MESSAGE = 64;

interface State {
  readonly machine: SbiMachine;
  readonly registers: DataView;
  timers: number;
  written: number;
}

function setup(extension: bigint): State {
  const ram = new Uint8Array(4096);
  const registers = new DataView(new ArrayBuffer(0x1000));
  const machine: SbiMachine = {
    harts: 4,
    memory: { view: (gpa, length) => ram.subarray(gpa & 0xfff, (gpa & 0xfff) + length), written: () => {} },
    consoleWrite: (bytes) => (state.written += bytes.length),
    consoleRead: () => 0,
    setTimer: () => state.timers++,
    raiseSoftwareInterrupt: () => state.timers++,
    clearSoftwareInterrupt: () => false,
    fence: () => {},
    hartState: () => HartState.started,
    startHart: () => {},
    stopHart: () => {},
    suspendHart: () => {},
    systemReset: () => {},
    readVirtual: () => undefined,
  };
  const state: State = { machine, registers, timers: 0, written: 0 };
  registers.setBigUint64(X.offset + 8 * 17, extension, true);
  return state;
}

/** a0 and a1 are overwritten by the answer, so they are set anew for each call. */
function call({ machine, registers }: State, a0: bigint, a1: bigint): void {
  registers.setBigUint64(X.offset + 80, a0, true);
  registers.setBigUint64(X.offset + 88, a1, true);
  supervisorCall(machine, 0, registers);
}

const base = { unit: 'ns/call', kind: 'time', direction: 'lower', engine: 'mitata', items: () => CALLS } as const;

defineBench<State>({
  ...base,
  id: 'machine/sbi/set-timer',
  title: 'a supervisor call that sets the timer, registers included',
  setup: () => setup(0x5449_4d45n),
  work: (state) => {
    state.timers = 0;
    for (let n = 0; n < CALLS; n++) call(state, 1000n, 0n);
    return state.timers;
  },
  check: (state, timers) => {
    assert.equal(timers, CALLS);
    assert.equal(state.registers.getBigUint64(StateOffset.pc, true) % 4n, 0n);
  },
});

defineBench<State>({
  ...base,
  id: 'machine/sbi/send-ipi',
  title: 'a supervisor call that interrupts three of four harts',
  setup: () => setup(0x73_5049n),
  work: (state) => {
    state.timers = 0;
    for (let n = 0; n < CALLS; n++) call(state, 0b1110n, 0n);
    return state.timers;
  },
  check: (_, interrupts) => assert.equal(interrupts, 3 * CALLS),
});

defineBench<State>({
  ...base,
  id: 'machine/sbi/console-write',
  title: 'a supervisor call that writes 64 bytes to the console',
  setup: () => setup(0x4442_434en),
  work: (state) => {
    state.written = 0;
    for (let n = 0; n < CALLS; n++) call(state, BigInt(MESSAGE), 0x8000_0000n);
    return state.written;
  },
  check: (_, written) => assert.equal(written, MESSAGE * CALLS),
});
