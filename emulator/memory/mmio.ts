/** Bytes of one access to a device. */
export type MmioWidth = 1 | 2 | 4 | 8;

/**
 * What stands behind a range of physical addresses that is not RAM. `offset` is relative to the start of the range and always lies inside
 * it, as do all bytes of the access; it is a multiple of `width` (the bus splits nothing and passes no misaligned access on).
 *
 * Values are unsigned and little-endian: a number for widths 1, 2 and 4; for width 8 a bigint, except that `read` may return any
 * non-negative safe integer as a number. Bits above the width are ignored. A device never throws for what a guest does: registers that
 * do not exist read as 0 and ignore writes, unless `refuses` says that such an access is an access fault.
 */
export interface MmioDevice {
  /** For messages and the device tree, for instance `plic`. */
  readonly name: string;
  read(offset: number, width: MmioWidth): number | bigint;
  write(offset: number, width: MmioWidth, value: number | bigint): void;
  /** Whether the access is to fault instead of being made; no access is refused unless given. */
  refuses?(offset: number, width: MmioWidth, access: 'read' | 'write'): boolean;
}

/**
 * RAM as devices reach it (direct memory access): by physical address, past address translation and protection. Lengths and addresses
 * come from the guest: any number may be asked about, NaN and negative ones included.
 */
export interface PhysicalMemory {
  /** The live bytes [gpa, gpa + length), or undefined unless all of them are RAM of one region. For reading only: see `written`. */
  view(gpa: number, length: number): Uint8Array<ArrayBuffer> | undefined;
  /**
   * To be called after bytes of a `view` have been changed, before the guest runs on: drops what was translated from them. The range must be
   * one that `view` gave.
   */
  written(gpa: number, length: number): void;
}
