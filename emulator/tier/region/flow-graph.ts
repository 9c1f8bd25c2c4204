import { assert } from '../../check/assert.ts';
import { filled } from '../../pass/rewriter.ts';
import { successors, type RegionNode } from './node.ts';

/** The node that stands for "anywhere the region can be entered": its number is one past the last real node's. */
export type GraphNode = number;

/**
 * The shape of a region's control flow, made reducible. Jumps that cannot be structured go through the root, which dispatches on the
 * number of an entry; to keep loops whole, entries inside a loop are reached through the header of every loop around them.
 */
export interface FlowGraph {
  readonly root: GraphNode;
  /** Guest nodes that the root can dispatch to; entry number i + 1 is `entries[i]`. */
  readonly entries: readonly number[];
  /** Entry number by node, 0 for none. */
  readonly entryOf: readonly number[];
  /** For the root and loop headers: where to go next towards an entry, by entry number. */
  readonly hops: ReadonlyMap<GraphNode, ReadonlyMap<number, number>>;
  /** Edges that must go through a dispatch, as `from * nodes + to`. */
  readonly dispatched: ReadonlySet<number>;
  /** Header of the innermost loop around a node (a header is in its own), or -1. */
  readonly innermost: readonly number[];
  /** Header of the next loop outwards. */
  readonly parent: ReadonlyMap<number, number>;
  /** Children in the dominator tree, in reverse postorder. */
  readonly children: readonly (readonly number[])[];
  /** Nodes reached by more than one forward edge, or by a dispatch: they need a label. */
  readonly merges: readonly number[];
  readonly loopHeaders: readonly number[];
  /** Position in reverse postorder. */
  readonly order: readonly number[];
}

interface Graph {
  readonly successors: readonly (readonly number[])[];
  readonly root: number;
}

interface Dominance {
  /** Nodes in reverse postorder; unreachable ones are missing. */
  readonly sequence: readonly number[];
  readonly order: readonly number[];
  readonly immediate: readonly number[];
}

const UNREACHED = -1;

/**
 * `wanted`: nodes where control must be able to enter. Every loop header becomes an entry too, so that a run that left at the end of its budget
 * goes on where it was.
 */
export function analyseFlow(nodes: readonly RegionNode[], wanted: readonly number[]): FlowGraph {
  const count = nodes.length;
  const root = count;
  const entries = new Set(wanted);
  const dispatched = new Set<number>();
  const direct = nodes.map((node) => distinct(successors(node)));

  const returned = new Set(
    nodes.flatMap(({ ending }) => (ending.kind === 'jump' && ending.isReturn ? ending.known : [])),
  );
  // Calls without a return count as going on at their continuation, so that loops with calls in them are loops.
  const analysed = withRoot(nodes, direct, entries, returned);
  const tree = dominatorsOf(analysed);
  if (isReducible(analysed, tree)) return withEntries(nodes, direct, entries, dispatched, analysed, tree);
  const { cut, headers } = sideEntries(nodes, analysed);
  for (const edge of cut) {
    dispatched.add(edge);
    entries.add(edge % count);
  }
  const reducible = {
    root,
    successors: analysed.successors.map((targets, from) => targets.filter((to) => !dispatched.has(from * count + to))),
  };
  // Headers first: what is in their loops hangs on them.
  hangUnreached(reducible, [...headers, ...ascending(entries)]);
  return withEntries(nodes, direct, entries, dispatched, reducible, dominatorsOf(reducible));
}

/** The shape of a reducible graph, all of whose nodes are reached. */
function withEntries(
  nodes: readonly RegionNode[],
  direct: readonly (readonly number[])[],
  entries: Set<number>,
  dispatched: ReadonlySet<number>,
  reducible: Graph,
  dominance: Dominance,
): FlowGraph {
  const loopOf = innermostLoops(nodes.length, reducible, dominance);
  for (const header of loopOf.headers) entries.add(header);
  // Where a call whose callee's return is not in the region goes on.
  for (const { continuation } of nodes) if (continuation !== undefined) entries.add(continuation);

  return shape(direct, ascending(entries), dispatched, loopOf) ?? dispatchAll(direct);
}

