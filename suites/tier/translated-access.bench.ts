import assert from 'node:assert/strict';
import { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { Slot, writeCsrSlot } from '../../emulator/isa/riscv/csr-storage.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { Privilege, PRIVILEGE, X } from '../../emulator/isa/riscv/registers.ts';
import { Permission, STATE, STATE_SIZE } from '../../emulator/layout/memory-map.ts';
import { ExitReason } from '../../emulator/layout/state.ts';
import { governTranslation } from '../../emulator/machine/riscv-translation.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';
import { RAM, TestMachine } from '../../emulator/memory/test-machine.ts';
import { OPTIMIZED } from '../../emulator/tier/policy.ts';
import { defineBench } from '../harness/define-bench.ts';

const CODE = 0x1_0000;
const DATA = 0x10_0000;
const DATA_SIZE = 0x2_0000;
const SIZE = 1 << 21;
const SV39 = 8n << 60n;
/** Valid, to be read, written and executed in user mode, accessed and dirty. */
const LEAF = 0xdfn;
/** Register numbers: how often to go round, and where the data is. */
const [ROUNDS, BASE] = [10, 11];

/** Loops that hardly do anything but load and store; a0 rounds, then an environment call. `at`: the address of a line. */
const PROGRAMS = {
  copy: {
    title: 'a loop that copies 32 KiB word by word',
    rounds: 200,
    lines: (at: (line: number) => string) => [
      'add a3,a1,zero',
      'lui t0,0x8',
      'add a4,a1,t0',
      'lui a5,0x1',
      'ld t1,0(a3)',
      'sd t1,0(a4)',
      'addi a3,a3,8',
      'addi a4,a4,8',
      'addi a5,a5,-1',
      `bne a5,zero,${at(4)}`,
      'addi a0,a0,-1',
      `bne a0,zero,${at(0)}`,
      'ecall',
    ],
  },
  random: {
    title: 'a loop that adds to words at random places in 64 KiB',
    rounds: 500_000,
    lines: (at: (line: number) => string) => [
      'lui a5,0x10',
      'addi a5,a5,-8',
      'addi t0,a0,1',
      'slli t2,t0,0xd',
      'xor t0,t0,t2',
      'srli t2,t0,0x7',
      'xor t0,t0,t2',
      'slli t2,t0,0x11',
      'xor t0,t0,t2',
      'and t3,t0,a5',
      'add t3,t3,a1',
      'ld t4,0(t3)',
      'add t4,t4,t0',
      'sd t4,0(t3)',
      'addi a0,a0,-1',
      `bne a0,zero,${at(3)}`,
      'ecall',
    ],
  },
} as const;

function assemble(lines: (at: (line: number) => string) => readonly string[]): Uint8Array {
  const at = (line: number) => `0x${(CODE + 4 * line).toString(16)}`;
  const code = lines(at).map((line, index) => {
    const bytes = riscv64.assemble(line, BigInt(CODE + 4 * index));
    assert.ok(bytes instanceof Uint8Array && bytes.length === 4, line);
    return bytes;
  });
  return Buffer.concat(code);
}

/** What the data is at first. */
const INITIAL = Uint8Array.from({ length: DATA_SIZE }, (_, i) => Math.imul(i, 0x9e37_79b1) >>> 24);

interface Side {
  readonly vcpu: Vcpu;
  readonly state: DataView;
  readonly data: () => Uint8Array;
}

function flatSide(code: Uint8Array): Side {
  const memory = new FlatMemory(SIZE);
  memory.protect(CODE, 4096, Permission.read | Permission.execute);
  memory.protect(DATA, DATA_SIZE, Permission.read | Permission.write);
  memory.bytes.set(code, CODE);
  memory.bytes.set(INITIAL, DATA);
  const vcpu = new Vcpu(riscv64, memory.memory, { guestSize: SIZE, tiers: { policy: OPTIMIZED } });
  const state = new DataView(memory.memory.buffer, STATE, STATE_SIZE);
  return { vcpu, state, data: () => memory.bytes.slice(DATA, DATA + DATA_SIZE) };
}

/** The same addresses, mapped page by page to the end of RAM backwards. */
function translatedSide(code: Uint8Array): Side {
  const machine = new TestMachine(SIZE);
  const root = RAM;
  let next = root;
  const frameOf = (page: number) => SIZE - 4096 * (page + 1);
  const pages = [CODE, ...Array.from({ length: DATA_SIZE / 4096 }, (_, page) => DATA + 4096 * page)];
  pages.forEach((va, page) => machine.map(3, root, BigInt(va), RAM + frameOf(page), 0, LEAF, () => (next += 4096)));
  const bytes = new Uint8Array(machine.ram.buffer, machine.ram.byteOffset, SIZE);
  bytes.set(code, frameOf(0));
  for (let at = 0; at < DATA_SIZE; at += 4096) bytes.set(INITIAL.subarray(at, at + 4096), frameOf(1 + at / 4096));
  const state = new DataView(machine.memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
  state.setUint32(PRIVILEGE.offset, Privilege.user, true);
  writeCsrSlot(state, Slot.pmpConfiguration, 0x1fn);
  writeCsrSlot(state, Slot.pmpAddress, (1n << 54n) - 1n);
  writeCsrSlot(state, Slot.satp, SV39 | BigInt(root / 4096));
  const { memory, mmu } = machine;
  const hooks = governTranslation(state, mmu);
  const vcpu = new Vcpu(riscv64, memory, {
    guestSize: SIZE,
    translation: { mmu, hooks },
    tiers: { policy: OPTIMIZED },
  });
  const data = () => Buffer.concat(pages.slice(1).map((_, page) => bytes.slice(frameOf(page + 1), frameOf(page))));
  return { vcpu, state, data };
}

function run({ vcpu, state }: Side, rounds: number): number {
  state.setBigUint64(X.offset + 8 * ROUNDS, BigInt(rounds), true);
  state.setBigUint64(X.offset + 8 * BASE, BigInt(DATA), true);
  vcpu.pc = BigInt(CODE);
  const start = performance.now();
  let reason;
  while ((reason = vcpu.run(2 ** 30)) === ExitReason.budget);
  assert.equal(reason, ExitReason.trap);
  return performance.now() - start;
}

interface Both {
  readonly flat: Side;
  readonly translated: Side;
  turn: number;
}

for (const [name, { title, rounds, lines }] of Object.entries(PROGRAMS)) {
  defineBench<Both>({
    id: `tier/translated-access/${name}`,
    title: `${title}, in a region behind Sv39: its time over that with flat memory, side by side`,
    unit: 'times',
    kind: 'throughput',
    direction: 'lower',
    engine: 'tinybench',
    selfMeasured: true,
    target: { value: 2.5, from: 'issue 4' },
    setup: () => {
      const code = assemble(lines);
      const both = { flat: flatSide(code), translated: translatedSide(code), turn: 0 };
      // V8 puts the optimised code in place between two entries of the region.
      for (let i = 0; i < 5; i++) for (const side of [both.flat, both.translated]) run(side, rounds);
      return both;
    },
    work: (both) => {
      const { flat, translated } = both;
      // Which one goes first alternates, so that what the machine does meanwhile falls on both.
      if (both.turn++ % 2 === 0) {
        const first = run(flat, rounds);
        return run(translated, rounds) / first;
      }
      const first = run(translated, rounds);
      return first / run(flat, rounds);
    },
    check: ({ flat, translated }) => {
      assert.deepEqual(Buffer.from(translated.data()), Buffer.from(flat.data()));
      for (const { vcpu } of [flat, translated]) assert.ok(vcpu.tiers!.counters.regionInstructions > 1000);
    },
  });
}
