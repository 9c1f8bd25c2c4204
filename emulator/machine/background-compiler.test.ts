import assert from 'node:assert/strict';
import { test } from 'node:test';
import { riscv64 } from '../isa/riscv/index.ts';
import { Privilege, PRIVILEGE, X } from '../isa/riscv/registers.ts';
import { GUEST, PAGE_SIZE, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason } from '../layout/state.ts';
import { Bus } from '../memory/bus.ts';
import { FlatMemory } from '../memory/flat.ts';
import { Mmu } from '../memory/mmu.ts';
import { Vcpu } from '../cpu/vcpu.ts';
import type { TranslationOptions } from '../tier/interpreter/interpreter.ts';
import { AUTO } from '../tier/policy.ts';
import { BackgroundCompiler } from './background-compiler.ts';
import { governTranslation } from './riscv-translation.ts';

const SIZE = 1 << 22;
const CODE = 0x1_0000;
const POLICY = { ...AUTO, backgroundAfter: 0, backgroundWork: 0, backgroundCost: 20_000 };
const SUBJECT = { isa: 'riscv64', guestSize: SIZE, translated: false, policy: POLICY, disabledPasses: [] };
/** Begins with nothing to wait for, so the thread has all the time that a loaded machine gives it. */
const MOST_ROUNDS = 3_000;

/** Adds up what a loop of four instructions counts down. */
function load(): FlatMemory {
  const memory = new FlatMemory(SIZE);
  let at = CODE;
  for (const line of ['add a0,a0,a1', 'addi a1,a1,-1', 'xor a2,a2,a0', `jal zero,0x${CODE.toString(16)}`]) {
    const encoded = riscv64.assemble(line, BigInt(at));
    assert.ok(!('error' in encoded), line);
    memory.bytes.set(encoded, at);
    at += encoded.length;
  }
  memory.permission.fill(Permission.read | Permission.execute, CODE / PAGE_SIZE, CODE / PAGE_SIZE + 1);
  return memory;
}

/** The same memory as RAM of a machine: from there on, guest addresses and places are different. */
const RAM = 0x8000_0000;

function start(compilers?: BackgroundCompiler, translated = false): Vcpu {
  const { memory } = load();
  const tiers = compilers === undefined ? {} : { tiers: { policy: POLICY, compilers } };
  const translation = translated ? { translation: machineMode(memory) } : {};
  const vcpu = new Vcpu(riscv64, memory, { guestSize: SIZE, ...translation, ...tiers });
  vcpu.pc = BigInt(CODE + (translated ? RAM : 0));
  vcpu.setRegister(X, 11, 1n << 40n);
  return vcpu;
}

function machineMode(memory: WebAssembly.Memory): TranslationOptions {
  const bus = new Bus(memory);
  bus.addRam('RAM', RAM, SIZE, GUEST);
  const mmu = new Mmu(memory, bus);
  const state = new DataView(memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
  state.setUint32(PRIVILEGE.offset, Privilege.machine, true);
  return { mmu, hooks: governTranslation(state, mmu) };
}

/** Runs until something is so, and gives how far it got. */
function runUntil(vcpu: Vcpu, isSo: () => boolean): number {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let round = 0; round < MOST_ROUNDS && !isSo(); round++) {
    assert.equal(vcpu.run(50_000), ExitReason.budget);
    Atomics.wait(sleeper, 0, 0, 1);
  }
  assert.ok(isSo(), `it has come to that: ${JSON.stringify({ ...vcpu.counters, ...vcpu.tiers?.translation })}`);
  return vcpu.counters.instructions;
}

function registersAfter(instructions: number): bigint[] {
  const vcpu = start();
  assert.equal(vcpu.run(instructions), ExitReason.budget);
  return [10, 11, 12].map((index) => vcpu.getRegister(X, index));
}

for (const translated of [false, true])
  test(`a thread compiles what is hot while the guest goes on, with the same result${translated ? ', behind an MMU' : ''}`, () =>
    compilesBeside(translated));

async function compilesBeside(translated: boolean): Promise<void> {
  const compiler = new BackgroundCompiler({ ...SUBJECT, translated });
  try {
    compiler.start();
    // Nothing runs before, so that no region is made by the guest's own thread.
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    for (let wait = 0; wait < MOST_ROUNDS && !compiler.ready; wait++) {
      compiler.receive();
      Atomics.wait(sleeper, 0, 0, 1);
    }
    assert.ok(compiler.ready, compiler.failure ?? 'it gets ready');
    const vcpu = start(compiler, translated);
    const { translation } = vcpu.tiers!;
    const instructions = runUntil(vcpu, () => (vcpu.tiers?.counters.regionInstructions ?? 0) > 0);
    assert.deepEqual([translation.translated, translation.compilersLost], [1, 0]);
    assert.deepEqual(
      [10, 11, 12].map((index) => vcpu.getRegister(X, index)),
      registersAfter(instructions),
    );
  } finally {
    await compiler.close();
  }
}

test('a thread that cannot work says why, and the guest compiles for itself', async () => {
  const compiler = new BackgroundCompiler({ ...SUBJECT, isa: 'pdp11' });
  try {
    const vcpu = start(compiler);
    const { translation } = vcpu.tiers!;
    const instructions = runUntil(vcpu, () => translation.compilersLost === 1 && translation.translated > 0);
    assert.match(compiler.failure ?? '', /RISC-V/);
    assert.deepEqual(
      [10, 11, 12].map((index) => vcpu.getRegister(X, index)),
      registersAfter(instructions),
    );
  } finally {
    await compiler.close();
  }
});

test('the thread is begun when guests have run and translated enough, all together', async () => {
  const policy = { ...POLICY, backgroundAfter: 1000, backgroundWork: 100 };
  const compiler = new BackgroundCompiler({ ...SUBJECT, policy });
  const [first, second] = [compiler.connect(), compiler.connect()];
  try {
    first.ran(5000, 60);
    // A guest tells its own sums, so this is no more than before.
    first.ran(6000, 60);
    assert.equal(compiler.begun, false, 'little has been translated');
    second.ran(1, 40);
    assert.equal(compiler.begun, true);
  } finally {
    await compiler.close();
  }
  const other = new BackgroundCompiler({ ...SUBJECT, policy });
  other.connect().ran(900, 5000);
  assert.equal(other.begun, false, 'little has been run');
  await other.close();
});
