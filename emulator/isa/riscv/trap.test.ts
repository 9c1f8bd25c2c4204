import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../bits/float-operands.ts';
import { Random } from '../../ir/random.ts';
import { STATE_SIZE } from '../../layout/memory-map.ts';
import { FaultKind, StateOffset } from '../../layout/state.ts';
import { accessCsr, CsrOperation } from './csr.ts';
import { readCsrSlot, Slot, writeCsrSlot } from './csr-storage.ts';
import {
  Interrupt,
  pendingBits,
  pendingInterrupt,
  setInterruptLine,
  updateSupervisorTimer,
  wakes,
} from './interrupt.ts';
import { readPmp, readRegime } from './regime.ts';
import { PRIVILEGE, Privilege } from './registers.ts';
import {
  Cause,
  causeOfFault,
  deliverInterrupt,
  deliverTrap,
  returnFromMachineTrap,
  returnFromSupervisorTrap,
} from './trap.ts';

function freshState(privilege: number, pc = 0x8000_1000n): DataView {
  const state = new DataView(new ArrayBuffer(STATE_SIZE));
  state.setUint32(PRIVILEGE.offset, privilege, true);
  state.setBigUint64(StateOffset.pc, pc, true);
  writeCsrSlot(state, Slot.mtvec, 0x8000_4000n);
  writeCsrSlot(state, Slot.stvec, 0xffff_ffff_8000_0000n);
  return state;
}

function summary(state: DataView) {
  return {
    privilege: state.getUint32(PRIVILEGE.offset, true),
    pc: state.getBigUint64(StateOffset.pc, true),
    status: readCsrSlot(state, Slot.mstatus),
  };
}

test('exceptions go to machine mode unless delegated from below it', () => {
  for (const privilege of [Privilege.user, Privilege.supervisor, Privilege.machine]) {
    for (const delegated of [false, true]) {
      const state = freshState(privilege);
      writeCsrSlot(state, Slot.medeleg, delegated ? 1n << 13n : ~(1n << 13n));
      writeCsrSlot(state, Slot.mstatus, 0xan);
      deliverTrap(state, Cause.loadPage, 0x1234n);
      const toSupervisor = delegated && privilege !== Privilege.machine;
      const [epc, cause, value] = toSupervisor
        ? [Slot.sepc, Slot.scause, Slot.stval]
        : [Slot.mepc, Slot.mcause, Slot.mtval];
      assert.equal(readCsrSlot(state, epc), 0x8000_1000n);
      assert.equal(readCsrSlot(state, cause), 13n);
      assert.equal(readCsrSlot(state, value), 0x1234n);
      // SIE or MIE is stacked, and so is the mode: SPP is bit 8, MPP bits 12 and 11.
      const status = toSupervisor
        ? 0x28n | (privilege === Privilege.user ? 0n : 0x100n)
        : 0x82n | (BigInt(privilege) << 11n);
      assert.deepEqual(summary(state), {
        privilege: toSupervisor ? Privilege.supervisor : Privilege.machine,
        pc: toSupervisor ? 0xffff_ffff_8000_0000n : 0x8000_4000n,
        status,
      });
      assert.equal(toSupervisor ? returnFromSupervisorTrap(state) : returnFromMachineTrap(state), 0x8000_1000n);
      assert.equal(summary(state).privilege, privilege);
    }
  }
});

test('an environment call names the mode it comes from', () => {
  for (const [privilege, code] of [
    [Privilege.user, 8n],
    [Privilege.supervisor, 9n],
    [Privilege.machine, 11n],
  ] as const) {
    const state = freshState(privilege);
    deliverTrap(state, Cause.environmentCallFromUser, 0n);
    assert.equal(readCsrSlot(state, Slot.mcause), code);
    assert.equal(readCsrSlot(state, Slot.mtval), 0n);
  }
});

