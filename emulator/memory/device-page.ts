import { PAGE_SIZE } from '../layout/memory-map.ts';
import { Access } from './regime.ts';
import type { TlbContext } from './l1-tlb.ts';

const PAGE_MASK = -PAGE_SIZE;

/** No address: no page begins there. */
const NOWHERE = 1;

/**
 * The page of devices that was reached last where addresses are physical: in machine mode and without page tables. Devices are not in the TLB, and firmware that prints goes
 * to one of them twice for each character.
 */
export class DevicePage {
  #low = NOWHERE;
  #high = 0;
  #context: TlbContext | undefined = undefined;
  #rights = 0;

  /** The page of [low, high] is a device's, and may be accessed so in the mode of `context`. Instructions are not fetched from devices. */
  note(context: TlbContext, low: number, high: number, rights: number): void {
    this.#low = low & PAGE_MASK;
    this.#high = high;
    this.#context = context;
    this.#rights = rights & (Access.read | Access.write);
  }

  /** Whether an address is in it, and may be accessed so; physical memory protection and the translation regime are as they were. */
  holds(context: TlbContext, low: number, high: number, access: Access): boolean {
    return (
      (low & PAGE_MASK) === this.#low &&
      high === this.#high &&
      context === this.#context &&
      (this.#rights & access) !== 0
    );
  }

  forget(): void {
    this.#low = NOWHERE;
  }
}
