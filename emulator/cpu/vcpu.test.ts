import assert from 'node:assert/strict';
import { test } from 'node:test';
import { riscv64 } from '../isa/riscv/index.ts';
import { PRIVILEGE, Privilege, X } from '../isa/riscv/registers.ts';
import { Cause } from '../isa/riscv/trap.ts';
import { PAGE_SIZE, Permission, RECORDS_SIZE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind, StateOffset } from '../layout/state.ts';
import { FlatMemory } from '../memory/flat.ts';
import { RECORD_SIZE } from '../tier/interpreter/record.ts';
import { Vcpu } from './vcpu.ts';

const { read, write, execute } = Permission;
const CODE = 0x1_0000;
const DATA = 0x2_0000;

function assemble(memory: FlatMemory, at: number, ...lines: readonly string[]): number {
  for (const line of lines) {
    const bytes = riscv64.assemble(line, BigInt(at));
    assert.ok(!('error' in bytes), `${line}: ${'error' in bytes ? bytes.error : ''}`);
    memory.bytes.set(bytes, at);
    at += bytes.length;
  }
  return at;
}

/** A memory with a page of code, writable too, and a page of data; a vCPU at the code. */
function machine(...lines: readonly string[]): { memory: FlatMemory; vcpu: Vcpu } {
  const memory = new FlatMemory(1 << 20);
  memory.protect(CODE, PAGE_SIZE, read | write | execute);
  memory.protect(DATA, PAGE_SIZE, read | write);
  assemble(memory, CODE, ...lines);
  const vcpu = new Vcpu(riscv64, memory.memory, { guestSize: memory.size });
  vcpu.pc = BigInt(CODE);
  return { memory, vcpu };
}

const x = (vcpu: Vcpu, index: number) => vcpu.getRegister(X, index);

test('an environment call leaves with pc on it and does not retire', () => {
  const { vcpu } = machine('addi a0,zero,5', 'ecall');
  assert.equal(vcpu.run(100), ExitReason.trap);
  assert.deepEqual(
    [vcpu.cause, vcpu.pc, vcpu.counters.instructions],
    [Cause.environmentCallFromUser, BigInt(CODE + 4), 1],
  );
  assert.equal(x(vcpu, 10), 5n);
});

test('a budget of nothing does nothing', () => {
  const { vcpu } = machine('ecall');
  assert.equal(vcpu.run(0), ExitReason.budget);
  assert.deepEqual([vcpu.pc, vcpu.counters.instructions], [BigInt(CODE), 0]);
});

test('writes to x0 are lost', () => {
  const { vcpu } = machine('addi zero,zero,7', 'jal zero,0x10008', 'add a0,zero,zero', 'ecall');
  vcpu.setRegister(X, 10, 9n);
  vcpu.run(100);
  assert.deepEqual([x(vcpu, 0), x(vcpu, 10)], [0n, 0n]);
});

test('a store to code that has run is seen by the next fetch, with and without fence.i', () => {
  for (const fence of [true, false]) {
    // The loop runs its addi, overwrites it with the word in a1 and runs it again.
    const { memory, vcpu } = machine(
      'addi a0,a0,1',
      'sw a1,0(a2)',
      fence ? 'fence.i' : 'addi zero,zero,0',
      'addi a3,a3,-1',
      'bne a3,zero,0x10000',
      'ecall',
    );
    assemble(memory, DATA, 'addi a0,a0,100');
    vcpu.setRegister(X, 11, BigInt(memory.view.getUint32(DATA, true)));
    vcpu.setRegister(X, 12, BigInt(CODE));
    vcpu.setRegister(X, 13, 3n);
    assert.equal(vcpu.run(1000), ExitReason.trap);
    assert.equal(x(vcpu, 10), 201n, `fence ${fence}`);
    assert.equal(vcpu.counters.codeWrites, 3);
    vcpu.checkInvariants();
  }
});

test('a store may change the instruction right behind it', () => {
  const { memory, vcpu } = machine('sw a1,0(a2)', 'addi a0,zero,1', 'ecall');
  assemble(memory, DATA, 'addi a0,zero,2');
  vcpu.setRegister(X, 11, BigInt(memory.view.getUint32(DATA, true)));
  vcpu.setRegister(X, 12, BigInt(CODE + 4));
  vcpu.run(100);
  assert.equal(x(vcpu, 10), 2n);
});

