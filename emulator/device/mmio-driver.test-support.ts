/** For tests: drives a device as a hostile guest does. */
import assert from 'node:assert/strict';
import type { MmioWidth } from '../memory/mmio.ts';
import type { Device } from './device.ts';

const WIDTHS: readonly MmioWidth[] = [1, 2, 4, 8];
const EDGES = [
  0, 1, 2, 3, 7, 8, 0x1f, 0x20, 0x7f, 0x80, 0xff, 0x5555, 0x7777, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];

/** A small generator of 32-bit words from a seed (xorshift); the seed is printed by the failing test. */
export function randomWords(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

export interface HostileRun {
  readonly seed: number;
  readonly accesses: number;
  /** Offsets worth hitting often beside uniformly random ones. */
  readonly favourites?: readonly number[];
  /** Called after each access. */
  readonly invariants?: () => void;
  /** Called now and then with a random word, to do what the host side does. */
  readonly host?: (word: number) => void;
}

/** Random aligned accesses of all widths: none may throw, and every value read must fit its width. */
export function attack(device: Device, run: HostileRun): void {
  const next = randomWords(run.seed);
  const favourites = run.favourites ?? [];
  for (let n = 0; n < run.accesses; n++) {
    const width = WIDTHS[next() & 3]!;
    const random = next();
    const anywhere = favourites.length === 0 || (random & 7) === 0;
    const base = anywhere ? random % device.size : favourites[random % favourites.length]! + (next() & 7);
    const offset = Math.min(base, device.size - width) & -width;
    const word = (next() & 1) === 0 ? EDGES[next() % EDGES.length]! : next();
    const what = `seed ${run.seed}, access ${n}: ${width} bytes at 0x${offset.toString(16)}`;
    try {
      if ((next() & 1) === 0) {
        const value = device.read(offset, width);
        assert.ok(BigInt(value) >= 0n && BigInt(value) < 1n << BigInt(8 * width), `read ${value}`);
        assert.ok(width === 8 || typeof value === 'number', 'a number up to 4 bytes');
      } else {
        device.write(offset, width, width === 8 ? (BigInt(next()) << 32n) | BigInt(word) : word % 2 ** (8 * width));
      }
      if ((next() & 15) === 0) run.host?.(next());
      run.invariants?.();
    } catch (error) {
      throw new Error(`${device.name}: ${what}`, { cause: error });
    }
  }
}

/** A wire that remembers its level and how often it rose. */
export class Probe {
  level = false;
  rises = 0;

  set(level: boolean): void {
    if (level && !this.level) this.rises++;
    this.level = level;
  }
}
