/** What is measured: the closed vocabulary that benchmarks, results and verdicts share. */

/** `counter` values are exact: two runs of one commit must give the same integer. */
export type Kind = 'time' | 'throughput' | 'counter' | 'memory';

/** Which way is better. */
export type Direction = 'lower' | 'higher';

/** What took the samples; `counters` benchmarks have no samples, only counters. */
export type Engine = 'mitata' | 'tinybench' | 'process' | 'counters';

/** Relative thresholds as fractions: 0.1 is 10 %. */
export interface Thresholds {
  readonly regression: number;
  readonly improvement: number;
  readonly critical: number;
}

/** An absolute goal in the benchmark's own unit, e.g. `{ value: 50, from: 'REQUIREMENTS B2' }`. */
export interface Target {
  readonly value: number;
  readonly from: string;
}

/** The facts of a benchmark that do not change from run to run. */
export interface BenchmarkFacts {
  /** `subsystem/group/name`: stable, unique, lower-case kebab segments. */
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly kind: Kind;
  readonly direction: Direction;
  readonly engine: Engine;
  /** Former ids, so that history survives a rename. */
  readonly aliases: readonly string[];
  readonly tags: readonly string[];
  /** SHA-256 of the benchmark's source file and the inputs it names; a new hash opens a new segment of history. */
  readonly sourceHash: string;
  readonly target?: Target;
  readonly thresholds?: Partial<Thresholds>;
}

/** What one run of one benchmark gave. */
export interface Measurement extends BenchmarkFacts {
  /** In `unit`, in the order taken; empty when the benchmark only counts or failed. */
  readonly samples: readonly number[];
  /** Exact integers by name (`guest-instructions`, `wasm-bytes`…); equal on every run of one commit. */
  readonly counters: Readonly<Record<string, number>>;
  /** Why there is no result; absent when there is one. */
  readonly error?: string;
  /** Facts about this run's quality seen while sampling, e.g. `{ gcEvents: 3, batch: 4096 }`. */
  readonly conditions: Readonly<Record<string, number | string>>;
}

/** The machine, runtime and flags a run was taken on; results are compared absolutely only inside one fingerprint. */
export interface Fingerprint {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly os: string;
  readonly arch: string;
  readonly runtime: string;
  readonly v8: string;
  readonly flags: readonly string[];
  readonly harness: string;
}
