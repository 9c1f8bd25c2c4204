import type { GuestMemory } from './guest-memory.ts';
import { BYTES_PER_PIXEL, type PixelFormat, type Rectangle } from './gpu-protocol.ts';

/** A stretch of guest memory behind a resource: where it lies in `GuestMemory.bytes`, and at which byte of the backing it starts. */
export interface BackingEntry {
  readonly offset: number;
  readonly length: number;
  readonly start: number;
}

/** The guest's copy of a resource, scattered over its pages. */
export class Backing {
  readonly #entries: readonly BackingEntry[];
  readonly length: number;

  /** `entries` follow one another from `start` 0 on and were checked to be RAM. */
  constructor(entries: readonly BackingEntry[]) {
    this.#entries = entries;
    const last = entries.at(-1);
    this.length = last === undefined ? 0 : last.start + last.length;
  }

  get entries(): number {
    return this.#entries.length;
  }

  /** Copies `length` bytes from byte `from` to `into` at `to`; they must lie inside. */
  copy(memory: GuestMemory, from: number, length: number, into: Uint8Array, to: number): void {
    let done = 0;
    for (let i = this.#find(from); done < length; i++) {
      const entry = this.#entries[i]!;
      const skip = from + done - entry.start;
      const part = Math.min(entry.length - skip, length - done);
      const at = entry.offset + skip;
      into.set(memory.bytes.subarray(at, at + part), to + done);
      done += part;
    }
  }

  /** The entry that holds byte `position`. */
  #find(position: number): number {
    let low = 0;
    let high = this.#entries.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#entries[middle]!.start <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** A two-dimensional picture on the host's side (Virtual I/O Device, "GPU Device", "Device Operation: controlq"). */
export class GpuResource {
  readonly width: number;
  readonly height: number;
  readonly format: PixelFormat;
  readonly pixels: Uint8Array;
  backing: Backing | undefined;

  constructor(width: number, height: number, format: PixelFormat) {
    this.width = width;
    this.height = height;
    this.format = format;
    this.pixels = new Uint8Array(width * height * BYTES_PER_PIXEL);
  }

  get stride(): number {
    return this.width * BYTES_PER_PIXEL;
  }

  /** Takes `rectangle`, which lies inside, from the backing, whose byte `offset` is its first pixel. False when the backing is too short. */
  transfer(memory: GuestMemory, rectangle: Rectangle, offset: number): boolean {
    const { backing, stride } = this;
    const { x, y, width, height } = rectangle;
    if (backing === undefined) return false;
    if (width === 0 || height === 0) return true;
    const row = width * BYTES_PER_PIXEL;
    if (offset + stride * (height - 1) + row > backing.length) return false;
    const to = y * stride + x * BYTES_PER_PIXEL;
    // Whole rows follow one another on both sides.
    if (row === stride) backing.copy(memory, offset, row * height, this.pixels, to);
    else for (let i = 0; i < height; i++) backing.copy(memory, offset + i * stride, row, this.pixels, to + i * stride);
    return true;
  }

  /** A part of it as red, green and blue bytes. */
  toRgb({ x, y, width, height }: Rectangle): Uint8Array {
    const { red, green, blue } = this.format;
    const rgb = new Uint8Array(width * height * 3);
    let to = 0;
    for (let row = y; row < y + height; row++) {
      let from = row * this.stride + x * BYTES_PER_PIXEL;
      for (let column = 0; column < width; column++) {
        rgb[to] = this.pixels[from + red]!;
        rgb[to + 1] = this.pixels[from + green]!;
        rgb[to + 2] = this.pixels[from + blue]!;
        to += 3;
        from += BYTES_PER_PIXEL;
      }
    }
    return rgb;
  }
}