test('code that the host changed runs after flushCode', () => {
  const { memory, vcpu } = machine('addi a0,zero,1', 'ecall');
  vcpu.run(100);
  assemble(memory, CODE, 'addi a0,zero,2');
  vcpu.flushCode(CODE, 4);
  vcpu.pc = BigInt(CODE);
  vcpu.run(100);
  assert.equal(x(vcpu, 10), 2n);
  assert.equal(vcpu.counters.pagesDropped, 1);
  vcpu.checkInvariants();
});

test('an instruction across two pages runs, and is fetched anew when the second page changes', () => {
  const { memory, vcpu } = machine();
  const at = CODE + PAGE_SIZE - 2;
  memory.protect(CODE + PAGE_SIZE, PAGE_SIZE, read | write | execute);
  assemble(memory, at, 'addi a0,zero,1', 'ecall');
  vcpu.pc = BigInt(at);
  vcpu.run(100);
  assert.equal(x(vcpu, 10), 1n);
  // The upper half holds the immediate: 0x0020_0513 is addi a0,zero,2.
  memory.view.setUint16(at + 2, 0x0020, true);
  vcpu.flushCode(CODE + PAGE_SIZE, 2);
  vcpu.pc = BigInt(at);
  vcpu.run(100);
  assert.equal(x(vcpu, 10), 2n);
  memory.protect(CODE + PAGE_SIZE, PAGE_SIZE, read);
  vcpu.flushCode(CODE + PAGE_SIZE, PAGE_SIZE);
  vcpu.pc = BigInt(at);
  assert.equal(vcpu.run(100), ExitReason.fault);
  assert.deepEqual([vcpu.cause, vcpu.value, vcpu.pc], [FaultKind.fetch, BigInt(CODE + PAGE_SIZE), BigInt(at)]);
});

test('control runs on from one page to the next', () => {
  const { memory, vcpu } = machine();
  memory.protect(CODE + PAGE_SIZE, PAGE_SIZE, read | execute);
  assemble(memory, CODE + PAGE_SIZE - 4, 'addi a0,a0,1', 'addi a0,a0,2', 'ecall');
  for (let pass = 1; pass <= 2; pass++) {
    vcpu.pc = BigInt(CODE + PAGE_SIZE - 4);
    assert.equal(vcpu.run(100), ExitReason.trap);
    assert.equal(x(vcpu, 10), BigInt(3 * pass));
  }
  assert.equal(vcpu.counters.instructions, 4);
});

test('addresses that cannot be fetched fault there', () => {
  const { memory, vcpu } = machine('ecall');
  for (const pc of [
    0n,
    BigInt(CODE + 1),
    BigInt(DATA),
    BigInt(memory.size),
    2n ** 32n + BigInt(CODE),
    2n ** 63n,
    2n ** 64n - 2n,
  ]) {
    vcpu.pc = pc;
    assert.equal(vcpu.run(10), ExitReason.fault, `pc ${pc}`);
    assert.deepEqual([vcpu.cause, vcpu.value, vcpu.pc], [FaultKind.fetch, pc, pc]);
  }
  assert.equal(vcpu.counters.instructions, 0);
});

test('a jump to an address that cannot be fetched retires and then faults', () => {
  const { vcpu } = machine('jalr ra,0(a0)');
  vcpu.setRegister(X, 10, 2n ** 40n);
  assert.equal(vcpu.run(10), ExitReason.fault);
  assert.deepEqual([vcpu.pc, vcpu.counters.instructions, x(vcpu, 1)], [2n ** 40n, 1, BigInt(CODE + 4)]);
});

