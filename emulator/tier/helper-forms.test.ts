import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { type HelperContext } from '../isa/instruction.ts';
import { accessCsr, CsrOperation } from '../isa/riscv/csr.ts';
import { Slot, writeCsrSlot } from '../isa/riscv/csr-storage.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { PRIVILEGE } from '../isa/riscv/registers.ts';
import { writeStatus } from '../isa/riscv/status.ts';
import { ALL_SPACES } from '../memory/forget-code.ts';
import { halves } from '../memory/test-machine.ts';
import { GUEST, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import { withForms } from './helper-forms.ts';

const CASES = 30_000;
const { csr: CSR } = riscv64.helpers;
const FORMS = CSR!.forms!.map(({ argument }) => argument!);
const NUMBERS = [...FORMS, 0x100, 0x002, 0x144, 0x300, 0xc01];
const OPERATIONS = Object.values(CsrOperation);
const MACHINE_SLOTS = [Slot.mie, Slot.mip, Slot.mideleg, Slot.interruptLines];
const STORED_SLOTS = [Slot.sscratch, Slot.scause, Slot.stval];

test('forms of helpers do what the helpers do, or leave it to them', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const memory = new WebAssembly.Memory({ initial: GUEST / 65536 });
  const state = new DataView(memory.buffer, STATE, STATE_SIZE);
  let left = 0;
  const helper = withForms(
    riscv64,
    memory,
    (index) => {
      assert.equal(Object.values(riscv64.helpers)[index], CSR);
      left++;
      return 1;
    },
    noFence,
  );
  const index = Object.values(riscv64.helpers).indexOf(CSR!);
  const done = new Map<number, number>();
  for (let round = 0; round < CASES; round++) {
    const number = random.pick(NUMBERS);
    const operation = random.pick(OPERATIONS);
    const operand = operation === CsrOperation.read ? 0n : operandOf(random);
    prepare(state, random);
    state.setBigUint64(StateOffset.arguments, BigInt(number), true);
    state.setBigUint64(StateOffset.arguments + 8, BigInt(operation), true);
    state.setBigUint64(StateOffset.arguments + 16, operand, true);
    const before = copyOf(state);
    const after = copyOf(state);
    const expected = accessCsr(contextOf(after), number, operation, operand);
    const declined = left;
    const status = helper(index);
    const what = `${number.toString(16)} operation ${operation} operand ${operand.toString(16)}`;
    if (left !== declined) {
      assert.equal(status, 1, what);
      assert.ok(isSame(state, before), `${what}: declined, and something has changed`);
      continue;
    }
    assert.equal(status, 0, what);
    assert.ok('result' in expected, what);
    assert.equal(expected.stop ?? false, false, what);
    after.setBigUint64(StateOffset.arguments, expected.result, true);
    assert.ok(isSame(state, after), what);
    done.set(number, (done.get(number) ?? 0) + 1);
  }
  context.diagnostic(JSON.stringify([...done]));
  assert.deepEqual(new Set(done.keys()), new Set(FORMS), 'every form has done something, and nothing else has');
  for (const [number, times] of done) assert.ok(times > 100 && left > 100, `${number}: ${times}`);
});

test('forms of fences do what the helpers do, or leave it to them', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const memory = new WebAssembly.Memory({ initial: GUEST / 65536 });
  const state = new DataView(memory.buffer, STATE, STATE_SIZE);
  const helpers = Object.keys(riscv64.helpers);
  const seen = { done: 0, refused: 0, declined: 0 };
  let left = 0;
  let fences: unknown[] = [];
  let isPlain = true;
  const helper = withForms(
    riscv64,
    memory,
    () => {
      left++;
      return 1;
    },
    (...fence) => {
      if (isPlain) fences.push(fence);
      return isPlain ? 1 : 0;
    },
  );
  for (let round = 0; round < CASES; round++) {
    prepare(state, random);
    const args = [BigInt(random.below(4)), operandOf(random), operandOf(random)];
    for (const [index, value] of args.entries()) state.setBigUint64(StateOffset.arguments + 8 * index, value, true);
    const before = copyOf(state);
    const expected: unknown[] = [];
    const outcome = riscv64.helpers['sfence_vma']!.call(contextOf(state, expected), args);
    isPlain = random.chance(80);
    const isDone = args[0] === 1n && 'result' in outcome && isPlain;
    seen[isDone ? 'done' : isPlain ? 'declined' : 'refused']++;
    const declined = left;
    assert.equal(helper(helpers.indexOf('sfence_vma')), isDone ? 0 : 1);
    assert.equal(left, isDone ? declined : declined + 1);
    assert.deepEqual(fences, isDone ? expected : []);
    assert.equal(helper(helpers.indexOf('fence_i')), 0, 'nothing is left to be done');
    assert.equal(left, isDone ? declined : declined + 1);
    assert.ok(isSame(state, before));
    fences = [];
  }
  context.diagnostic(JSON.stringify(seen));
  for (const [name, times] of Object.entries(seen)) assert.ok(times > 100, `${name}: ${times}`);
});

const noFence = (): number => assert.fail('a control register fences nothing');

function operandOf(random: Random): bigint {
  if (random.chance(50)) return random.pick([0n, 2n, 32n, 0x122n, 1n << 18n, 0x6000n]);
  return BigInt.asUintN(64, (BigInt(random.below(2 ** 31)) << BigInt(random.below(34))) - BigInt(random.below(2)));
}

function prepare(state: DataView, random: Random): void {
  state.setUint32(PRIVILEGE.offset, random.pick([0, 1, 1, 3]), true);
  writeStatus(state, BigInt(random.below(2 ** 24)));
  state.setUint32(StateOffset.floatFlags, random.below(32), true);
  for (const slot of MACHINE_SLOTS) writeCsrSlot(state, slot, BigInt(random.chance(30) ? 0x222 : 0));
  for (const slot of STORED_SLOTS) writeCsrSlot(state, slot, operandOf(random));
  // No instruction's address is odd, nor can it be made so.
  writeCsrSlot(state, Slot.sepc, operandOf(random) & ~1n);
}

function bytesOf(state: DataView): Buffer {
  return Buffer.from(state.buffer, state.byteOffset, state.byteLength);
}

function copyOf(state: DataView): DataView {
  return new DataView(new Uint8Array(bytesOf(state)).buffer);
}

function isSame(state: DataView, other: DataView): boolean {
  return bytesOf(state).equals(bytesOf(other));
}

/** Writes down the fences of addresses in all address spaces, and others as undefined. */
function contextOf(state: DataView, fences: unknown[] = []): HelperContext {
  const nothing = () => {};
  return {
    state,
    retired: () => 0n,
    time: () => 0n,
    flushCode: nothing,
    system: {
      translationChanged: nothing,
      protectionChanged: nothing,
      fence: (address, asid) => {
        const isOne = address !== undefined && asid === undefined;
        fences.push(isOne ? [...halves(address), ALL_SPACES] : undefined);
      },
      fenceAddress: nothing,
    },
  };
}