test('only interrupts are spread over a vector', () => {
  const state = freshState(Privilege.user);
  writeCsrSlot(state, Slot.mtvec, 0x8000_4001n);
  deliverInterrupt(state, Interrupt.machineTimer);
  assert.equal(state.getBigUint64(StateOffset.pc, true), 0x8000_401cn);
  assert.equal(readCsrSlot(state, Slot.mcause), (1n << 63n) | 7n);
  deliverTrap(state, Cause.breakpoint, 0n);
  assert.equal(state.getBigUint64(StateOffset.pc, true), 0x8000_4000n);
  const delegated = freshState(Privilege.user);
  writeCsrSlot(delegated, Slot.stvec, 0x9000_0001n);
  writeCsrSlot(delegated, Slot.mideleg, 0x20n);
  deliverInterrupt(delegated, Interrupt.supervisorTimer);
  assert.deepEqual(summary(delegated), { privilege: Privilege.supervisor, pc: 0x9000_0014n, status: 0n });
  assert.equal(readCsrSlot(delegated, Slot.scause), (1n << 63n) | 5n);
});

/** The rules as the specification lists them, one interrupt after the other. */
function expectedInterrupt(
  pending: number,
  enabled: number,
  delegated: number,
  privilege: number,
  machineEnable: boolean,
  supervisorEnable: boolean,
): number | undefined {
  const order = [11, 3, 7, 9, 1, 5];
  const wanted = order.filter((code) => (pending >> code) & (enabled >> code) & 1);
  const toMachine = wanted.find((code) => ((delegated >> code) & 1) === 0);
  if (toMachine !== undefined && (privilege < 3 || machineEnable)) return toMachine;
  const toSupervisor = wanted.find((code) => ((delegated >> code) & 1) === 1);
  if (toSupervisor !== undefined && (privilege < 1 || (privilege === 1 && supervisorEnable))) return toSupervisor;
  return undefined;
}

test('the interrupt to take is the first in order that its mode does not mask', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  let taken = 0;
  for (let i = 0; i < 20_000; i++) {
    const privilege = random.pick([0, 1, 3]);
    const state = freshState(privilege);
    const [software, lines, enabled, delegated] = Array.from({ length: 4 }, () => random.below(4096) & 0xaaa) as [
      number,
      number,
      number,
      number,
    ];
    const [machineEnable, supervisorEnable] = [random.chance(50), random.chance(50)];
    writeCsrSlot(state, Slot.mip, BigInt(software & 0x222));
    for (let code = 1; code < 12; code += 2) setInterruptLine(state, code as Interrupt, ((lines >> code) & 1) === 1);
    writeCsrSlot(state, Slot.mie, BigInt(enabled));
    writeCsrSlot(state, Slot.mideleg, BigInt(delegated & 0x222));
    writeCsrSlot(state, Slot.mstatus, (machineEnable ? 8n : 0n) | (supervisorEnable ? 2n : 0n));
    const pending = (software & 0x222) | lines;
    const expected = expectedInterrupt(pending, enabled, delegated & 0x222, privilege, machineEnable, supervisorEnable);
    assert.equal(pendingInterrupt(state), expected, `seed ${seed}, ${i}`);
    assert.equal(wakes(state), (pending & enabled) !== 0);
    if (expected === undefined) continue;
    taken++;
    deliverInterrupt(state, expected as Interrupt);
    assert.notEqual(pendingInterrupt(state), expected, 'masked in its handler');
  }
  assert.ok(taken > 2000);
});

test('the supervisor timer follows stimecmp while menvcfg has it', () => {
  const state = freshState(Privilege.supervisor);
  let now = 100n;
  const context = { state, retired: () => 0n, time: () => now, flushCode: () => {} };
  const write = (number: number, value: bigint): void => {
    assert.ok('result' in accessCsr(context, number, CsrOperation.write, value), number.toString(16));
  };
  const pending = (): bigint => {
    const outcome = accessCsr(context, 0x344, CsrOperation.read, 0n);
    assert.ok('result' in outcome);
    return outcome.result;
  };
  state.setUint32(PRIVILEGE.offset, Privilege.machine, true);
  write(0x344, 0x20n);
  assert.equal(pending(), 0x20n, 'software may set it');
  write(0x14d, 150n);
  write(0x30a, 1n << 63n);
  assert.equal(pending(), 0n, 'no longer');
  write(0x344, 0x20n);
  assert.equal(pending(), 0n);
  now = 150n;
  assert.equal(pending(), 0x20n);
  write(0x14d, 151n);
  assert.equal(pending(), 0n);
  updateSupervisorTimer(state, 200n);
  assert.equal(pendingBits(state), 0x20);
  // The interrupt can be taken at once: the write that makes it so comes back.
  write(0x304, 0x20n);
  write(0x14d, ~0n);
  now = 0n;
  write(0x300, 8n);
  assert.deepEqual(accessCsr(context, 0x14d, CsrOperation.write, 0n), { result: (1n << 64n) - 1n, stop: true });
  write(0x30a, 0n);
  assert.equal(pending(), 0n, 'without the comparison its interrupt is gone');
});

