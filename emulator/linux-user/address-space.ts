import { assert } from '../check/assert.ts';
import { PAGE_SIZE, Permission } from '../layout/memory-map.ts';
import type { FlatMemory } from '../memory/flat.ts';
import { Errno } from '../check/errno.ts';
import { SharedMappings } from './shared-mapping.ts';

/** `prot` bits of mmap(2); the permission bits of the layout have the same meaning in another order. */
const Protection = { read: 1, write: 2, execute: 4 } as const;

/** Below this address nothing is mapped without MAP_FIXED, so that null pointers fault (vm.mmap_min_addr). */
const LOWEST = 0x10000;

/** About what a process costs the host beside its mapped pages: decoded code, tables and WebAssembly instances. */
const PROCESS_BYTES = 8 * 2 ** 20;

/** What all processes of a kernel together may map, in bytes: the host's memory is not theirs to fill. */
export interface MemoryQuota {
  readonly limit: number;
  used: number;
}

/** Which pages of a process are in use, and for what: the program break and mappings. Lengths and addresses in bytes. */
export class AddressSpace {
  readonly memory: FlatMemory;
  /** 1 for a page that is mapped, be it without any permission. */
  readonly #mapped: Uint8Array;
  /** Called before bytes or permissions change where code may have been decoded. */
  readonly #flush: (address: number, length: number) => void;
  readonly #quota: MemoryQuota;
  readonly shared: SharedMappings;
  /** Mapped bytes. */
  #total = 0;
  #breakStart = 0;
  #break = 0;
  /** Mappings are placed downwards from here. */
  #ceiling: number;

  constructor(
    memory: FlatMemory,
    flush: (address: number, length: number) => void,
    quota: MemoryQuota = { limit: Infinity, used: 0 },
    from?: AddressSpace,
  ) {
    this.memory = memory;
    this.#flush = flush;
    this.#quota = quota;
    this.shared = from ? from.shared.fork(memory, flush) : new SharedMappings(memory, flush);
    this.#total = from ? from.#total : 0;
    quota.used += PROCESS_BYTES + this.#total;
    this.#mapped = from ? from.#mapped.slice() : new Uint8Array(memory.size / PAGE_SIZE);
    this.#breakStart = from ? from.#breakStart : 0;
    this.#break = from ? from.#break : 0;
    this.#ceiling = from ? from.#ceiling : memory.size;
  }

  setBreak(address: number): void {
    this.#breakStart = this.#break = roundUp(address);
  }

  setCeiling(address: number): void {
    this.#ceiling = address;
  }