test('accesses across pages are made whole or not at all', () => {
  const { memory, vcpu } = machine('sd a0,0(a1)', 'ld a2,0(a1)', 'ecall');
  memory.protect(DATA + PAGE_SIZE, PAGE_SIZE, read | write);
  vcpu.setRegister(X, 10, 0x0123_4567_89ab_cdefn);
  vcpu.setRegister(X, 11, BigInt(DATA + PAGE_SIZE - 3));
  assert.equal(vcpu.run(10), ExitReason.trap);
  assert.equal(x(vcpu, 12), 0x0123_4567_89ab_cdefn);
  memory.protect(DATA + PAGE_SIZE, PAGE_SIZE, read);
  memory.view.setBigUint64(DATA + PAGE_SIZE - 8, 0n, true);
  vcpu.pc = BigInt(CODE);
  assert.equal(vcpu.run(10), ExitReason.fault);
  assert.deepEqual([vcpu.cause, vcpu.value, vcpu.pc], [FaultKind.store, BigInt(DATA + PAGE_SIZE - 3), BigInt(CODE)]);
  assert.equal(vcpu.state.getUint32(StateOffset.faultWidth, true), 8);
  assert.equal(memory.view.getBigUint64(DATA + PAGE_SIZE - 8, true), 0n);
});

test('bytes that are no instruction trap with their bits as value', () => {
  const { memory, vcpu } = machine('addi a0,zero,1');
  memory.view.setUint32(CODE + 4, 0xffff_ffff, true);
  assert.equal(vcpu.run(10), ExitReason.trap);
  assert.deepEqual([vcpu.cause, vcpu.value, vcpu.pc], [Cause.illegalInstruction, 0xffff_ffffn, BigInt(CODE + 4)]);
  memory.view.setUint32(CODE + 4, 0xffff_0000, true);
  vcpu.flushCode(CODE, 8);
  assert.equal(vcpu.run(10), ExitReason.trap);
  assert.equal(vcpu.value, 0n, 'the other half of the word is another instruction');
});

test('more code than the decoded pages hold runs, decoded again after they are dropped', () => {
  const pages = Math.ceil(RECORDS_SIZE / ((PAGE_SIZE / riscv64.alignment) * RECORD_SIZE)) + 50;
  const memory = new FlatMemory((pages + 32) * PAGE_SIZE - (((pages + 32) * PAGE_SIZE) % 65536));
  memory.protect(CODE, pages * PAGE_SIZE - PAGE_SIZE, read | execute);
  const last = CODE + (pages - 2) * PAGE_SIZE;
  for (let at = CODE; at < last; at += PAGE_SIZE)
    assemble(memory, at, 'addi a0,a0,1', `jal zero,0x${(at + PAGE_SIZE).toString(16)}`);
  assemble(memory, last, 'ecall');
  const vcpu = new Vcpu(riscv64, memory.memory, { guestSize: memory.size });
  for (let pass = 1; pass <= 2; pass++) {
    vcpu.pc = BigInt(CODE);
    assert.equal(vcpu.run(1e6), ExitReason.trap);
    assert.equal(x(vcpu, 10), BigInt(pass * (pages - 2)));
    vcpu.checkInvariants();
  }
  assert.ok(vcpu.counters.pagesDropped > 900, 'pages were dropped');
});

test('a forked memory runs on in a vCPU of its own', () => {
  const { memory, vcpu } = machine('addi a0,a0,1', 'jal zero,0x10000');
  vcpu.run(10);
  const copy = memory.clone();
  const child = new Vcpu(riscv64, copy.memory, { guestSize: copy.size });
  assert.equal(child.pc, vcpu.pc);
  child.run(10);
  assert.deepEqual([x(child, 10), x(vcpu, 10)], [10n, 5n]);
  assert.deepEqual([child.counters.instructions, vcpu.counters.instructions], [10, 10]);
});

test('a second vCPU on the same memory decodes for itself', () => {
  const { memory, vcpu } = machine('addi a0,zero,1', 'ecall');
  vcpu.run(10);
  assemble(memory, CODE, 'addi a0,zero,2');
  const second = new Vcpu(riscv64, memory.memory, { guestSize: memory.size });
  second.pc = BigInt(CODE);
  second.run(10);
  assert.equal(x(second, 10), 2n);
});

test('the instruction counter is exact inside a run', () => {
  const { vcpu } = machine(
    'addi a0,zero,1',
    'csrrs a1,instret,zero',
    'addi a0,zero,1',
    'csrrs a2,instret,zero',
    'ecall',
  );
  vcpu.state.setUint32(PRIVILEGE.offset, Privilege.machine, true);
  vcpu.run(100);
  assert.deepEqual([x(vcpu, 11), x(vcpu, 12)], [1n, 3n]);
});
