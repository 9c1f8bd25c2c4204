/** The little a store needs of the place it lives in. */

export interface Change {
  /** Text by path; written in order, so what publishes the others comes last. */
  readonly add: ReadonlyMap<string, string>;
  /** Removed in order, after the additions. */
  readonly remove: readonly string[];
  /** What happened, for the place's own history. */
  readonly subject: string;
}

/** Files by path (see `layout.ts`). Every failure is a ResultError that names the file or object. */
export interface FileTree {
  /** How messages call this place. */
  readonly origin: string;
  paths(): Promise<ReadonlySet<string>>;
  read(paths: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** `edit` sees the paths the change will apply to and may be called again when somebody else changed them first. */
  change(edit: (paths: ReadonlySet<string>) => Change | undefined): Promise<void>;
  push(remote: string): Promise<number>;
  pull(remote: string): Promise<number>;
}
