/**
 * The linear memory of one guest process or machine, in bytes from its start:
 *
 *     0          never used, so that offset 0 means "none"
 *     STATE      one vCPU state of STATE_SIZE bytes (see state.ts)
 *     0x3000     kept free for the counters page
 *     JUMP_CACHE guest page address -> decoded page, direct-mapped
 *     PAGE_CACHES where there is address translation: what single accesses of regions went to last
 *     REGION_CACHE, REGION_USES  the jump cache of translated regions, and how they are used
 *     CODE_LINES where in pages with code the code is
 *     PERMISSION one byte a 4 KiB guest page: what may be done there
 *     TLB        where there is address translation: the first-level TLB
 *     L2_TLB     the second level, and what else keeps the TLB
 *     RECORDS    the interpreter's decoded pages
 *     GUEST      guest address 0
 */
export const PAGE_SIZE = 4096;
export const STATE = 0x1000;
export const STATE_SIZE = 0x2000;
export const JUMP_CACHE = 0x1_0000;
export const JUMP_CACHE_ENTRIES = 1024;
/** `i64` guest page address (tag; an odd tag is empty), `i32` address of the decoded page, `i32` unused. */
export const JUMP_CACHE_ENTRY_SIZE = 16;
/**
 * The first-level TLB: TLB_CONTEXTS direct-mapped tables of TLB_ENTRIES entries, chosen by the page number's low bits. The state's `dataTlb` and
 * `fetchTlb` hold the linear address of the table that is in force, so that a change of privilege mode flushes nothing.
 */
export const TLB = 0x20_0000;
/**
 * As many as reach 256 MiB: a program that looks up keys all over a table of 134 MB took 2.2 times as long with 16384 of them, for the host overlaps
 * accesses that the table serves and waits for each that it does not. Only those that are used take room in the host's memory and caches.
 */
export const TLB_ENTRIES = 65536;
export const TLB_ENTRY_SIZE = 32;
export const TLB_CONTEXT_SIZE = TLB_ENTRIES * TLB_ENTRY_SIZE;
/** User mode (its table is at TLB itself), supervisor mode, supervisor mode that may reach user pages, machine mode. */
export const TLB_CONTEXTS = 4;
/**
 * One entry, by byte offset. A tag is the address of a guest page that may be accessed so without further ado; a tag with TLB_EMPTY set
 * matches no address, and neither does one of zeros except page 0's in the first and last entry. The page's byte at guest virtual address `a` is
 * at linear address `a + addend` modulo 2^32.
 */
export const TlbEntry = {
  read: 0,
  write: 8,
  execute: 16,
  addend: 24,
  /** i32, for the tiers: what they decoded from the page, 0 for nothing. */ code: 28,
} as const;
/** Above the bits that a test of alignment keeps, below the page number. Memory filled with ones is an empty TLB. */
export const TLB_EMPTY = 0x800;
/**
 * Caches of one page each, which regions of user mode look into before the TLB (tier/region/page-cache.ts): an `i64` tag as the TLB has them and
 * the `i32` addend. One for every place that loads, by the low bits of its guest address, then one for every place that stores.
 */
export const PAGE_CACHES = 0x2_0000;
export const PAGE_CACHES_COUNT = 8192;
export const PAGE_CACHE_SIZE = 16;
/** `i32` how many of them are not empty, and their addresses as `i32`: whoever empties them need not look at all. */
export const PAGE_CACHES_USED = PAGE_CACHES + PAGE_CACHES_COUNT * PAGE_CACHE_SIZE;
/**
 * The regions' jump cache: `i64` guest address, `i32` index in the table of regions, `i32` entry number. Of a pair of entries an address may be in
 * either; its low bits say where it is looked for first.
 */
export const REGION_CACHE = 0x5_0000;
export const REGION_CACHE_ENTRIES = 4096;
/** The same behind address translation, where kernels and programs share it: a boot of Linux makes a thousand regions with several entries each. */
export const TRANSLATED_REGION_CACHE_ENTRIES = 16384;
export const REGION_CACHE_ENTRY_SIZE = 16;
/** By index in the table of regions, an `i32`: how often control went there by the jump cache. */
export const REGION_USES = 0x9_0000;
/** Most regions that live at once. */
export const REGIONS_MAX = 4096;
/**
 * A byte for every CODE_LINE bytes of guest memory, by the low bits of their number: not 0 when instructions have been decoded from such
 * bytes, or from others with the same number. So stores beside code, in the same page, need not leave generated code.
 */
