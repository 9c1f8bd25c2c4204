/**
 * The guest programs: our own, self-checking, in C. Each exits 0 when its checks hold and 1 when not, and prints the
 * same lines on every target.
 *
 * Committed: the riscv64 ELFs and the wasm32 modules. The others are built on demand (`build.ts`).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a guest mostly does. `system`: it is about system calls and runs on Linux only. */
export type GuestKind = 'integer' | 'float' | 'memory' | 'call' | 'system';
/** `wasm32` is a module with an exported `run(scale)`; the others are static Linux programs. */
export type GuestIsa = 'riscv64' | 'aarch64' | 'x86_64' | 'wasm32';
/**
 * `smoke`: about a million instructions, for tests. `quick`: about fifty million, for a measurement among many.
 * `default`: about half a second under qemu-riscv64. `long`: 0.2 to 0.3 s as a native program, 0.4 to 4 s under qemu-riscv64: what starts and warms
 * up is a small part of it. `chase` walks its 32 MiB at all but `smoke`, and as far at `long` as at `default`.
 */
export type GuestScale = (typeof GUEST_SCALES)[number];
export const GUEST_SCALES = ['smoke', 'quick', 'default', 'long'] as const;

export interface Guest {
  readonly name: string;
  readonly title: string;
  readonly kind: GuestKind;
  /** The number that is the program's argument at the quick scale. */
  readonly quick: number;
  /** And at the long one. */
  readonly long: number;
  /** riscv64 instructions retired at the default scale, in millions, counted once by a qemu plugin: for planning. */
  readonly millionInstructions: number;
}

/** A bare-metal riscv64 program: runs from 0x80000000 in machine mode and ends through `tohost` or the finisher. */
export interface BareGuest {
  readonly name: string;
  readonly title: string;
  /** Undefined: never ends. */
  readonly exitCode: number | undefined;
  readonly console: string;
}

function guest(
  name: string,
  kind: GuestKind,
  [quick, long]: readonly [number, number],
  millionInstructions: number,
  title: string,
): Guest {
  return { name, title, kind, quick, long, millionInstructions };
}

export const GUESTS: readonly Guest[] = [
  guest('sieve', 'integer', [400, 14000], 1389, 'sieve of Eratosthenes, a bit per odd number'),
  guest('sha256', 'integer', [512, 57344], 1936, 'SHA-256 of a pseudo-random message'),
  guest('crc32', 'integer', [1200, 49152], 1241, 'CRC-32 by one table and by eight'),
  guest('quicksort', 'integer', [250, 3500], 540, 'quicksort of 64-bit integers'),
  guest('imatmul', 'integer', [180, 760], 1770, 'matrix multiplication in 64-bit integers'),
  guest('fmatmul', 'float', [180, 680], 270, 'matrix multiplication in doubles'),
  guest('nbody', 'float', [480, 18000], 212, 'gravitation of five bodies in doubles'),
  guest('mandelbrot', 'float', [280, 1300], 138, 'escape times of the Mandelbrot set in doubles'),
  guest('fib', 'call', [31, 40], 582, 'Fibonacci numbers by naive recursion'),
  guest('chase', 'memory', [160, 160], 36, 'linked-list walk in random order over 32 MiB'),
  guest('interp', 'integer', [4500, 180000], 922, 'bytecode interpreter with a switch'),
  guest('dhry', 'call', [36, 2000], 839, 'strings and structures: lending books'),
  guest('memops', 'memory', [500, 50000], 1207, 'memcpy, memmove and memset of many sizes'),
  guest('hash', 'memory', [600, 2500], 85, 'hash table with open addressing'),
  guest('lz', 'integer', [1200, 32768], 683, 'Lempel-Ziv compression and decompression'),
  guest('libc', 'system', [0, 0], 4, 'system calls as the C library makes them'),
];

export const BARE_GUESTS: readonly BareGuest[] = [
  { name: 'hello', title: 'HTIF console, exit code 0', exitCode: 0, console: 'hello from a bare machine\n' },
  { name: 'status', title: 'HTIF exit code', exitCode: 42, console: '' },
  { name: 'finisher', title: 'exit code through the test finisher at 0x100000', exitCode: 5, console: '' },
  { name: 'traps', title: 'synchronous exceptions from machine and user mode', exitCode: 0, console: '' },
  { name: 'smc', title: 'self-modifying code with FENCE.I', exitCode: 0, console: '' },
  { name: 'primes', title: 'C with stack, static data and floating point', exitCode: 0, console: '168\n' },
  { name: 'spin', title: 'never ends', exitCode: undefined, console: '' },
];

const FOLDER = import.meta.dirname;
/** Builds that are not committed. */
export const GUEST_CACHE = join(FOLDER, '..', '..', '.cache', 'guests');
/** The directory that `libc` reads; a guest sees it under whatever path it is mounted at. */
export const LIBC_TREE = join(FOLDER, 'tree');

/** The guest called `name`. Throws for an unknown name. */
export function findGuest(name: string): Guest {
  const found = GUESTS.find((each) => each.name === name);
  if (found === undefined)
    throw new Error(`no guest is called ${name}; there are ${GUESTS.map((g) => g.name).join(', ')}`);
  return found;
}

/** Whether there is such a build at all: system calls do not exist on wasm32. */
export function isBuiltFor(guest: Guest, isa: GuestIsa): boolean {
  return isa !== 'wasm32' || guest.kind !== 'system';
}

/** Where the program is for `isa`. Committed for riscv64 and wasm32; for the others only after `ensureGuest`. */
export function elfPath(guest: Guest, isa: GuestIsa): string {
  if (isa === 'wasm32') return join(FOLDER, 'wasm32', `${guest.name}.wasm`);
  return isa === 'riscv64' ? join(FOLDER, 'riscv64', guest.name) : join(GUEST_CACHE, isa, guest.name);
}

export function bareElfPath(guest: BareGuest): string {
  return join(FOLDER, 'bare', 'riscv64', guest.name);
}

export function sourcePath(guest: Guest): string {
  return join(FOLDER, `${guest.name}.c`);
}

/** The arguments after the program's name. `tree` is where the guest sees `LIBC_TREE`. */
export function guestArguments(guest: Guest, scale: GuestScale, tree: string = LIBC_TREE): string[] {
  if (guest.kind === 'system') return [tree];
  if (scale === 'quick' || scale === 'long') return [String(guest[scale])];
  return scale === 'smoke' ? ['smoke'] : [];
}

export function expectedPath(guest: Guest, scale: GuestScale): string {
  const suffix = scale === 'default' || guest.kind === 'system' ? '' : `.${scale}`;
  return join(FOLDER, 'expected', `${guest.name}${suffix}.txt`);
}

/** What the guest must print at `scale`, on every target. A `system` guest has one scale. */
export function expectedOutput(guest: Guest, scale: GuestScale): string {
  return readFileSync(expectedPath(guest, scale), 'utf8');
}