function distinct(targets: readonly number[]): readonly number[] {
  if (targets.length < 2 || (targets.length === 2 && targets[0] !== targets[1])) return targets;
  return [...new Set(targets)];
}

/** Whether all nodes are reached, and each edge back goes to a node that dominates where it comes from: as nearly always, no edge is to be cut. */
function isReducible({ successors: edges }: Graph, dominance: Dominance): boolean {
  const { sequence, order } = dominance;
  if (sequence.length < edges.length) return false;
  for (let from = 0; from < edges.length; from++)
    for (const to of edges[from]!) if (order[to]! <= order[from]! && !dominates(dominance, to, from)) return false;
  return true;
}

/** Every edge by way of the root: slow, and possible for any graph. */
function dispatchAll(direct: readonly (readonly number[])[]): FlowGraph {
  const count = direct.length;
  const edges = direct.flatMap((targets, from) => targets.map((to) => from * count + to));
  const none = { headers: new Set<number>(), innermost: filled(count, UNREACHED), parent: new Map() };
  const flat = shape(direct, [...direct.keys()], new Set(edges), none);
  assert(flat !== undefined, 'a graph without edges is reducible');
  return flat;
}

/** The graph with its dispatches in; undefined when it is not reducible. */
function shape(
  direct: readonly (readonly number[])[],
  entryList: readonly number[],
  dispatched: ReadonlySet<number>,
  loopOf: Loops,
): FlowGraph | undefined {
  const count = direct.length;
  const root = count;
  const entryOf = filled(count, 0);
  const hops = new Map<GraphNode, Map<number, number>>();
  entryList.forEach((entry, position) => {
    entryOf[entry] = position + 1;
    const chain: number[] = [];
    let loop = loopOf.innermost[entry]!;
    if (loop === entry) loop = loopOf.parent.get(entry) ?? UNREACHED;
    for (; loop !== UNREACHED; loop = loopOf.parent.get(loop) ?? UNREACHED) chain.unshift(loop);
    let at = root;
    for (const next of [...chain, entry]) {
      const table = hops.get(at) ?? new Map<number, number>();
      table.set(position + 1, next);
      hops.set(at, table);
      at = next;
    }
  });

  const final: number[][] = direct.map((targets, from) => targets.filter((to) => !dispatched.has(from * count + to)));
  final.push([]);
  for (const [at, table] of hops) final[at]!.push(...new Set(table.values()));
  const graph = { successors: final, root };
  const tree = dominatorsOf(graph);
  const { innermost, parent } = loopOf;
  const assembled = assemble(graph, tree, hops, entryList, entryOf, dispatched);
  return assembled && { ...assembled, innermost, parent };
}

function assemble(
  { successors: edges, root }: Graph,
  { sequence, order, immediate }: Dominance,
  hops: FlowGraph['hops'],
  entries: readonly number[],
  entryOf: readonly number[],
  dispatched: ReadonlySet<number>,
): Omit<FlowGraph, 'innermost' | 'parent'> | undefined {
  const children: number[][] = edges.map(() => []);
  const forward = filled(edges.length, 0);
  const merges = filled(edges.length, 0);
  const loopHeaders = filled(edges.length, 0);
  for (const node of sequence) {
    if (node !== root) children[immediate[node]!]!.push(node);
    for (const to of edges[node]!) {
      if (order[to]! <= order[node]!) {
        if (!dominates({ sequence, order, immediate }, to, node)) return undefined;
        loopHeaders[to] = 1;
      } else {
        forward[to]!++;
      }
    }
  }
  for (let node = 0; node < edges.length; node++) if (forward[node]! > 1) merges[node] = 1;
  for (const table of hops.values()) for (const to of table.values()) merges[to] = 1;
  return { root, entries, entryOf, hops, dispatched, children, merges, loopHeaders, order };
}

