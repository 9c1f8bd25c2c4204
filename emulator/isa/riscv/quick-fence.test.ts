import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../bits/float-operands.ts';
import { Random } from '../../ir/random.ts';
import { STATE_SIZE } from '../../layout/memory-map.ts';
import { StateOffset } from '../../layout/state.ts';
import { type HelperContext, QuickOutcome, type SystemHooks } from '../instruction.ts';
import { riscv64 } from './index.ts';
import { PRIVILEGE } from './registers.ts';
import { Status, writeStatus } from './status.ts';

const CASES = 5000;

test('quick fences of an address do what the others do, or nothing', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const seen = { done: 0, declined: 0 };
  const { call, quick } = riscv64.helpers['sfence_vma']!;
  for (let round = 0; round < CASES; round++) {
    const state = new DataView(new ArrayBuffer(STATE_SIZE));
    state.setUint32(PRIVILEGE.offset, random.pick([0, 1, 3]), true);
    writeStatus(state, random.chance(20) ? Status.tvm : 0n);
    const half = () => BigInt(random.below(2 ** 32));
    const args = [BigInt(random.below(4)), (half() << 32n) | half(), half()];
    for (const [index, value] of args.entries()) state.setBigUint64(StateOffset.arguments + 8 * index, value, true);
    const before = new Uint8Array(state.buffer.slice(0));
    const expected: unknown[] = [];
    const outcome = call(contextOf(state, expected), args);
    const fences: unknown[] = [];
    const done = quick!(contextOf(state, fences));
    assert.deepEqual(new Uint8Array(state.buffer), before);
    if (done === QuickOutcome.declined) {
      seen.declined++;
      assert.deepEqual(fences, []);
      continue;
    }
    seen.done++;
    assert.equal(done, QuickOutcome.done);
    assert.ok('result' in outcome && outcome.stop !== true);
    assert.deepEqual(fences, expected);
  }
  context.diagnostic(JSON.stringify(seen));
  for (const [name, times] of Object.entries(seen)) assert.ok(times > 50, `${name}: ${times}`);
});

/** Writes down the fences of addresses. */
function contextOf(state: DataView, fences: unknown[]): HelperContext {
  const nothing = () => {};
  const fenceAddress = (low: number, high: number, asid: number | undefined) => void fences.push([low, high, asid]);
  const system: SystemHooks = {
    translationChanged: nothing,
    protectionChanged: nothing,
    fenceAddress,
    fence: (address, asid) => {
      if (address === undefined) return;
      fenceAddress(Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n)), asid);
    },
  };
  return { state, retired: () => 0n, time: () => 0n, flushCode: nothing, system };
}
