import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../bits/float-operands.ts';
import { Random } from '../../ir/random.ts';
import { STATE_SIZE } from '../../layout/memory-map.ts';
import { StateOffset } from '../../layout/state.ts';
import { type HelperContext, QuickOutcome } from '../instruction.ts';
import { accessCsr, CsrOperation } from './csr.ts';
import { readCsrWord, Slot, writeCsrSlot } from './csr-storage.ts';
import { writeStatus } from './status.ts';
import { accessCsrQuickly } from './quick-csr.ts';
import { PRIVILEGE } from './registers.ts';

const CASES = 20_000;
const SSTATUS = 0x100;
const TIME = 0xc01;
const NUMBERS = [SSTATUS, SSTATUS, TIME, 0x300];
const OPERATIONS = Object.values(CsrOperation);

test('quick accesses to control registers do what the others do, or nothing', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const seen = { done: 0, stopped: 0, declined: 0 };
  for (let round = 0; round < CASES; round++) {
    const state = new DataView(new ArrayBuffer(STATE_SIZE));
    state.setUint32(PRIVILEGE.offset, random.pick([0, 1, 3]), true);
    writeStatus(state, BigInt(random.below(2 ** 24)));
    for (const slot of [Slot.mie, Slot.mip, Slot.mideleg, Slot.interruptLines])
      writeCsrSlot(state, slot, BigInt(random.chance(30) ? 0x222 : 0));
    for (const slot of [Slot.mcounteren, Slot.scounteren]) writeCsrSlot(state, slot, BigInt(random.below(4)));
    const number = random.pick(NUMBERS);
    const operation = random.pick(OPERATIONS);
    const operand = random.chance(25)
      ? BigInt(random.below(2 ** 31)) << BigInt(random.below(34))
      : random.pick([0n, 2n, 32n, 1n << 18n]);
    const expected = copyOf(state);
    const outcome = accessCsr(contextOf(expected), number, operation, operand);
    state.setBigUint64(StateOffset.arguments, BigInt(number), true);
    state.setBigUint64(StateOffset.arguments + 8, BigInt(operation), true);
    state.setBigUint64(StateOffset.arguments + 16, operand, true);
    const before = copyOf(state);
    const made = { changes: 0 };
    const quick = accessCsrQuickly(contextOf(state, () => made.changes++));
    const what = `${number.toString(16)} operation ${operation} operand ${operand.toString(16)}`;
    if (quick === QuickOutcome.declined) {
      seen.declined++;
      assert.deepEqual(state, before, what);
      assert.ok(number !== SSTATUS || 'trap' in outcome, `${what}: every trap of a kernel writes it`);
      continue;
    }
    seen[quick === QuickOutcome.stop ? 'stopped' : 'done']++;
    assert.ok('result' in outcome, what);
    assert.equal(state.getBigUint64(StateOffset.arguments, true), outcome.result, what);
    assert.equal(quick === QuickOutcome.stop, outcome.stop === true, what);
    // Where supervisor mode may reach has changed: the MMU was told.
    const changed = readCsrWord(before, Slot.mstatus) ^ readCsrWord(state, Slot.mstatus);
    assert.equal(made.changes, (changed & (3 << 18)) === 0 ? 0 : 1, what);
    state.setBigUint64(StateOffset.arguments, 0n, true);
    state.setBigUint64(StateOffset.arguments + 8, 0n, true);
    state.setBigUint64(StateOffset.arguments + 16, 0n, true);
    assert.deepEqual(state, expected, what);
  }
  context.diagnostic(JSON.stringify(seen));
  for (const [name, times] of Object.entries(seen)) assert.ok(times > 50, `${name}: ${times}`);
});

function copyOf(state: DataView): DataView {
  return new DataView((state.buffer as ArrayBuffer).slice(0));
}

function contextOf(state: DataView, translationChanged = () => {}): HelperContext {
  return {
    state,
    retired: () => 0n,
    time: () => 0x1234_5678_9abcn,
    flushCode: () => {},
    system: { translationChanged, protectionChanged: () => {}, fence: () => {}, fenceAddress: () => {} },
  };
}
