/**
 * The one definition of a benchmark, from which run, list, profile, gate, report and documentation come.
 *
 * A suite file `suites/<group>/<subject>.bench.ts` calls `defineBench` at import; nothing is measured then.
 */
import { ConfigError } from '../../emulator/check/errors.ts';
import type { Direction, Engine, Kind, Target, Thresholds } from './measurement.ts';
import { conversionFor } from './unit.ts';

/** A program measured from outside: started anew for every sample. */
export interface ProcessSpec {
  /** Program and arguments; `node` stands for the pinned runtime. */
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** By default 0. */
  readonly exitCode?: number;
  /** Wall time, user time, time to the first byte of standard output, or peak resident memory (unit `KiB` or `MiB`). */
  readonly metric: 'wall' | 'user' | 'first-output' | 'peak-memory';
}

export interface BenchmarkSpec<State> {
  /** `subsystem/group/name`: stable, unique, lower-case kebab segments. */
  readonly id: string;
  readonly title: string;
  /** `ns`, `ms`, `ns/instruction`, `MiB/s`, `kop/s`, `MIPS`; for counters and memory what is counted: `bytes`. */
  readonly unit: string;
  readonly kind: Kind;
  readonly direction: Direction;
  readonly engine: Engine;
  readonly aliases?: readonly string[];
  readonly tags?: readonly string[];
  readonly target?: Target;
  readonly thresholds?: Partial<Thresholds>;
  /** Files whose content is part of the benchmark's identity, relative to the suite file. */
  readonly inputs?: readonly string[];

  /** Builds what the work needs; never timed. Called afresh for every use. */
  readonly setup?: () => State | Promise<State>;
  readonly teardown?: (state: State) => void | Promise<void>;
  /** Puts the state back before each call of the work; not timed; engine `tinybench` only. */
  readonly beforeEach?: (state: State) => void;
  /** The measured body. Return something that depends on the work, so that it cannot be optimised away. */
  readonly work?: (state: State) => unknown;
  /** How many items (instructions, blocks, bytes) one call handles; by default 1. */
  readonly items?: (state: State) => number;
  /** The work returns the sample itself, in `unit`: pauses, bytes. Engine `tinybench` only. */
  readonly selfMeasured?: boolean;
  /**
   * The work waits for a disk, a thread or a process, so that its CPU time says little: wall time in paired runs too, and
   * no second process beside it. True of engine `process` and of self-measured work; asynchronous work is found out.
   * `false`: the work does nothing but compute on this thread, and allocates little, so that its CPU time is all there is to it. It is timed by
   * that in every profile, and what other processes do meanwhile is no part of its samples.
   */
  readonly waits?: boolean;
  /** Engine `process` only. */
  readonly process?: (state: State) => ProcessSpec;
  /** Exact integers by kebab-case name. Taken twice from fresh set-ups: a difference is reported as an error. */
  readonly counters?: (state: State) => Readonly<Record<string, number>> | Promise<Readonly<Record<string, number>>>;
  /** Throws when the work gave a wrong result; run before and after measuring. For `process`, the result is its standard output. */
  readonly check?: (state: State, result: unknown) => void | Promise<void>;
}

/** Whether the benchmark is known to wait before it ever ran. */
export function waits(bench: Pick<Benchmark, 'waits' | 'engine' | 'selfMeasured'>): boolean {
  return bench.waits ?? (bench.engine === 'process' || bench.selfMeasured === true);
}

/** A registered benchmark; the state's type is known to its own functions only. */
export type Benchmark = BenchmarkSpec<unknown>;

const registered: Benchmark[] = [];

/** Registers a benchmark. @throws ConfigError when the definition cannot be measured. */
export function defineBench<State = undefined>(spec: BenchmarkSpec<State>): void {
  validate(spec as unknown as Benchmark);
  if (registered.some(({ id }) => id === spec.id)) {
    throw new ConfigError('is defined twice', { where: spec.id, mend: 'give one of them another id' });
  }
  registered.push(spec as unknown as Benchmark);
}

/** Registrations from `start` on, in order; the caller imports one suite file at a time and takes what it added. */
export function registeredFrom(start: number): readonly Benchmark[] {
  return registered.slice(start);
}

export function registeredCount(): number {
  return registered.length;
}

const ID = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\/[a-z0-9]+(?:-[a-z0-9]+)*){1,5}$/;

export function isBenchmarkId(id: string): boolean {
  return id.length <= 120 && ID.test(id);
}

function validate(spec: Benchmark): void {
  const refuse = (message: string, mend: string): never => {
    throw new ConfigError(message, { where: spec.id, mend });
  };
  for (const id of [spec.id, ...(spec.aliases ?? [])]) {
    if (!isBenchmarkId(id))
      refuse(`'${id}' is not a benchmark id`, 'use subsystem/group/name in lower-case kebab words');
  }
  if ((spec.engine === 'counters') !== (spec.kind === 'counter')) {
    refuse(`kind ${spec.kind} with engine ${spec.engine}`, 'counters and only counters use the counters engine');
  }
  if (spec.engine === 'counters' && spec.counters === undefined) refuse('counts nothing', 'give it counters()');
  if ((spec.engine === 'process') !== (spec.process !== undefined)) {
    refuse('engine and process() disagree', 'give process() to engine process and to no other');
  }
  const timed = spec.engine === 'mitata' || spec.engine === 'tinybench';
  if (timed && spec.work === undefined) refuse('has no work', 'give it work()');
  if (spec.engine !== 'tinybench' && (spec.selfMeasured ?? false)) refuse('self-measured', 'use engine tinybench');
  if (spec.engine !== 'tinybench' && spec.beforeEach !== undefined) refuse('has beforeEach()', 'use engine tinybench');
  if (timed && !(spec.selfMeasured ?? false) && conversionFor(spec.unit) === undefined) {
    refuse(`unit '${spec.unit}' is neither a time nor a rate`, 'use ns, ms, ns/item, MiB/s, MIPS…');
  }
}
