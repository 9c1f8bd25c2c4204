import { filled } from '../../pass/rewriter.ts';
import { type Graph, UNREACHED } from './dominance.ts';
import type { RegionNode } from './node.ts';

/**
 * The edges, as `from * nodes + to`, that enter a loop elsewhere than at its header, and the headers; without those edges the graph is reducible. Of a loop with
 * several ways in, the header is the first address of those that a jump back goes to.
 */
export function sideEntries(
  nodes: readonly RegionNode[],
  { successors: edges }: Graph,
): { readonly cut: ReadonlySet<number>; readonly headers: readonly number[] } {
  const count = nodes.length;
  const cut = new Set<number>();
  const predecessors: number[][] = edges.map(() => []);
  for (let from = 0; from < edges.length; from++) for (const to of edges[from]!) predecessors[to]!.push(from);
  const search: ComponentSearch = {
    edges,
    isCut: (from, to) => cut.has(from * count + to),
    part: filled(edges.length, 0),
    index: filled(count, UNREACHED),
    low: filled(count, 0),
    onStack: filled(count, 0),
  };
  const { part } = search;
  // The root is in no part: it is where control comes from.
  part[count] = NO_PART;
  const work: { readonly members: readonly number[]; readonly number: number }[] = [
    { members: nodes.map((_, node) => node), number: 0 },
  ];
  let parts = 1;
  /** Each stands for a loop: edges to it from inside are its back edges. */
  const found: number[] = [];
  while (work.length > 0) {
    const { members, number } = work.pop()!;
    for (const component of components(search, members, number)) {
      const inside = parts++;
      for (const node of component) part[node] = inside;
      const ways = new Set<number>();
      for (const node of component) {
        for (const from of predecessors[node]!) if (part[from] !== inside && !search.isCut(from, node)) ways.add(node);
      }
      // Code that the passes have cut off has no way in; it may begin anywhere.
      let header = ways.values().next().value ?? component[0]!;
      if (ways.size > 1) {
        // It must be one of the ways in, or nothing would lead to it once the others are cut.
        const back = new Set<number>();
        for (const from of component)
          for (const to of edges[from]!) if (ways.has(to) && nodes[to]!.pc <= nodes[from]!.pc) back.add(to);
        const candidates = back.size > 0 ? back : ways;
        for (const way of candidates) if (!candidates.has(header) || nodes[way]!.pc < nodes[header]!.pc) header = way;
        for (const node of component) {
          if (node === header) continue;
          for (const from of predecessors[node]!) if (part[from] !== inside) cut.add(from * count + node);
        }
      }
      found.push(header);
      part[header] = NO_PART;
      work.push({ members: component.filter((node) => node !== header), number: inside });
    }
  }
  return { cut, headers: found };
}

/** Of nodes that are in no part of the graph that is still searched: headers. */
const NO_PART = -1;

/** What the searches for components share, so that each takes as long as its part is large. */
interface ComponentSearch {
  readonly edges: readonly (readonly number[])[];
  readonly isCut: (from: number, to: number) => boolean;
  /** The number of the part of the graph that each node is in. */
  readonly part: number[];
  readonly index: number[];
  readonly low: number[];
  readonly onStack: number[];
}

/** Strongly connected components that hold a cycle, of a part of the graph; edges that leave it do not count (Tarjan, 1972). */
function components(search: ComponentSearch, members: readonly number[], number: number): number[][] {
  const { edges, isCut, part, index, low, onStack } = search;
  const path: number[] = [];
  const found: number[][] = [];
  let next = 0;
  for (const node of members) index[node] = UNREACHED;
  const targetsOf = (node: number) => edges[node]!.filter((to) => part[to] === number && !isCut(node, to));
  for (const start of members) {
    if (index[start] !== UNREACHED) continue;
    const stack: { readonly node: number; readonly targets: readonly number[]; at: number }[] = [];
    const visit = (node: number) => {
      index[node] = low[node] = next++;
      onStack[node] = 1;
      path.push(node);
      stack.push({ node, targets: targetsOf(node), at: 0 });
    };
    visit(start);
    while (stack.length > 0) {
      const frame = stack[stack.length - 1]!;
      if (frame.at < frame.targets.length) {
        const to = frame.targets[frame.at++]!;
        if (index[to] === UNREACHED) visit(to);
        else if (onStack[to] === 1) low[frame.node] = Math.min(low[frame.node]!, index[to]!);
        continue;
      }
      stack.pop();
      const { node, targets } = frame;
      const above = stack[stack.length - 1];
      if (above !== undefined) low[above.node] = Math.min(low[above.node]!, low[node]!);
      if (low[node] !== index[node]) continue;
      const component: number[] = [];
      for (;;) {
        const member = path.pop()!;
        onStack[member] = 0;
        component.push(member);
        if (member === node) break;
      }
      if (component.length > 1 || targets.includes(node)) found.push(component);
    }
  }
  return found;
}
