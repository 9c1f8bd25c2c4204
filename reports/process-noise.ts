/** How far the medians of two processes that run the same code may lie apart. */
import type { Fingerprint, Kind } from '../suites/harness/measurement.ts';

/**
 * A bound on |ln(head ÷ base)| for one process on each side. Measured on identical code on a 2-core virtual machine
 * (interpreter loop, 25 samples after 8 warm-ups a process): with `--single-threaded` the process medians scatter with a
 * CV of 1.7–1.8 % and none of 160 pairs was more than 10 % apart; with default flags concurrent recompilation raises the
 * CV to 8.8 %, and 19.6 % of 240 pairs were more than 10 % apart. 2.5 × √2 × CV rounds to 10 % and 31 %.
 * Memory is not shaped by recompilation races, but heaps grow in steps: it takes the smaller bound.
 */
export function betweenProcessBound(kind: Kind, base: Fingerprint, head: Fingerprint): number {
  const calm = [base, head].every(({ flags }) => flags.includes('--single-threaded'));
  return calm || kind === 'memory' ? 0.1 : 0.31;
}
