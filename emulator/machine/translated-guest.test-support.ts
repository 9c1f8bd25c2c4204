/** A guest in user mode whose pages lie scattered in RAM, while page tables, address spaces and code change as a seed says. */
import { createHash } from 'node:crypto';
import { CODE, CODE_SIZE, PAGES, type randomImage } from '../cpu/random-code.test-support.ts';
import type { Tiers } from '../cpu/random-policy.test-support.ts';
import { Vcpu } from '../cpu/vcpu.ts';
import { Random } from '../ir/random.ts';
import { Slot, writeCsrSlot } from '../isa/riscv/csr-storage.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { Privilege, PRIVILEGE, X } from '../isa/riscv/registers.ts';
import { GUEST, PAGE_SIZE, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, REGISTERS, StateOffset } from '../layout/state.ts';
import { Bus } from '../memory/bus.ts';
import { Mmu } from '../memory/mmu.ts';
import { governTranslation } from './riscv-translation.ts';
import type { SystemReference } from './system-reference.ts';

/** What memory and state hold at first. */
export type Start = ReturnType<typeof randomImage>;

export const RAM = 0x8000_0000;
export const RAM_SIZE = 1 << 20;
/** Pages that the guest's may lie in; the page tables are behind them. */
const PHYSICAL = 64;
const SV39 = 8n << 60n;
/** Of menvcfg: accessed and dirty bits are set by hardware. */
const ADUE = 1n << 61n;
/** Instructions between two changes of the address space. */
const EVENT = 400;

export const memory = new WebAssembly.Memory({ initial: (GUEST + RAM_SIZE) / 65536 });
const ram = new DataView(memory.buffer, GUEST, RAM_SIZE);
export const ramBytes = new Uint8Array(memory.buffer, GUEST, RAM_SIZE);

/** Places of the 16 guest pages in RAM, in two address spaces that share what is not code. */
export interface Layout {
  readonly spaces: readonly (readonly number[])[];
  readonly hardwareDirty: boolean;
}

export function layoutOf(random: Random): Layout {
  const free = Array.from({ length: PHYSICAL }, (_, page) => page);
  const take = () => free.splice(random.below(free.length), 1)[0]!;
  const first = PAGES.map(take);
  const second = first.map((page, index) =>
    index * PAGE_SIZE >= CODE && index * PAGE_SIZE < CODE + CODE_SIZE ? take() : page,
  );
  return { spaces: [first, second], hardwareDirty: random.chance(50) };
}

const root = (space: number) => PHYSICAL + 4 * space;

function pte(space: number, page: number): number {
  return (root(space) + 2) * PAGE_SIZE + 8 * page;
}

export function mapPage(space: number, page: number, place: number, allowed: number, accessed: boolean): void {
  const flags =
    ((allowed & Permission.read) !== 0 ? 2 : 0) |
    ((allowed & Permission.write) !== 0 ? 4 : 0) |
    ((allowed & Permission.execute) !== 0 ? 8 : 0);
  const number = BigInt(RAM / PAGE_SIZE + place);
  ram.setBigUint64(
    pte(space, page),
    flags === 0 ? 0n : (number << 10n) | BigInt(flags | 0x11 | (accessed ? 0xc0 : 0)),
    true,
  );
}

export function setUp(start: Start, layout: Layout): void {
  ramBytes.fill(0);
  new Uint8Array(memory.buffer, STATE, STATE_SIZE).set(start.state);
  for (const [space, places] of layout.spaces.entries()) {
    const table = (level: number) => BigInt(RAM / PAGE_SIZE + root(space) + level);
    ram.setBigUint64(root(space) * PAGE_SIZE, (table(1) << 10n) | 1n, true);
    ram.setBigUint64((root(space) + 1) * PAGE_SIZE, (table(2) << 10n) | 1n, true);
    places.forEach((place, page) => {
      ramBytes.set(start.guest.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE), place * PAGE_SIZE);
      mapPage(space, page, place, PAGES[page] ?? 0, !layout.hardwareDirty);
    });
    // The second address space has other code in the same place: the first's, an instruction further on.
    if (space === 1) {
      const [code, end] = [CODE / PAGE_SIZE, (CODE + CODE_SIZE) / PAGE_SIZE];
      for (let page = code; page < end; page++)
        ramBytes.copyWithin(places[page]! * PAGE_SIZE, places[page]! * PAGE_SIZE + 4, (places[page]! + 1) * PAGE_SIZE);
    }
  }
}

