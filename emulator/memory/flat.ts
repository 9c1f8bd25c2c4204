import { assert } from '../check/assert.ts';
import { ConfigError } from '../check/errors.ts';
import {
  GUEST,
  MAX_GUEST_SIZE,
  PAGE_SIZE,
  PERMISSION,
  Permission,
  RECORDS,
  STATE,
  STATE_SIZE,
} from '../layout/memory-map.ts';

const WASM_PAGE = 65536;
const ZEROES = new Uint8Array(WASM_PAGE);

/**
 * A flat guest address space of `size` bytes from guest address 0, in a linear memory of its own (layout/memory-map.ts).
 * What may be done with a page is said by its permission byte; a page without permissions is not mapped and holds zeroes.
 */
export class FlatMemory {
  readonly memory: WebAssembly.Memory;
  readonly size: number;
  /** The guest's bytes; index = guest address. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** The permission byte of each guest page. */
  readonly permission: Uint8Array<ArrayBuffer>;

  /** `size` in bytes: a multiple of 64 KiB up to MAX_GUEST_SIZE. Throws ConfigError when it is not, or the host has no room. */
  constructor(size: number) {
    if (!Number.isInteger(size) || size < WASM_PAGE || size > MAX_GUEST_SIZE || size % WASM_PAGE !== 0) {
      throw new ConfigError(
        `guest memory of ${size} bytes: give a multiple of 64 KiB up to ${MAX_GUEST_SIZE / 2 ** 20} MiB`,
      );
    }
    const pages = (GUEST + size) / WASM_PAGE;
    try {
      this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    } catch (error) {
      throw new ConfigError(
        `guest memory of ${size / 2 ** 20} MiB cannot be had from the host (${(error as Error).message}); ask for less`,
      );
    }
    this.size = size;
    this.bytes = new Uint8Array(this.memory.buffer as ArrayBuffer, GUEST, size);
    this.view = new DataView(this.memory.buffer as ArrayBuffer, GUEST, size);
    this.permission = new Uint8Array(this.memory.buffer as ArrayBuffer, PERMISSION, size / PAGE_SIZE);
  }

  /** A copy for a forked process: vCPU state, permissions and what is not zero of mapped pages, but no decoded code. */
  clone(): FlatMemory {
    const copy = new FlatMemory(this.size);
    const from = new Uint8Array(this.memory.buffer);
    const to = new Uint8Array(copy.memory.buffer);
    to.set(from.subarray(STATE, STATE + STATE_SIZE), STATE);
    assert(PERMISSION + this.permission.length <= RECORDS, 'the permission bytes fit below the decoded pages');
    const { permission } = this;
    const fours = new Uint32Array(permission.buffer, permission.byteOffset, permission.length / 4);
    for (let page = 0; page < permission.length; page++) {
      // Most of the address space is not mapped: four pages at a time.
      while (page % 4 === 0 && fours[page / 4] === 0) page += 4;
      if (page >= permission.length) break;
      if (permission[page] === 0) continue;
      let end = page + 1;
      while (end < permission.length && permission[end] !== 0) end++;
      copyTouched(this.bytes, copy.bytes, page * PAGE_SIZE, end * PAGE_SIZE);
      for (let i = page; i < end; i++) copy.permission[i] = permission[i]! & ~Permission.code;
      page = end;
    }
    return copy;
  }

  /** Whether `length` bytes from `address` may all be used as `need` (Permission bits) says. Any numbers may be asked about. */
  allows(address: number, length: number, need: number): boolean {
    if (!(address >= 0 && length >= 0 && address + length <= this.size)) return false;
    const last = Math.floor((address + Math.max(length, 1) - 1) / PAGE_SIZE);
    for (let page = Math.floor(address / PAGE_SIZE); page <= last; page++) {
      if ((this.permission[page]! & need) !== need) return false;
    }
    return true;
  }

  /** Sets the permissions of whole pages; `address` and `length` are page multiples inside the address space. */
  protect(address: number, length: number, permissions: number): void {
    assert(
      address % PAGE_SIZE === 0 && length % PAGE_SIZE === 0 && address + length <= this.size,
      'protect takes whole pages',
    );
    this.permission.fill(permissions, address / PAGE_SIZE, (address + length) / PAGE_SIZE);
  }

  /** Takes whole pages away; their bytes are zero when they are mapped again. */
  unmap(address: number, length: number): void {
    this.protect(address, length, 0);
    this.bytes.fill(0, address, address + length);
  }

  /** The guest's bytes for reading, or undefined when they may not be read. The view is live. */
  readable(address: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    return this.allows(address, length, Permission.read) ? this.bytes.subarray(address, address + length) : undefined;
  }

  /** The guest's bytes for writing, or undefined when they may not be written. The caller flushes decoded code if `codeIn` says so. */
  writable(address: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    return this.allows(address, length, Permission.write) ? this.bytes.subarray(address, address + length) : undefined;
  }

  /** Whether any page of the range holds code that has been decoded. */
  codeIn(address: number, length: number): boolean {
    const last = Math.floor((address + Math.max(length, 1) - 1) / PAGE_SIZE);
    for (let page = Math.floor(address / PAGE_SIZE); page <= last; page++) {
      if ((this.permission[page]! & Permission.code) !== 0) return true;
    }
    return false;
  }

  /** A NUL-terminated string of at most `limit` bytes, or undefined when it runs into memory that may not be read or is longer. */
  string(address: number, limit = PAGE_SIZE): string | undefined {
    const bytes = this.stringBytes(address, limit);
    return bytes === undefined
      ? undefined
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  }

  stringBytes(address: number, limit: number): Uint8Array<ArrayBuffer> | undefined {
    for (let at = address; at < address + limit; at++) {
      if ((at === address || at % PAGE_SIZE === 0) && !this.allows(at, 1, Permission.read)) return undefined;
      if (this.bytes[at] === 0) return this.bytes.subarray(address, at);
    }
    return undefined;
  }

  checkInvariants(): void {
    const known = Permission.read | Permission.write | Permission.execute | Permission.code;
    for (const byte of this.permission) assert((byte & ~known) === 0, 'permission bytes have only known bits');
  }
}

/**
 * Copies [start, end), whole pages, to memory that is all zero. Pages that are zero are left alone: the host gives memory to a page once it is
 * written, and most of a program's stack and heap never is. A fork of busybox, with 11 MiB mapped, took 10 ms and takes 1 ms.
 */
function copyTouched(from: Uint8Array, to: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end;) {
    const length = Math.min(WASM_PAGE, end - at);
    const chunk = from.subarray(at, at + length);
    if (Buffer.compare(chunk, ZEROES.subarray(0, length)) !== 0) {
      for (let page = 0; page < length; page += PAGE_SIZE) {
        const bytes = chunk.subarray(page, page + PAGE_SIZE);
        if (Buffer.compare(bytes, ZEROES.subarray(0, PAGE_SIZE)) !== 0) to.set(bytes, at + page);
      }
    }
    at += length;
  }
}
