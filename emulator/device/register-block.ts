// hot: every access to a device passes here (suites/device/register-block.bench.ts)
import { assert } from '../check/assert.ts';
import type { MmioWidth } from '../memory/mmio.ts';
import type { Device } from './device.ts';

/**
 * One register, or `count` alike ones. What it does is in `read` and `write`; a register without `read` is write-only and reads as 0,
 * one without `write` is read-only and ignores writes. `write` gets an unsigned number, for an 8-byte register a bigint.
 */
export interface Register<Device> {
  readonly name: string;
  /** Of the first, in bytes; a multiple of `width`. */
  readonly offset: number;
  readonly width: MmioWidth;
  /** By default 1. */
  readonly count?: number;
  /** Bytes from one to the next, by default `width`. */
  readonly stride?: number;
  /** What it reads as after a reset, by default 0; `varies` where that depends on time or the machine. */
  readonly reset?: number | bigint | 'varies';
  readonly doc: string;
  /** Section title in the block's specification. */
  readonly spec: string;
  readonly read?: (device: Device, index: number) => number | bigint;
  readonly write?: (device: Device, value: number | bigint, index: number) => void;
}

/** Bytes of the largest block that has a table of its registers. */
const LARGEST_TABLE = 0x200;

/**
 * The registers of one kind of device, declared once as a table: dispatch, the check of widths, names for traces and the documentation
 * derive from it. An access as wide as the register is the register's. A narrower one reads a part of it, or reads, merges and writes. A
 * wider one is made of two halves, the lower address first, until they fit. Bytes of no register read as 0 and ignore writes.
 */
export class RegisterBlock<Device> {
  readonly title: string;
  /** The document that the registers' `spec` sections are in. */
  readonly specification: string;
  /** Bytes of address space. */
  readonly size: number;
  /** Accesses the device decodes; others are refused, which the bus turns into an access fault. */
  readonly widths: readonly MmioWidth[];
  readonly registers: readonly Register<Device>[];
  readonly #allowed: number;
  /** Bytes of the smallest register: no access is split further. */
  readonly #narrowest: number;
  /** Of small blocks, once they are used: the register of each byte. */
  #table: readonly (Register<Device> | undefined)[] | undefined = undefined;
  /** Where `#locate` found its register: which of `count`, and the byte in it. */
  #index = 0;
  #within = 0;

  /** Asserts that registers are aligned, inside the block and apart from each other. */
  constructor(
    title: string,
    specification: string,
    size: number,
    widths: readonly MmioWidth[],
    registers: readonly Register<Device>[],
  ) {
    this.title = title;
    this.specification = specification;
    this.size = size;
    this.widths = widths;
    this.registers = registers;
    this.#allowed = widths.reduce((mask, width) => mask | width, 0);
    this.#narrowest = Math.min(...registers.map(({ width }) => width));
    for (const register of registers) this.#checkRegister(register);
  }

