import type { RegisterFile } from '../../ir/type.ts';
import type { CompiledRegion, Exit } from './translate.ts';

/** A translated region that is installed. */
export class Region {
  readonly code: CompiledRegion;
  /** Mode registers and what they held when the region was made: it may only be entered while they do. */
  readonly modes: readonly (readonly [RegisterFile, number])[];
  readonly run: (entry: number) => number;
  /** Times control came out at each exit. */
  readonly exitCounts: Uint32Array;
  /** Guest address the region was formed from. */
  readonly seed: number;
  live = true;
  retranslations = 0;
  /** Times it could not be entered because modes or flags were others. */
  refusedEntries = 0;

  constructor(
    seed: number,
    code: CompiledRegion,
    modes: readonly (readonly [RegisterFile, number])[],
    run: (entry: number) => number,
  ) {
    this.modes = modes;
    this.seed = seed;
    this.code = code;
    this.run = run;
    this.exitCounts = new Uint32Array(code.exits.length);
  }

  exit(number: number): Exit {
    return this.code.exits[number - 1]!;
  }
}
