/** The candidate a mistyped name most likely meant, or undefined when none is close. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  // A third of the letters may be wrong; beyond that a suggestion misleads more than it helps.
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  let best: string | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

/** `did you mean 'x'?` as a mending hint, or the fallback when nothing is near. */
export function suggestion(name: string, candidates: Iterable<string>, fallback: string): string {
  const near = nearestName(name, candidates);
  return near === undefined ? fallback : `did you mean '${near}'?`;
}

/** Levenshtein distance over UTF-16 units, inputs cut at 200 so that hostile names cost little. */
export function editDistance(left: string, right: string): number {
  const a = left.slice(0, 200);
  const b = right.slice(0, 200);
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
