import type { Run } from './straight-run.ts';

/** An address that control goes to in the code around a seed. */
class Candidate {
  readonly pc: number;
  /** The run from there, undivided until it is known where all leaders are; undefined where there is nothing to translate, and no leader. */
  run: Run | undefined = undefined;
  /** Its node outside of inlined callees; -1 as long as there is none. */
  node = -1;
  /** Its nodes in callees, by the node that they return to. */
  copies: Map<number, number> | undefined = undefined;
  /** Results of `inlinedSize` by depth. */
  sizes: (number | undefined)[] | undefined = undefined;

  constructor(pc: number) {
    this.pc = pc;
  }
}

interface Leader extends Candidate {
  run: Run;
}

/** Words of a filter: typed arrays of more than 64 bytes lie outside V8's heap and take several times as long to make, once for each survey. */
const FILTER_WORDS = 16;

/** Where control goes from a seed, in the order in which that was found. */
export class Leaders {
  readonly queue: Candidate[] = [];
  readonly #seed: number;
  readonly #known = new Map<number, Candidate>();
  /** What is not in here is no leader: most instructions are none, and looking a number up in a map takes longer. */
  readonly #filter = new Int32Array(FILTER_WORDS);

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** What begins at an address; undefined when nothing does. */
  at(pc: number): Leader | undefined {
    const candidate = this.#known.get(this.#key(pc));
    return candidate?.run === undefined ? undefined : (candidate as Leader);
  }

  /** Control goes to an address, maybe not for the first time. */
  visit(pc: number): void {
    const key = this.#key(pc);
    if (this.#known.has(key)) return;
    const candidate = new Candidate(pc);
    this.#known.set(key, candidate);
    this.queue.push(candidate);
  }

  /** There is a run from there. */
  lead(candidate: Candidate, run: Run): void {
    candidate.run = run;
    this.#filter[wordOf(run.pc)]! |= bitOf(run.pc);
  }

  /** Whether an address is a leader's, asked of instruction after instruction. */
  has(pc: number): boolean {
    return (this.#filter[wordOf(pc)]! & bitOf(pc)) !== 0 && this.at(pc) !== undefined;
  }

  /** An integer for V8, where that is possible: maps take longer to find other numbers, such as kernels' addresses. */
  #key(pc: number): number {
    const distance = pc - this.#seed;
    const short = distance | 0;
    return short === distance ? short : distance;
  }
}

/** The filter has a bit for every two bytes of a kilobyte. */
function wordOf(pc: number): number {
  return (pc >>> 6) & (FILTER_WORDS - 1);
}

function bitOf(pc: number): number {
  return 1 << ((pc >>> 1) & 31);
}
