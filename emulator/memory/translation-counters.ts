import { TLB_CONTROL, TlbControl } from '../layout/memory-map.ts';

/** What the MMU has done since it was made; all exact. Inline hits in generated code are not seen. */
export interface MmuCounters {
  /** Accesses that the first level did not serve. */
  readonly l1Misses: number;
  readonly l2Hits: number;
  /** Page-table walks, and entries read by them. */
  readonly walks: number;
  readonly walkSteps: number;
  /** Pages entered by prefetch, and those of them that were used later. */
  prefetched: number;
  prefetchHits: number;
  pageFaults: number;
  accessFaults: number;
  deviceReads: number;
  deviceWrites: number;
  /** Fences of any form, and changes of regime that emptied tables of the first level. */
  readonly fences: number;
  flushes: number;
  /** Stores to pages with decoded code. */
  codeWrites: number;
}

/** What was served or missed in JavaScript; generated code counts for itself. */
export interface SlowCounts {
  misses: number;
  hits: number;
  walks: number;
  fences: number;
}

// Of TlbControl: numbers of 64 bits.
const HITS = TlbControl.hits / 8;
const WALKS = TlbControl.walks / 8;
const WALK_STEPS = TlbControl.walkSteps / 8;
const FENCES = TlbControl.fences / 8;

/** Sums up both; those of generated code, in `memory`, start anew. */
export function createCounters(
  memory: WebAssembly.Memory,
  slow: Readonly<SlowCounts>,
  walker: { readonly steps: number },
): MmuCounters {
  const control = new Float64Array(memory.buffer as ArrayBuffer, TLB_CONTROL, 16);
  for (const number of [HITS, WALKS, WALK_STEPS, FENCES]) control[number] = 0;
  return {
    get l1Misses() {
      return slow.misses + control[HITS]! + control[WALKS]!;
    },
    get l2Hits() {
      return slow.hits + control[HITS]!;
    },
    get walks() {
      return slow.walks + control[WALKS]!;
    },
    get walkSteps() {
      return walker.steps + control[WALK_STEPS]!;
    },
    get fences() {
      return slow.fences + control[FENCES]!;
    },
    prefetched: 0,
    prefetchHits: 0,
    pageFaults: 0,
    accessFaults: 0,
    deviceReads: 0,
    deviceWrites: 0,
    flushes: 0,
    codeWrites: 0,
  };
}
