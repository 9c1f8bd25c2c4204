import { PAGE_SIZE, TLB_CONTROL, TlbControl } from '../layout/memory-map.ts';
import { NO_RAM, type Bus } from './bus.ts';
import type { Pmp } from './pmp.ts';
import { Access } from './regime.ts';

const FROM = (TLB_CONTROL + TlbControl.openFrom) / 4;
const SPAN = (TLB_CONTROL + TlbControl.openSpan) / 4;
const OFFSET = (TLB_CONTROL + TlbControl.openOffset) / 4;
const ALL = Access.read | Access.write | Access.execute;

/**
 * RAM where physical memory protection lets supervisor and user mode do everything: nearly all that page tables and their leaves lead to. The range
 * found last is remembered, its whole pages also where generated code walks by them (walk-code.ts). [measured: a walk of Sv39 and what comes with it took 165 ns when bus and protection were asked at every level, and
 * takes 140 ns]
 */
export class OpenRam {
  readonly #bus: Bus;
  readonly #pmp: Pmp;
  #from = 0;
  #to = 0;
  /** From physical to linear addresses. */
  #offset = 0;
  /** Of the protection that the range was found under. */
  #revision = -1;
  readonly #words: Int32Array<ArrayBuffer>;

  constructor(memory: WebAssembly.Memory, bus: Bus, pmp: Pmp) {
    this.#words = new Int32Array(memory.buffer as ArrayBuffer);
    this.#bus = bus;
    this.#pmp = pmp;
    this.forget();
  }

  /** To be called after protection has changed, for generated code does not ask. */
  forget(): void {
    this.#from = 0;
    this.#to = 0;
    this.#publish();
  }

  /** The linear address of [gpa, gpa + length) when all of it is open RAM of one region, else NO_RAM. Any numbers may be asked about. */
  at(gpa: number, length: number): number {
    if (gpa >= this.#from && gpa + length <= this.#to && this.#revision === this.#pmp.revision)
      return gpa + this.#offset;
    return this.#find(gpa, length);
  }

  #find(gpa: number, length: number): number {
    const linear = this.#bus.ramAt(gpa, length);
    if (linear === NO_RAM) return NO_RAM;
    const permitted = this.#pmp.permissionsOf(gpa, length, false);
    if (permitted !== ALL) return NO_RAM;
    this.#from = Math.max(this.#bus.lastBase, this.#pmp.windowFrom);
    this.#to = Math.min(this.#bus.lastBase + this.#bus.lastSize, this.#pmp.windowTo);
    this.#offset = linear - gpa;
    this.#revision = this.#pmp.revision;
    this.#publish();
    return linear;
  }

  #publish(): void {
    const from = Math.ceil(this.#from / PAGE_SIZE) * PAGE_SIZE;
    const span = Math.max(0, Math.floor(this.#to / PAGE_SIZE) * PAGE_SIZE - from);
    this.#words[FROM] = from;
    this.#words[FROM + 1] = Math.floor(from / 2 ** 32);
    this.#words[SPAN] = span;
    this.#words[SPAN + 1] = Math.floor(span / 2 ** 32);
    this.#words[OFFSET] = this.#offset;
  }
}