export const CODE_LINES = 0xa_0000;
export const CODE_LINES_COUNT = 0x4_0000;
export const CODE_LINE = 64;
/** A decoded record that runs on to the page after it: how the interpreter is entered at any address from WebAssembly. */
export const SPRINGBOARD = 0x3ff0;
/** By guest address, an `i32`: how often control left regions for there and the interpreter went on. */
export const ARRIVALS = 0xe_0000;
export const ARRIVALS_COUNT = 4096;
export const PERMISSION = 0x10_0000;
/** The second-level TLB: entries set by set, here so that generated code can look them up (memory/l2-probe.ts). */
export const L2_TLB = 0xa0_0000;
/** The most entries. */
export const L2_TLB_ENTRIES = 16384;
export const L2_TLB_ENTRY_SIZE = 16;
/** One entry, by byte offset; the bits of its parts are those of memory/l2-tlb.ts. */
export const L2TlbEntry = {
  /** i64: number of the guest page, or of the first of a large one. */ page: 0,
  /** i32: ASID in the low 16 bits, then flags; 0 when empty. */ owner: 8,
  /** i32: where the page lies, large ones perhaps not all in RAM, and what may be done, when that is all there is to know; else 0. */
  direct: 12,
} as const;
/** What the replacement policy remembers: up to eight bytes an entry. */
export const L2_TLB_REPLACEMENT = L2_TLB + L2_TLB_ENTRIES * L2_TLB_ENTRY_SIZE;
/**
 * For each table of the first level, the entries written since it was emptied, while they are fewer than TLB_WRITTEN_MOST. An `i32` each: in the low bits
 * the entry's number, then TLB_WRITTEN_GLOBAL, above it the low bits of the linear page's number that it leads to.
 */
export const TLB_WRITTEN = L2_TLB_REPLACEMENT + L2_TLB_ENTRIES * 8;
/** One more than take as long to empty one by one as the whole table. */
export const TLB_WRITTEN_MOST = 16384;
/** Set where the page is in all address spaces. */
export const TLB_WRITTEN_GLOBAL = 1 << Math.log2(TLB_ENTRIES);
/** What is above that. */
export const TLB_WRITTEN_PAGE = -2 * TLB_WRITTEN_GLOBAL;
/** By so much a linear address is moved up for the number of its page to be there. */
export const TLB_WRITTEN_SHIFT = Math.log2(-TLB_WRITTEN_PAGE / PAGE_SIZE);
export const TLB_CONTROL = TLB_WRITTEN + TLB_CONTEXTS * TLB_WRITTEN_MOST * 4;
/** What both levels and walks in generated code share with JavaScript, by byte offset. */
export const TlbControl = {
  /** i32: what owners of entries of the address space in force have in the bits of L2_OWNER_MASK (memory/l2-tlb.ts). */
  owner: 0,
  /** i32: the shift that gives a root page table's index, 0 without translation. */ rootShift: 4,
  /** i32: 1 while pages that may be executed may be read. */ executableReadable: 8,
  /** i32: moves addresses in open RAM from physical to linear, modulo 2^32. */ openOffset: 12,
  /** Four i32: how many entries TLB_WRITTEN has of each table; TLB_WRITTEN_MOST when nobody knows. */ writtenCounts: 16,
  /** f64: accesses that generated code had from the second level. */ hits: 32,
  /** f64: uses of entries so far, for replacement by age. */ uses: 40,
  /** f64: walks in generated code, and entries that they read. */ walks: 48,
  walkSteps: 56,
  /** i64: physical address of the root page table. */ root: 64,
  /** i64: where the pages of RAM begin that a walk may read and lead to without asking (memory/open-ram.ts), and how many bytes they are. */ openFrom: 72,
  openSpan: 80,
  /** Five i32: entries of the second level by level, and of them those of contiguous ranges. */ population: 88,
  contiguous: 108,
  /** i32: flags that walks set in a leaf: accessed and dirty (memory/sv.ts), or none. */ updates: 112,
  /** f64: fences of an address in generated code. */ fences: 120,
} as const;
/** For each table of the first level, the large pages that it is known to have parts of: LARGE_NOTES tags (i64), 0 for none (memory/large-pages.ts). */
export const TLB_LARGE_NOTES = TLB_CONTROL + 0x100;
export const LARGE_NOTES = 256;
/** A byte for each hash of such a large page (memory/large-pages.ts): 0 where there is none. */
export const TLB_LARGE_FILTER = TLB_LARGE_NOTES + TLB_CONTEXTS * LARGE_NOTES * 8;
export const LARGE_FILTER = 8192;
/** For each table of the first level, an `i32`: with so many entries in its list, that is to be gone through before a fence. */
export const TLB_CROWDED = TLB_LARGE_FILTER + TLB_CONTEXTS * LARGE_FILTER;
/**
 * For each table of the first level, the large pages that generated code has noted and JavaScript does not know of yet (memory/note-code.ts): how many in an `i32`, and from the
 * eighth byte on up to LARGE_PENDING tags as notes have them.
 */
export const TLB_LARGE_PENDING = TLB_CROWDED + 4 * TLB_CONTEXTS;
export const LARGE_PENDING = 255;
export const LARGE_PENDING_SIZE = 8 * (1 + LARGE_PENDING);
/** A byte for each L2_GROUP entries of the second level: 0 where none of them is of one address space alone. */
export const L2_GROUPS = TLB_LARGE_PENDING + TLB_CONTEXTS * LARGE_PENDING_SIZE;
export const L2_GROUP = 64;
export const RECORDS = 0xab_0000;
export const RECORDS_SIZE = 0x1b5_0000;
export const GUEST = 0x260_0000;
/** The most guest memory one 32-bit linear memory holds beside the engine's own part. */
export const MAX_GUEST_SIZE = 0x1_0000_0000 - GUEST - 0x1_0000;

/** Bits of a permission byte. A store to a page with `code` set leaves the engine, so that its translations can be dropped. */
export const Permission = { read: 1, write: 2, execute: 4, code: 8 } as const;
