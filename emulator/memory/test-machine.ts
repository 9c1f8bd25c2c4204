import { GUEST } from '../layout/memory-map.ts';
import { Bus } from './bus.ts';
import { L2_ABSENT, L2_REFUSED } from './l2-probe.ts';
import { Mmu } from './mmu.ts';
import { type Access, PrivilegeMode, type Regime } from './regime.ts';
import type { MmuOptions } from './translation.ts';

/** Where the RAM of test machines lies. */
export const RAM = 0x8000_0000;

/** A small machine for tests and benchmarks: RAM from RAM up, all of it open to supervisor and user mode. */
export class TestMachine {
  readonly memory: WebAssembly.Memory;
  readonly bus: Bus;
  readonly mmu: Mmu;
  /** The bytes of RAM. */
  readonly ram: DataView<ArrayBuffer>;

  /** `size` of RAM in bytes, a multiple of 64 KiB. */
  constructor(size: number, options: MmuOptions = {}) {
    this.memory = new WebAssembly.Memory({ initial: (GUEST + size) / 65536, maximum: (GUEST + size) / 65536 });
    this.bus = new Bus(this.memory);
    this.bus.addRam('RAM', RAM, size, GUEST);
    this.mmu = new Mmu(this.memory, this.bus, options);
    this.ram = new DataView(this.memory.buffer as ArrayBuffer, GUEST, size);
    this.openProtection();
  }

  /** One entry that permits everything everywhere. */
  openProtection(): void {
    this.mmu.pmp.configure([0x1f], [(1n << 54n) - 1n]);
    this.mmu.protectionChanged();
  }

  /** Page tables of so many levels with their root at a physical address, in force for a privilege. */
  usePageTable(levels: number, root: number, privilege: number = PrivilegeMode.supervisor): void {
    const { regime } = this.mmu;
    regime.levels = levels;
    regime.rootPage = root / 4096;
    regime.fetchPrivilege = privilege;
    regime.dataPrivilege = privilege;
    this.mmu.regimeChanged();
  }

  /**
   * The physical address that generated code has for a virtual one with empty TLBs; undefined where it leaves the access to JavaScript. Nothing
   * else changes.
   */
  serveAfresh(va: bigint, access: Access, privilege: number, regime: Regime): number | undefined {
    const { mmu } = this;
    const [low, high] = halves(va);
    mmu.l2.flushAll();
    Object.assign(mmu.regime, regime, { fetchPrivilege: privilege, dataPrivilege: privilege });
    mmu.regimeChanged();
    const linear = mmu.serveMiss(low, high, access) >>> 0;
    return linear === L2_ABSENT || linear === L2_REFUSED ? undefined : linear - GUEST + RAM;
  }

  /** A page-table entry, by physical address. */
  writePte(gpa: number, pte: bigint): void {
    this.ram.setBigUint64(gpa - RAM, pte, true);
  }

  readPte(gpa: number): bigint {
    return this.ram.getBigUint64(gpa - RAM, true);
  }

  /**
   * Maps a page of `level` at a virtual address by entries below `root`, taking pages for tables from `allocate` (which gives physical
   * addresses of zeroed pages). `flags`: the low ten bits and any above the page number.
   */
  map(
    levels: number,
    root: number,
    va: bigint,
    gpa: number,
    level: number,
    flags: bigint,
    allocate: () => number,
  ): void {
    let table = root;
    for (let at = levels - 1; at > level; at--) {
      const slot = table + Number((va >> BigInt(12 + 9 * at)) & 511n) * 8;
      if ((this.readPte(slot) & 1n) === 0n) this.writePte(slot, pointerTo(allocate()));
      table = Number((this.readPte(slot) >> 10n) & ((1n << 44n) - 1n)) * 4096;
    }
    const slot = table + Number((va >> BigInt(12 + 9 * level)) & 511n) * 8;
    this.writePte(slot, (BigInt(gpa / 4096) << 10n) | flags);
  }
}

/** An entry that points to the next level's table. */
export function pointerTo(gpa: number): bigint {
  return (BigInt(gpa / 4096) << 10n) | 1n;
}

/** The halves of a 64-bit address as the MMU takes them. */
export function halves(address: bigint): readonly [low: number, high: number] {
  return [Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n))];
}