/** RAM without the accessed bits of page tables, which may be set by accesses that fault in the end (Privileged ISA, "Addressing and Memory Protection"). */
function withoutAccessed(): Uint8Array {
  const copy = ramBytes.slice();
  for (const space of [0, 1]) for (let page = 0; page < 16; page++) copy[pte(space, page)]! &= ~0x40;
  return copy;
}

/** Makes what executes the guest. */
export type Make = (mmu: Mmu, hooks: ReturnType<typeof governTranslation>) => SystemReference | Vcpu;

const satp = (space: number) => SV39 | BigInt(RAM / PAGE_SIZE + root(space)) | (BigInt(space) << 44n);

/** A hart in user mode in the first address space, over what `setUp` has left in memory. */
export function userHart(hardwareDirty: boolean, make: Make) {
  const state = new DataView(memory.buffer, STATE, STATE_SIZE);
  const bus = new Bus(memory);
  bus.addRam('RAM', RAM, RAM_SIZE, GUEST);
  const mmu = new Mmu(memory, bus);
  state.setUint32(PRIVILEGE.offset, Privilege.user, true);
  writeCsrSlot(state, Slot.pmpConfiguration, 0x1fn);
  writeCsrSlot(state, Slot.pmpAddress, (1n << 54n) - 1n);
  writeCsrSlot(state, Slot.menvcfg, hardwareDirty ? ADUE : 0n);
  writeCsrSlot(state, Slot.satp, satp(0));
  const hooks = governTranslation(state, mmu);
  return { state, bus, mmu, hooks, cpu: make(mmu, hooks) };
}

/** Runs in user mode behind Sv39; between parts the address space changes, as the seed says. */
export function run(seed: number, start: Start, layout: Layout, budget: number, make: Make) {
  setUp(start, layout);
  let space = 0;
  const { state, bus, mmu, hooks, cpu } = userHart(layout.hardwareDirty, make);
  const events = new Random(seed);
  const exits: string[] = [];
  cpu.pc = BigInt(CODE);
  let next = EVENT;
  while (cpu.counters.instructions < budget && exits.length < 150) {
    const done = cpu.counters.instructions;
    if (done >= next) {
      next += EVENT;
      change();
      continue;
    }
    const reason = cpu.run(Math.min(budget, next) - done);
    if (reason === ExitReason.budget || reason === ExitReason.helper) continue;
    exits.push(`${reason} ${cpu.cause} ${cpu.value} at ${cpu.pc} after ${cpu.counters.instructions}`);
    cpu.pc = BigInt(CODE + 2 * ((cpu.counters.instructions * 4057 + exits.length * 773) % (CODE_SIZE / 2)));
  }
  if (cpu instanceof Vcpu) cpu.checkInvariants();
  mmu.checkInvariants();
  const registers = Buffer.from(Buffer.from(memory.buffer, STATE + REGISTERS, 0x800));
  registers.fill(0, X.offset - REGISTERS + 32 * 8, X.offset - REGISTERS + 33 * 8);
  return {
    end: {
      exits,
      pc: cpu.pc,
      instructions: cpu.counters.instructions,
      registers,
      flags: state.getUint32(StateOffset.floatFlags, true),
      ram: createHash('sha256').update(withoutAccessed()).digest('hex'),
    },
    counters: { ...cpu.counters, ...(cpu instanceof Vcpu ? cpu.tiers?.translation : undefined) } as Readonly<
      Partial<Record<string, number>>
    >,
  };

  /** Another address space, two pages of code swapped, or code overwritten from outside. */
  function change(): void {
    const page = CODE / PAGE_SIZE;
    switch (events.below(4)) {
      case 0:
        space = 1 - space;
        writeCsrSlot(state, Slot.satp, satp(space));
        hooks.translationChanged();
        break;
      case 1: {
        const [a, b] = [ram.getBigUint64(pte(space, page), true), ram.getBigUint64(pte(space, page + 1), true)];
        ram.setBigUint64(pte(space, page), b, true);
        ram.setBigUint64(pte(space, page + 1), a, true);
        hooks.fence(undefined, undefined);
        break;
      }
      case 2: {
        const place = layout.spaces[events.below(2)]![page]! * PAGE_SIZE + 4 * events.below(1000);
        const bytes = bus.view(RAM + place, 8)!;
        bytes.copyWithin(0, 4);
        bus.written(RAM + place, 8);
        break;
      }
      default:
        hooks.fence(BigInt(CODE + PAGE_SIZE * events.below(2)), space);
    }
  }
}

/** Interprets, and translates as it is told. */
export function translating(tiers?: Tiers): Make {
  return (mmu, hooks) =>
    new Vcpu(riscv64, memory, { guestSize: RAM_SIZE, translation: { mmu, hooks }, ...(tiers ? { tiers } : {}) });
}