/** The graph for analysis: direct edges, calls going on at their continuations, and a root to whatever has no way in. */
function withRoot(
  nodes: readonly RegionNode[],
  direct: readonly (readonly number[])[],
  entries: ReadonlySet<number>,
  returned: ReadonlySet<number>,
) {
  const edges: number[][] = nodes.map((node, from) => {
    const targets = [...direct[from]!];
    const { continuation } = node;
    if (continuation !== undefined && !returned.has(continuation) && !targets.includes(continuation))
      targets.push(continuation);
    return targets;
  });
  edges.push([0]);
  const graph = { successors: edges, root: nodes.length };
  hangUnreached(graph, ascending(entries));
  return graph;
}

/** Entries that nothing else leads to hang on the root, one after the other, for one may lead to the next. */
function hangUnreached(graph: { readonly successors: number[][]; readonly root: number }, entries: Iterable<number>) {
  const { root } = graph;
  const seen = reach(graph, filled(root + 1, 0), root);
  for (const entry of entries) {
    if (seen[entry] === 1) continue;
    graph.successors[root]!.push(entry);
    reach(graph, seen, entry);
  }
}

/**
 * The edges, as `from * nodes + to`, that enter a loop elsewhere than at its header, and the headers; without those edges the graph is reducible. Of a loop with
 * several ways in, the header is the first address of those that a jump back goes to.
 */
function sideEntries(
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

function ascending(nodes: ReadonlySet<number>): number[] {
  return [...nodes].sort((a, b) => a - b);
}

function reach(graph: Graph, seen: number[], from: number): number[] {
  const stack = [from];
  seen[from] = 1;
  while (stack.length > 0) {
    for (const to of graph.successors[stack.pop()!]!) {
      if (seen[to] === 1) continue;
      seen[to] = 1;
      stack.push(to);
    }
  }
  return seen;
}

/** Reverse postorder and immediate dominators (Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm", 2001). */
function dominatorsOf({ successors: edges, root }: Graph): Dominance {
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
  sequence.forEach((node, index) => (order[node] = index));
  const predecessors: number[][] = edges.map(() => []);
  for (const node of sequence) for (const to of edges[node]!) predecessors[to]!.push(node);
  const immediate = filled(edges.length, UNREACHED);
  immediate[root] = root;
  for (let changed = true; changed;) {
    changed = false;
    for (const node of sequence) {
      if (node === root) continue;
      let dominator = UNREACHED;
      for (const from of predecessors[node]!) {
        if (immediate[from] === UNREACHED) continue;
        dominator = dominator === UNREACHED ? from : intersect(immediate, order, dominator, from);
      }
      if (immediate[node] !== dominator) {
        immediate[node] = dominator;
        changed = true;
      }
    }
  }
  return { sequence, order, immediate };
}

function intersect(immediate: readonly number[], order: readonly number[], a: number, b: number): number {
  while (a !== b) {
    while (order[a]! > order[b]!) a = immediate[a]!;
    while (order[b]! > order[a]!) b = immediate[b]!;
  }
  return a;
}

function dominates({ immediate, order }: Dominance, a: number, b: number): boolean {
  while (order[b]! > order[a]!) b = immediate[b]!;
  return a === b;
}

interface Loops {
  readonly headers: ReadonlySet<number>;
  /** Header of the innermost loop that a node is in (a header is in its own), or -1. */
  readonly innermost: readonly number[];
  /** Header of the next loop outwards. */
  readonly parent: ReadonlyMap<number, number>;
}

/** Natural loops (Aho, Lam, Sethi, Ullman, "Natural Loops"), loops with one header taken together. */
function innermostLoops(count: number, { successors: edges }: Graph, dominance: Dominance): Loops {
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
