import type { CompiledRegion, Exit } from './translate.ts';

/** A translated region that is installed. */
export class Region {
  readonly code: CompiledRegion;
  readonly run: (entry: number) => number;
  /** Times control came out at each exit. */
  readonly exitCounts: Uint32Array;
  /** Guest address the region was formed from. */
  readonly seed: number;
  live = true;
  retranslations = 0;

  constructor(seed: number, code: CompiledRegion, run: (entry: number) => number) {
    this.seed = seed;
    this.code = code;
    this.run = run;
    this.exitCounts = new Uint32Array(code.exits.length);
  }

  exit(number: number): Exit {
    return this.code.exits[number - 1]!;
  }
}
