/** What every store of results offers. */
import type { Profile, ResultDocument } from '../schema.ts';

export interface StoreEntry {
  /** SHA-256 of the stored bytes, in hex. */
  readonly id: string;
  readonly runId: string;
  readonly commit: string | null;
  readonly dirty: boolean;
  /** ISO 8601. */
  readonly startedAt: string;
  /** See `machineKey`. */
  readonly machine: string;
  readonly profile: Profile;
  readonly benchmarks: number;
  /** Names that point at it. */
  readonly names: readonly string[];
}

export interface StoreFilter {
  readonly commit?: string;
  readonly machine?: string;
  readonly profile?: Profile;
}

export interface LatestFilter {
  readonly excludeCommit?: string;
  readonly machineKey?: string;
  readonly profile?: Profile;
}

export interface PruneOptions {
  /** How many of the newest runs stay per machine and profile; named runs always stay. */
  readonly keep: number;
  readonly dryRun?: boolean;
}

export interface PruneOutcome {
  readonly kept: number;
  /** Removed, or with `dryRun` what would be. */
  readonly removed: readonly StoreEntry[];
}

export interface VerifyOutcome {
  readonly checked: number;
  /** One line each; empty when the whole store is sound. */
  readonly problems: readonly string[];
}

export interface TransferOutcome {
  /** Runs that arrived at the other side. */
  readonly runs: number;
}

/**
 * Append-only: a run's bytes never change, and the same run stored twice is stored once.
 * Every method throws ResultError for data that is damaged or missing (never an empty history), and for a failing disk or git.
 */
export interface ResultStore {
  /** Resolves to the id once the run is published; only then may the caller report it as stored. */
  put(document: ResultDocument): Promise<string>;
  /** By id, or by an unambiguous prefix of at least 8 digits. */
  get(id: string): Promise<ResultDocument>;
  /** Oldest first. */
  list(filter?: StoreFilter): Promise<readonly StoreEntry[]>;
  /** The newest that passes the filter; undefined when there is none. */
  latest(filter?: LatestFilter): Promise<StoreEntry | undefined>;
  /** Points a name at a stored run; a name may be moved. */
  setName(name: string, id: string): Promise<void>;
  names(): Promise<ReadonlyMap<string, string>>;
  prune(options: PruneOptions): Promise<PruneOutcome>;
  verify(): Promise<VerifyOutcome>;
  /** Adds what is here to the remote, keeping what is there. */
  push(remote: string): Promise<TransferOutcome>;
  /** Adds what is at the remote to what is here. */
  pull(remote: string): Promise<TransferOutcome>;
  /** Stores a document that was written to a file; resolves to its id. */
  importFile(path: string): Promise<string>;
  exportFile(id: string, path: string): Promise<void>;
}
