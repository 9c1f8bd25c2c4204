import { PAGE_CACHE_SIZE, PAGE_CACHES, PAGE_CACHES_COUNT, PAGE_SIZE, TLB, TlbEntry } from '../../layout/memory-map.ts';
import type { FunctionBuilder, FunctionIndex } from '../../wasm/function.ts';
import type { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { addEntryOffset } from '../tlb-path.ts';

const { i32, i64 } = ValType;
const EMPTY = -1;
const ADDEND = 8;
const [ADDRESS, CACHE, LAST] = [0, 1, 2];

/** What looks for pages that a cache does not have, for loads and for stores, by its place in a module. */
export interface FindPage {
  readonly load: FunctionIndex;
  readonly store: FunctionIndex;
}

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
  readonly #places: PageCachePlaces;
  readonly #find: FindPage;

  /** `find`: see `defineFindPage`. */
  constructor(places: PageCachePlaces, find: FindPage) {
    this.#places = places;
    this.#find = find;
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

  /** Pushes the linear address of so many bytes at a guest address (i64 local), in any page that the cache then has; 0 where the first level does not serve them. */
  pushFound(fn: FunctionBuilder, cache: number, address: number, bytes: number, write: boolean): void {
    fn.localGet(address);
    fn.i32Const(cache);
    fn.i64Const(bytes - 1);
    fn.call(write ? this.#find.store : this.#find.load);
  }
}

/**
 * `findLoadPage`, `findStorePage: (address, cache, last) -> linear address`, 0 when the first level of the TLB does not serve the bytes from that address to
 * one so far from it. The cache gets the page. In line that was a third of the code of regions in user mode. Each module has them, and they are small, for
 * V8 writes them in line where they are called often: imported, they made programs slower that go from page to page. `note`: RegionAccess.
 */
export function defineFindPage(module: ModuleBuilder, note: FunctionIndex): FindPage {
  const define = (name: string, tag: number) => {
    const fn = module.function(name, [i64, i32, i64], [i32]);
    writeFindPage(fn, tag, note);
    return fn.index;
  };
  return { load: define('findLoadPage', TlbEntry.read), store: define('findStorePage', TlbEntry.write) };
}

function writeFindPage(fn: FunctionBuilder, tag: number, note: FunctionIndex): void {
  const entry = fn.local(i32);
  fn.i32Const(TLB);
  addEntryOffset(fn, ADDRESS);
  fn.localTee(entry);
  fn.load('i64.load', { offset: tag });
  fn.localGet(ADDRESS);
  fn.localGet(LAST);
  fn.op('i64.add');
  fn.i64Const(-PAGE_SIZE);
  fn.op('i64.and');
  fn.op('i64.ne');
  const refused = fn.if();
  fn.i32Const(0);
  fn.return();
  fn.end(refused);
  fn.localGet(CACHE);
  fn.load('i32.load');
  fn.i32Const(EMPTY);
  fn.op('i32.eq');
  const fresh = fn.if();
  fn.localGet(CACHE);
  fn.call(note);
  fn.end(fresh);
  fn.localGet(CACHE);
  fn.localGet(ADDRESS);
  fn.i64Const(-PAGE_SIZE);
  fn.op('i64.and');
  fn.store('i64.store');
  fn.localGet(CACHE);
  fn.localGet(entry);
  fn.load('i32.load', { offset: TlbEntry.addend });
  fn.localTee(entry);
  fn.store('i32.store', { offset: ADDEND });
  fn.localGet(entry);
  fn.localGet(ADDRESS);
  fn.op('i32.wrap_i64');
  fn.op('i32.add');
}
