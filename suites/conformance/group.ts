/** What became of one program: `problem` is undefined when it passed. */
export interface Verdict {
  readonly name: string;
  readonly problem: string | undefined;
}

export interface Group {
  readonly name: string;
  readonly passed: number;
  readonly failed: readonly Verdict[];
}

/** Verdicts by group, which is the program's name up to its last part: `rv64ui-p` of `rv64ui-p-add`. */
export function groupVerdicts(verdicts: readonly Verdict[]): Group[] {
  const groups = new Map<string, Verdict[]>();
  for (const verdict of verdicts) {
    const name = /^([^-]+-[^-]+)-/.exec(verdict.name)?.[1] ?? 'other';
    const group = groups.get(name);
    if (group) group.push(verdict);
    else groups.set(name, [verdict]);
  }
  return [...groups]
    .map(([name, members]) => {
      const failed = members.filter(({ problem }) => problem !== undefined);
      return { name, passed: members.length - failed.length, failed };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