  /** brk(2): the new break, or the old one when it cannot be had. */
  moveBreak(to: number): number {
    if (to < this.#breakStart || to > this.memory.size) return this.#break;
    const end = roundUp(this.#break);
    const newEnd = roundUp(to);
    if (newEnd > end) {
      if (!this.#free(end, newEnd - end)) return this.#break;
      if (!this.#map(end, newEnd - end, Permission.read | Permission.write)) return this.#break;
    } else if (newEnd < end) this.unmap(newEnd, end - newEnd);
    return (this.#break = to);
  }

  /** mmap(2) without the file part: the address, or a negated errno. `fixed` replaces what is there unless `noReplace`. */
  map(address: number, length: number, protection: number, fixed: boolean, noReplace: boolean): number {
    const size = roundUp(length);
    if (length <= 0 || !Number.isSafeInteger(size)) return -Errno.EINVAL;
    if (size > this.memory.size) return -Errno.ENOMEM;
    let at = address;
    if (fixed) {
      if (at % PAGE_SIZE !== 0) return -Errno.EINVAL;
      if (at < 0 || at + size > this.memory.size) return -Errno.ENOMEM;
      if (noReplace && !this.#free(at, size)) return -Errno.EEXIST;
      this.unmap(at, size);
    } else {
      at = roundUp(address);
      if (at < LOWEST || at + size > this.memory.size || !this.#free(at, size)) at = this.#search(size);
      if (at < 0) return -Errno.ENOMEM;
    }
    return this.#map(at, size, permissionsOf(protection)) ? at : -Errno.ENOMEM;
  }

  unmap(address: number, length: number): number {
    const size = roundUp(length);
    if (address % PAGE_SIZE !== 0 || length <= 0 || address < 0 || !(address + size <= this.memory.size))
      return -Errno.EINVAL;
    this.shared.remove(address, size);
    this.#flush(address, size);
    this.memory.unmap(address, size);
    this.#count(-this.#mappedIn(address, size));
    this.#mapped.fill(0, address / PAGE_SIZE, (address + size) / PAGE_SIZE);
    return 0;
  }

  protect(address: number, length: number, protection: number): number {
    const size = roundUp(length);
    if (address % PAGE_SIZE !== 0 || length < 0) return -Errno.EINVAL;
    if (address < 0 || !(address + size <= this.memory.size)) return -Errno.ENOMEM;
    for (let page = address / PAGE_SIZE; page < (address + size) / PAGE_SIZE; page++)
      if (this.#mapped[page] === 0) return -Errno.ENOMEM;
    this.#flush(address, size);
    this.memory.protect(address, size, permissionsOf(protection));
    return 0;
  }

  /** mremap(2): shrinks, grows in place, or moves when `mayMove`. */
  remap(address: number, oldLength: number, newLength: number, mayMove: boolean): number {
    const oldSize = roundUp(oldLength);
    const newSize = roundUp(newLength);
    if (address % PAGE_SIZE !== 0 || newLength <= 0 || oldLength <= 0) return -Errno.EINVAL;
    if (address < 0 || !(address + oldSize <= this.memory.size) || newSize > this.memory.size) return -Errno.ENOMEM;
    for (let page = address / PAGE_SIZE; page < (address + oldSize) / PAGE_SIZE; page++)
      if (this.#mapped[page] === 0) return -Errno.EFAULT;
    if (newSize <= oldSize) {
      if (newSize < oldSize) this.unmap(address + newSize, oldSize - newSize);
      return address;
    }
    const permissions = this.memory.permission[address / PAGE_SIZE]! & ~Permission.code;
    const shared = this.shared.holding(address, oldSize);
    if (shared === 'other') return -Errno.EINVAL;
    if (
      shared === 'none' &&
      address + newSize <= this.memory.size &&
      this.#free(address + oldSize, newSize - oldSize)
    ) {
      return this.#map(address + oldSize, newSize - oldSize, permissions) ? address : -Errno.ENOMEM;
    }
    if (!mayMove) return -Errno.ENOMEM;
    const to = this.#search(newSize);
    if (to < 0) return -Errno.ENOMEM;
    if (!this.#map(to, newSize, permissions)) return -Errno.ENOMEM;
    if (!this.shared.move(address, oldSize, to, newSize)) this.memory.bytes.copyWithin(to, address, address + oldSize);
    this.unmap(address, oldSize);
    return to;
  }

  /** Maps pages for the program itself, its stack and the signal trampoline; `permissions` are Permission bits. False for want of memory. */
  place(address: number, length: number, permissions: number): boolean {
    const start = address - (address % PAGE_SIZE);
    return this.#map(start, roundUp(address + length) - start, permissions);
  }

  /** Whether another process like this one is within the quota. */
  mayFork(): boolean {
    return this.#quota.used + PROCESS_BYTES + this.mappedBytes() <= this.#quota.limit;
  }

  /** The process is gone: its shared mappings are written back, and others may have its memory. */
  release(): void {
    this.shared.close();
    this.#count(-this.#total);
    this.#quota.used -= PROCESS_BYTES;
    this.#mapped.fill(0);
  }

  mappedBytes(): number {
    return this.#total;
  }

  #count(more: number): void {
    this.#total += more;
    this.#quota.used += more;
  }

  #mappedIn(address: number, size: number): number {
    let pages = 0;
    const end = (address + size) / PAGE_SIZE;
    for (let page = address / PAGE_SIZE; page < end; page++) pages += this.#mapped[page]!;
    return pages * PAGE_SIZE;
  }

  /** False when the quota has no room. */
  #map(address: number, size: number, permissions: number): boolean {
    const more = size - this.#mappedIn(address, size);
    if (this.#quota.used + more > this.#quota.limit) return false;
    this.#count(more);
    this.#flush(address, size);
    this.#mapped.fill(1, address / PAGE_SIZE, (address + size) / PAGE_SIZE);
    this.memory.protect(address, size, permissions);
    return true;
  }

  #free(address: number, size: number): boolean {
    assert(address % PAGE_SIZE === 0 && size % PAGE_SIZE === 0, 'pages are whole');
    return this.#mapped.subarray(address / PAGE_SIZE, (address + size) / PAGE_SIZE).every((page) => page === 0);
  }

  /** The highest free range of `size` bytes below the ceiling, or -1. */
  #search(size: number): number {
    const want = size / PAGE_SIZE;
    let run = 0;
    for (let page = this.#ceiling / PAGE_SIZE - 1; page >= LOWEST / PAGE_SIZE; page--) {
      run = this.#mapped[page] === 0 ? run + 1 : 0;
      if (run === want) return page * PAGE_SIZE;
    }
    return -1;
  }
}

function permissionsOf(protection: number): number {
  let permissions = 0;
  // Linux lets a writable or executable page be read on every machine emulated here.
  if ((protection & (Protection.read | Protection.write | Protection.execute)) !== 0) permissions |= Permission.read;
  if ((protection & Protection.write) !== 0) permissions |= Permission.write;
  if ((protection & Protection.execute) !== 0) permissions |= Permission.execute;
  return permissions;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}
