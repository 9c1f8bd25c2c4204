import { filled } from '../../pass/rewriter.ts';

export interface Graph {
  readonly successors: readonly (readonly number[])[];
  readonly root: number;
}

export interface Dominance {
  /** Nodes in reverse postorder; unreachable ones are missing. */
  readonly sequence: readonly number[];
  readonly order: readonly number[];
  readonly immediate: readonly number[];
  /** No edge goes back. */
  readonly isAcyclic: boolean;
}

/** No node. */
export const UNREACHED = -1;

/** Reverse postorder and immediate dominators (Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm", 2001). */
export function dominatorsOf({ successors: edges, root }: Graph): Dominance {
  const postorder: number[] = [];
  const state = filled(edges.length, 0);
  const position = filled(edges.length, 0);
  const stack = [root];
  state[root] = 1;
  while (stack.length > 0) {
    const node = stack[stack.length - 1]!;
    const targets = edges[node]!;
    if (position[node]! < targets.length) {
      const to = targets[position[node]!++]!;
      if (state[to] === 0) {
        state[to] = 1;
        stack.push(to);
      }
    } else {
      postorder.push(node);
      stack.pop();
    }
  }
  const sequence = postorder.reverse();
  const order = filled(edges.length, UNREACHED);
  const predecessors: number[][] = [];
  for (let at = 0; at < edges.length; at++) predecessors.push([]);
  for (let at = 0; at < sequence.length; at++) order[sequence[at]!] = at;
  let isAcyclic = true;
  for (let at = 0; at < sequence.length; at++) {
    const targets = edges[sequence[at]!]!;
    for (let edge = 0; edge < targets.length; edge++) {
      const to = targets[edge]!;
      predecessors[to]!.push(sequence[at]!);
      if (order[to]! <= at) isAcyclic = false;
    }
  }
  const immediate = filled(edges.length, UNREACHED);
  immediate[root] = root;
  for (let changed = true; changed;) {
    changed = false;
    // The root comes first.
    for (let at = 1; at < sequence.length; at++) {
      const node = sequence[at]!;
      const sources = predecessors[node]!;
      let dominator = UNREACHED;
      for (let edge = 0; edge < sources.length; edge++) {
        const from = sources[edge]!;
        if (immediate[from] === UNREACHED) continue;
        dominator = dominator === UNREACHED ? from : intersect(immediate, order, dominator, from);
      }
      if (immediate[node] !== dominator) {
        immediate[node] = dominator;
        // What comes before it is final where no edge goes back.
        changed = !isAcyclic;
      }
    }
  }
  return { sequence, order, immediate, isAcyclic };
}

function intersect(immediate: readonly number[], order: readonly number[], a: number, b: number): number {
  while (a !== b) {
    while (order[a]! > order[b]!) a = immediate[a]!;
    while (order[b]! > order[a]!) b = immediate[b]!;
  }
  return a;
}

export function dominates({ immediate, order }: Dominance, a: number, b: number): boolean {
  while (order[b]! > order[a]!) b = immediate[b]!;
  return a === b;
}

export interface Loops {
  readonly headers: ReadonlySet<number>;
  /** Header of the innermost loop that a node is in (a header is in its own), or -1. */
  readonly innermost: readonly number[];
  /** Header of the next loop outwards. */
  readonly parent: ReadonlyMap<number, number>;
}

/** Natural loops (Aho, Lam, Sethi, Ullman, "Natural Loops"), loops with one header taken together. */
export function innermostLoops(count: number, { successors: edges }: Graph, dominance: Dominance): Loops {
  const { order } = dominance;
  const predecessors: number[][] = Array.from({ length: count }, () => []);
  const back = new Map<number, number[]>();
  for (let from = 0; from < count; from++) {
    if (order[from] === UNREACHED) continue;
    for (const to of edges[from]!) {
      if (order[to]! <= order[from]! && dominates(dominance, to, from)) {
        const sources = back.get(to);
        if (sources === undefined) back.set(to, [from]);
        else sources.push(from);
      } else {
        predecessors[to]!.push(from);
      }
    }
  }
  const innermost = filled(count, UNREACHED);
  const parent = new Map<number, number>();
  // Inner headers come later in reverse postorder; their bodies are skipped as a whole when an outer loop is walked.
  const headers = [...back.keys()].sort((a, b) => order[b]! - order[a]!);
  const outermost = (node: number): number => {
    let header = innermost[node]!;
    if (header === UNREACHED) return UNREACHED;
    for (let next = parent.get(header); next !== undefined; next = parent.get(header)) header = next;
    return header;
  };
  for (const header of headers) {
    const stack = [...back.get(header)!];
    innermost[header] = header;
    while (stack.length > 0) {
      const node = stack.pop()!;
      const outer = outermost(node);
      if (outer === header) continue;
      if (outer === UNREACHED) {
        innermost[node] = header;
        stack.push(...predecessors[node]!);
      } else {
        parent.set(outer, header);
        stack.push(...predecessors[outer]!);
      }
    }
  }
  return { headers: new Set(headers), innermost, parent };
}

const NO_HEADERS: ReadonlySet<number> = new Set();
const NO_PARENTS: ReadonlyMap<number, number> = new Map();

/** Of a graph that has none. */
export function withoutLoops(count: number): Loops {
  return { headers: NO_HEADERS, innermost: filled(count, UNREACHED), parent: NO_PARENTS };
}