  /** Whether an access of `width` bytes is an access fault. */
  refuses(width: MmioWidth): boolean {
    return (this.#allowed & width) === 0;
  }

  /** A number for up to 4 bytes; for 8 a number or a bigint. */
  read(device: Device, offset: number, width: MmioWidth): number | bigint {
    return (this.#allowed & width) === 0 ? 0 : this.#read(device, offset, width);
  }

  write(device: Device, offset: number, width: MmioWidth, value: number | bigint): void {
    if ((this.#allowed & width) !== 0) this.#write(device, offset, width, value);
  }

  /** The register at `offset` for traces and messages: `priority[10]`, `mtime+4`; undefined where there is none. */
  nameAt(offset: number): string | undefined {
    const register = this.#locate(offset);
    if (register === undefined) return undefined;
    const index = (register.count ?? 1) > 1 ? `[${this.#index}]` : '';
    return `${register.name}${index}${this.#within === 0 ? '' : `+${this.#within}`}`;
  }

  /** What each readable register holds after a reset, where the table says. */
  resetValues(): { name: string; offset: number; width: MmioWidth; value: number | bigint }[] {
    return this.registers.flatMap(({ name, offset, width, count = 1, stride = width, reset = 0, read }) =>
      reset === 'varies' || read === undefined
        ? []
        : Array.from({ length: count }, (_, n) => ({ name, offset: offset + n * stride, width, value: reset })),
    );
  }

  /** A Markdown section: title, size, widths and a row a register. */
  document(): string {
    const rows = this.registers.map((register) => {
      const { name, offset, width, count = 1, stride = width, reset = 0, doc, spec } = register;
      const place = count === 1 ? hex(offset) : `${hex(offset)} + n·${hex(stride)}, n < ${count}`;
      const access = `${register.read ? 'r' : ''}${register.write ? 'w' : ''}`;
      const value = reset === 'varies' || register.read === undefined ? '–' : hex(reset);
      return `| ${place} | \`${name}\` | ${width} | ${access} | ${value} | ${doc} | ${spec} |`;
    });
    return [
      `## ${this.title}`,
      '',
      `${hex(this.size)} bytes; accesses of ${this.widths.join(', ')} bytes. Sections are those of: ${this.specification}.`,
      '',
      '| offset | register | bytes | access | reset | meaning | section |',
      '| --- | --- | --- | --- | --- | --- | --- |',
      ...rows,
      '',
    ].join('\n');
  }

  #locate(offset: number): Register<Device> | undefined {
    if (this.size > LARGEST_TABLE) return this.#scan(offset);
    this.#table ??= Array.from({ length: this.size }, (_, at) => this.#scan(at));
    const register = this.#table[offset];
    if (register !== undefined) this.#point(register, offset - register.offset);
    return register;
  }

  /**
   * Blocks have up to a dozen rows: for large ones a scan costs less than a table would in memory (the PLIC spans 6 MiB). Over the rows themselves it
   * takes 13 ns where one over typed arrays of their fields took 29.
   */
  #scan(offset: number): Register<Device> | undefined {
    for (let n = 0; n < this.registers.length; n++) {
      const register = this.registers[n]!;
      const delta = offset - register.offset;
      if (delta >= 0 && this.#point(register, delta)) return register;
    }
    return undefined;
  }

  /** Notes which register and byte is so many bytes from the first of those that are alike; false when there is none. */
  #point(register: Register<Device>, delta: number): boolean {
    const { count = 1, width } = register;
    if (count === 1) {
      this.#index = 0;
      this.#within = delta;
      return delta < width;
    }
    const stride = register.stride ?? width;
    const index = Math.floor(delta / stride);
    this.#index = index;
    this.#within = delta - index * stride;
    return index < count && this.#within < width;
  }

  #read(device: Device, offset: number, width: MmioWidth): number | bigint {
    const register = this.#locate(offset);
    if (register !== undefined && this.#within + width <= register.width) {
      if (register.read === undefined) return 0;
      if (register.width === width) return register.read(device, this.#index);
      const within = this.#within;
      return part(register.read(device, this.#index), within, width);
    }
    if (width <= this.#narrowest) return 0;
    const half = (width / 2) as 1 | 2 | 4;
    const low = this.#read(device, offset, half);
    const high = this.#read(device, offset + half, half);
    return width === 8 ? (BigInt(high) << 32n) | BigInt(low) : Number(low) + Number(high) * 2 ** (8 * half);
  }

  #write(device: Device, offset: number, width: MmioWidth, value: number | bigint): void {
    const register = this.#locate(offset);
    if (register !== undefined && this.#within + width <= register.width) {
      if (register.write === undefined) return;
      const index = this.#index;
      if (register.width === width) return register.write(device, part(value, 0, width), index);
      const within = this.#within;
      const old = register.read === undefined ? 0 : register.read(device, index);
      return register.write(device, merged(old, register.width, value, within, width), index);
    }
    if (width <= this.#narrowest) return;
    const half = (width / 2) as 1 | 2 | 4;
    this.#write(device, offset, half, part(value, 0, half));
    this.#write(device, offset + half, half, part(value, half, half));
  }

  #checkRegister(register: Register<Device>): void {
    const { name, offset, width, count = 1, stride = width, read, write } = register;
    const what = `${this.title}: ${name}`;
    assert(offset % width === 0 && stride % width === 0 && stride >= width, `${what} is misaligned`);
    assert(count >= 1 && endOf(register) <= this.size, `${what} ends outside the block`);
    assert(read !== undefined || write !== undefined, `${what} does nothing`);
    const isApart = (other: Register<Device>) => other.offset >= endOf(register) || endOf(other) <= offset;
    if (this.registers.every((other) => other === register || isApart(other))) return;
    // Their strides may keep them apart. Every register is aligned to its width, so none begins between two steps of the narrowest.
    for (let n = 0; n < count; n++) {
      for (let byte = 0; byte < width; byte += this.#narrowest) {
        const at = offset + n * stride + byte;
        if (this.#locate(at) !== register) assert(false, `${what} overlaps ${this.nameAt(at)}`);
      }
    }
  }
}

/** The offset after the last byte of all that are alike. */
function endOf<Device>({ offset, width, count = 1, stride = width }: Register<Device>): number {
  return offset + (count - 1) * stride + width;
}

/**
 * A device all of whose address space is one register block. A subclass declares the block as a static field, whose functions may then
 * reach the instance's private state.
 */
export abstract class RegisterDevice<Self> implements Device {
  abstract readonly name: string;
  readonly registers: RegisterBlock<Self>;

  constructor(registers: RegisterBlock<Self>) {
    this.registers = registers;
  }

  abstract reset(): void;

  get size(): number {
    return this.registers.size;
  }

  read(offset: number, width: MmioWidth): number | bigint {
    return this.registers.read(this as unknown as Self, offset, width);
  }

  write(offset: number, width: MmioWidth, value: number | bigint): void {
    this.registers.write(this as unknown as Self, offset, width, value);
  }

  refuses(_offset: number, width: MmioWidth): boolean {
    return this.registers.refuses(width);
  }
}

/** Bytes [from, from + width) of a value, unsigned: a bigint for 8, else a number. */
function part(value: number | bigint, from: number, width: MmioWidth): number | bigint {
  if (width === 8) return BigInt.asUintN(64, BigInt(value));
  if (typeof value === 'bigint' || from >= 4)
    return Number(BigInt.asUintN(8 * width, BigInt(value) >> BigInt(8 * from)));
  // The low word of a number above 2^32 is still exact: `>>> 0` takes it modulo 2^32.
  const word = (value >>> 0) >>> (8 * from);
  return width === 4 ? word : word & (2 ** (8 * width) - 1);
}

/** `old`, a register of `registerWidth` bytes, with the `width` bytes from byte `from` replaced. */
function merged(
  old: number | bigint,
  registerWidth: MmioWidth,
  value: number | bigint,
  from: number,
  width: MmioWidth,
): number | bigint {
  const mask = ((1n << BigInt(8 * width)) - 1n) << BigInt(8 * from);
  const bits = (BigInt(old) & ~mask) | ((BigInt(value) << BigInt(8 * from)) & mask);
  return registerWidth === 8 ? bits : Number(bits);
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
