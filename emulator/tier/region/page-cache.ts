import { PAGE_CACHE_SIZE, PAGE_CACHES, PAGE_CACHES_COUNT, PAGE_SIZE, TlbEntry } from '../../layout/memory-map.ts';
import { BranchHint, type FunctionBuilder, type FunctionIndex } from '../../wasm/function.ts';

const EMPTY = -1;
const ADDEND = 8;

/** Gives out the caches, round and round: each place in code its own, as long as it is one of the last few thousand. */
export class PageCachePlaces {
  #loads: number;
  #stores: number;

  /** `first`: of each kind, the one to begin with. */
  constructor(first = 0) {
    this.#loads = first;
    this.#stores = first;
  }

  /** Linear address of a cache. What is found for a load may not be written, so those for stores are others. */
  take(write: boolean): number {
    const half = PAGE_CACHES_COUNT / 2;
    const number = write ? half + (this.#stores++ % half) : this.#loads++ % half;
    return PAGE_CACHES + PAGE_CACHE_SIZE * number;
  }
}

/**
 * The page that each place in a region's code accessed last. Pointers advance and tables are small, so most accesses go where those before went: to
 * see that by a constant address takes half as many instructions as a look into the TLB, and none that wait for the guest's address. In locals
 * instead, they pushed the guest's registers out of the host's.
 *
 * For user mode only: then one table of the first level is where all translations come from, and who empties that empties these (memory/l1-tlb.ts).
 */
export class PageCaches {
  readonly #note: FunctionIndex;
  readonly #places: PageCachePlaces;

  /** `note`: RegionAccess. */
  constructor(note: FunctionIndex, places: PageCachePlaces) {
    this.#note = note;
    this.#places = places;
  }

  /** See PageCachePlaces. */
  take(write: boolean): number {
    return this.#places.take(write);
  }

  /** Pushes the tag. */
  pushTag(fn: FunctionBuilder, cache: number): void {
    fn.i32Const(0);
    fn.load('i64.load', { offset: cache });
  }

  /** Pushes the linear address of a guest address (i64 local) in the page of the cache. */
  pushLinear(fn: FunctionBuilder, cache: number, address: number): void {
    fn.localGet(address);
    fn.op('i32.wrap_i64');
    fn.i32Const(0);
    fn.load('i32.load', { offset: cache + ADDEND });
    fn.op('i32.add');
  }

  /** Lets a cache have the page of a guest address (i64 local) that the TLB's entry (i32 local) serves. */
  fill(fn: FunctionBuilder, cache: number, address: number, entry: number): void {
    fn.i32Const(0);
    fn.load('i32.load', { offset: cache });
    fn.i32Const(EMPTY);
    fn.op('i32.eq');
    const fresh = fn.if(undefined, BranchHint.unlikely);
    fn.i32Const(cache);
    fn.call(this.#note);
    fn.end(fresh);
    fn.i32Const(0);
    fn.localGet(address);
    fn.i64Const(-PAGE_SIZE);
    fn.op('i64.and');
    fn.store('i64.store', { offset: cache });
    fn.i32Const(0);
    fn.localGet(entry);
    fn.load('i32.load', { offset: TlbEntry.addend });
    fn.store('i32.store', { offset: cache + ADDEND });
  }
}
