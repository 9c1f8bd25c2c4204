import { readSlot } from '../ir/parse.ts';
import { type RegisterFile, WIDTH } from '../ir/type.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import { parseFlags, parseValue, showFlags } from './value-text.ts';

/** Bytes of guest memory that every case has. */
export const GUEST_SIZE = 0x1_0000;

/** Permissions before a case changes them with `page[…]=…`: code, two pages of data, one to read only, nothing else. */
const PAGES: readonly [page: number, permission: number][] = [
  [1, Permission.read | Permission.execute],
  [2, Permission.read | Permission.write],
  [3, Permission.read | Permission.write],
  [4, Permission.read],
];

/** What a case can see and set: the vCPU state and guest memory. */
export interface View {
  readonly state: DataView<ArrayBuffer>;
  readonly guest: Uint8Array<ArrayBuffer>;
}

/** One linear memory for all cases of a process: each WebAssembly.Memory reserves gigabytes of address space. */
export class Image implements View {
  readonly memory: WebAssembly.Memory;
  readonly state: DataView<ArrayBuffer>;
  readonly guest: Uint8Array<ArrayBuffer>;
  readonly permission: Uint8Array<ArrayBuffer>;

  constructor() {
    const pages = (GUEST + GUEST_SIZE) / 0x1_0000;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const buffer = this.memory.buffer as ArrayBuffer;
    this.state = new DataView(buffer, STATE, STATE_SIZE);
    this.guest = new Uint8Array(buffer, GUEST, GUEST_SIZE);
    this.permission = new Uint8Array(buffer, PERMISSION, GUEST_SIZE / PAGE_SIZE);
  }

  /** All zero but the code, the usual permissions and "no reservation". */
  reset(code: Uint8Array, address: bigint): void {
    new Uint8Array(this.state.buffer, STATE, STATE_SIZE).fill(0);
    this.guest.fill(0);
    this.permission.fill(0);
    for (const [page, permission] of PAGES) this.permission[page] = permission;
    this.guest.set(code, Number(address));
    this.state.setBigInt64(StateOffset.reservation, -1n, true);
    this.state.setBigUint64(StateOffset.pc, address, true);
  }

  copy(): View {
    const bytes = new Uint8Array(this.state.buffer, STATE, STATE_SIZE).slice();
    return { state: new DataView(bytes.buffer), guest: this.guest.slice() };
  }
}