test('every memory fault has its exception', () => {
  assert.deepEqual(
    [FaultKind.load, FaultKind.store, FaultKind.fetch, FaultKind.loadMisaligned, FaultKind.storeMisaligned].map(
      causeOfFault,
    ),
    [5, 7, 1, 4, 6],
  );
  assert.deepEqual([FaultKind.loadPage, FaultKind.storePage, FaultKind.fetchPage].map(causeOfFault), [13, 15, 12]);
});

test('the regime is read from satp, mstatus and menvcfg', () => {
  const state = freshState(Privilege.machine);
  const calls: string[] = [];
  const system = {
    translationChanged: () => calls.push('translation'),
    protectionChanged: () => calls.push('protection'),
    fence: () => calls.push('fence'),
    fenceAddress: () => calls.push('fence'),
  };
  const context = { state, retired: () => 0n, time: () => 0n, flushCode: () => {}, system };
  const write = (number: number, value: bigint) => accessCsr(context, number, CsrOperation.write, value);
  const regime = {
    levels: 0,
    rootPage: 0,
    asid: 0,
    fetchPrivilege: 0,
    dataPrivilege: 0,
    supervisorUserMemory: false,
    makeExecutableReadable: false,
    updateAccessedDirty: false,
    pageMemoryTypes: false,
  };
  readRegime(state, regime);
  assert.deepEqual(regime, { ...regime, levels: 0, fetchPrivilege: 3, dataPrivilege: 3 });
  for (const [mode, levels] of [
    [8n, 3],
    [9n, 4],
    [10n, 5],
  ] as const) {
    assert.deepEqual(write(0x180, (mode << 60n) | (0xabcdn << 44n) | 0xfff_1234_5678n).hasOwnProperty('trap'), false);
    write(0x300, (1n << 17n) | (1n << 11n) | (1n << 18n));
    write(0x30a, 3n << 61n);
    readRegime(state, regime);
    assert.deepEqual(regime, {
      levels,
      rootPage: 0xfff_1234_5678,
      asid: 0xabcd,
      fetchPrivilege: 3,
      dataPrivilege: 1,
      supervisorUserMemory: true,
      makeExecutableReadable: false,
      updateAccessedDirty: true,
      pageMemoryTypes: true,
    });
  }
  const before = readCsrSlot(state, Slot.satp);
  write(0x180, 11n << 60n);
  assert.equal(readCsrSlot(state, Slot.satp), before, 'a mode that does not exist changes nothing');
  assert.deepEqual(write(0x180, 0n), { result: before, stop: true });
  assert.deepEqual(write(0x3b0, 0n), { result: 0n, stop: true }, 'the next instruction may no longer be fetched');
  calls.length = 0;
  write(0x3b0, 0xffffn);
  write(0x3a0, 0x1fn);
  assert.deepEqual(calls, ['protection', 'protection']);
  const { configuration, address } = readPmp(state);
  assert.deepEqual([configuration[0], configuration[1], address[0], address[1]], [0x1f, 0, 0xffffn, 0n]);
});

test('no CSR number and no value does worse than an illegal-instruction trap', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  for (let i = 0; i < 40_000; i++) {
    const privilege = random.pick([0, 1, 3]);
    const state = freshState(privilege);
    const number = i % 4096;
    const helperContext = { state, retired: () => random.next(), time: () => random.next(), flushCode: () => {} };
    const operation = random.below(6);
    const outcome = accessCsr(helperContext, number, operation, random.next());
    if ('trap' in outcome) assert.equal(outcome.trap, Cause.illegalInstruction);
    else {
      assert.ok(outcome.result >= 0n && outcome.result < 1n << 64n, `0x${number.toString(16)}`);
      assert.ok(privilege >= ((number >> 8) & 3), 'not above its own mode');
    }
    const mpp = (readCsrSlot(state, Slot.mstatus) >> 11n) & 3n;
    assert.notEqual(mpp, 2n, 'MPP holds a mode that exists');
  }
});