/** Splits `x1=0x5 v1=i32x4[1 2 3 4]` into its assignments; undefined when some part is none. */
export function splitAssignments(text: string): [key: string, value: string][] | undefined {
  const parts = text.match(/[^\s[]*(?:\[[^\]]*\][^\s[]*)*/g)?.filter((part) => part !== '') ?? [];
  const pairs = parts.map((part) => /^([^=]+)=(.+)$/.exec(part));
  if (pairs.includes(null)) return undefined;
  return pairs.map((pair) => [pair![1]!, pair![2]!]);
}

/** Sets a register, `fflags`, `frm` or `mem[0x2000]=hex bytes`. Returns what is wrong, or undefined. */
export function assign(view: View, files: readonly RegisterFile[], key: string, value: string): string | undefined {
  const address = /^mem\[(0x[\da-f]+)\]$/i.exec(key)?.[1];
  if (address !== undefined) {
    const digits = value.replaceAll('_', '');
    if (!/^([\da-f]{2})+$/i.test(digits)) return `${key}: '${value}' is not hex bytes such as 01ff`;
    const bytes = Uint8Array.from(digits.match(/../g)!, (byte) => Number.parseInt(byte, 16));
    if (Number(address) + bytes.length > GUEST_SIZE) return `${key} is outside the guest memory of ${GUEST_SIZE} bytes`;
    view.guest.set(bytes, Number(address));
    return undefined;
  }
  if (key === 'fflags' || key === 'frm') {
    const number = key === 'fflags' ? parseFlags(value) : Number(parseValue(value, 3) ?? Number.NaN);
    if (number === undefined || Number.isNaN(number)) return `${key}: '${value}' is no value for it`;
    view.state.setUint32(key === 'fflags' ? StateOffset.floatFlags : StateOffset.floatRounding, number, true);
    return undefined;
  }
  const slot = readSlot(key, files);
  if (slot === undefined || typeof slot.index !== 'number') return `there is no register '${key}'`;
  const bits = parseValue(value, WIDTH[slot.file.type]);
  if (bits === undefined) return `${key}: '${value}' is no value of ${WIDTH[slot.file.type]} bits`;
  writeRegister(view.state, slot.file, slot.index, bits);
  return undefined;
}

/** Sets the permissions of a page: `page[0x3000]=r-x`. Undefined when the key is something else. */
export function assignPage(image: Image, key: string, value: string): boolean | undefined {
  const address = /^page\[(0x[\da-f]+)\]$/i.exec(key)?.[1];
  if (address === undefined) return undefined;
  const [, r, w, x] = /^([r-])([w-])([x-])$/.exec(value) ?? [];
  const page = Number(address) / PAGE_SIZE;
  if (r === undefined || !Number.isInteger(page) || page >= image.permission.length) return false;
  image.permission[page] =
    (r === 'r' ? Permission.read : 0) | (w === 'w' ? Permission.write : 0) | (x === 'x' ? Permission.execute : 0);
  return true;
}

/** Where two views differ: `x5 is 0x1, expected 0x2`. Sinks are nobody's business. */
export function differences(actual: View, expected: View, files: readonly RegisterFile[]): string[] {
  const found: string[] = [];
  // Where control is, is said by the stop: only some executors keep it in the state too.
  for (const file of files.filter(({ offset }) => offset !== StateOffset.pc)) {
    for (let index = 0; index < file.count; index++) {
      if (index === file.sink) continue;
      const is = readRegister(actual.state, file, index);
      const should = readRegister(expected.state, file, index);
      const name = file.count === 1 ? file.name : `${file.name}${index}`;
      if (is !== should) found.push(`${name} is ${hex(is)}, expected ${hex(should)}`);
    }
  }
  if (files.every(({ offset }) => offset !== StateOffset.floatFlags)) found.push(...floatDifferences(actual, expected));
  if (Buffer.compare(actual.guest, expected.guest) !== 0) found.push(memoryDifference(actual.guest, expected.guest));
  return found;
}

function floatDifferences(actual: View, expected: View): string[] {
  const found: string[] = [];
  const flags = (view: View) => view.state.getUint32(StateOffset.floatFlags, true);
  if (flags(actual) !== flags(expected)) {
    found.push(`fflags is ${showFlags(flags(actual))}, expected ${showFlags(flags(expected))}`);
  }
  const rounding = (view: View) => view.state.getUint32(StateOffset.floatRounding, true);
  if (rounding(actual) !== rounding(expected)) found.push(`frm is ${rounding(actual)}, expected ${rounding(expected)}`);
  return found;
}

function memoryDifference(actual: Uint8Array, expected: Uint8Array): string {
  const first = actual.findIndex((byte, index) => byte !== expected[index]);
  const bytes = (memory: Uint8Array) => Buffer.from(memory.subarray(first, first + 16)).toString('hex');
  return `mem[${hex(BigInt(first))}] is ${bytes(actual)}, expected ${bytes(expected)}`;
}

function readRegister(state: DataView, file: RegisterFile, index: number): bigint {
  const offset = file.offset + file.stride * index;
  let bits = 0n;
  for (let byte = WIDTH[file.type] / 8 - 1; byte >= 0; byte--)
    bits = (bits << 8n) | BigInt(state.getUint8(offset + byte));
  return bits;
}

function writeRegister(state: DataView, file: RegisterFile, index: number, bits: bigint): void {
  const offset = file.offset + file.stride * index;
  for (let byte = 0; byte < WIDTH[file.type] / 8; byte++) {
    state.setUint8(offset + byte, Number((bits >> BigInt(8 * byte)) & 0xffn));
  }
}

export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
