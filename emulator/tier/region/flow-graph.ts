import { assert } from '../../check/assert.ts';
import { filled } from '../../pass/rewriter.ts';
import {
  type Dominance,
  dominates,
  dominatorsOf,
  type Graph,
  innermostLoops,
  type Loops,
  UNREACHED,
  withoutLoops,
} from './dominance.ts';
import { successors, type RegionNode } from './node.ts';
import { sideEntries } from './side-entries.ts';

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
  /** Headers of loops without another one in them, ascending; most regions have none. */
  readonly innermostHeaders: readonly number[];
  /** Children in the dominator tree, in reverse postorder. */
  readonly children: readonly (readonly number[])[];
  /** Nodes reached by more than one forward edge, or by a dispatch: they need a label. */
  readonly merges: readonly number[];
  readonly loopHeaders: readonly number[];
  /** Position in reverse postorder. */
  readonly order: readonly number[];
}

const NOTHING: ReadonlySet<number> = new Set();

/**
 * `wanted`: nodes where control must be able to enter. Every loop header becomes an entry too, so that a run that left at the end of its budget
 * goes on where it was.
 */
export function analyseFlow(nodes: readonly RegionNode[], wanted: readonly number[]): FlowGraph {
  const count = nodes.length;
  const root = count;
  const entries = new Set(wanted);
  const direct: (readonly number[])[] = [];
  for (let at = 0; at < count; at++) direct.push(distinct(successors(nodes[at]!)));
  const analysed = withRoot(nodes, direct, entries);
  const tree = dominatorsOf(analysed);
  if (isReducible(analysed, tree)) return withEntries(nodes, direct, entries, NOTHING, analysed, tree);
  const dispatched = new Set<number>();
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
  hangUnreached(reducible, reducible.successors[root]!, [...headers, ...ascending(entries)]);
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
  const count = nodes.length;
  const loopOf = dominance.isAcyclic ? withoutLoops(count) : innermostLoops(count, reducible, dominance);
  for (const header of loopOf.headers) entries.add(header);
  // Where a call whose callee's return is not in the region goes on.
  let returns = false;
  for (let at = 0; at < count; at++) {
    const { continuation } = nodes[at]!;
    if (continuation === undefined) continue;
    entries.add(continuation);
    returns = true;
  }
  // With one entry, the dispatches add nothing to the graph.
  const isSame =
    !returns &&
    entries.size === 1 &&
    entries.has(0) &&
    dispatched.size === 0 &&
    reducible.successors[count]!.length === 1;
  const tree = isSame ? dominance : undefined;
  return shape(direct, ascending(entries), dispatched, loopOf, tree) ?? dispatchAll(direct);
}

function distinct(targets: readonly number[]): readonly number[] {
  if (targets.length < 2 || (targets.length === 2 && targets[0] !== targets[1])) return targets;
  return [...new Set(targets)];
}

/** Whether all nodes are reached, and each edge back goes to a node that dominates where it comes from: as nearly always, no edge is to be cut. */
function isReducible({ successors: edges }: Graph, dominance: Dominance): boolean {
  const { sequence, order } = dominance;
  if (sequence.length < edges.length) return false;
  if (dominance.isAcyclic) return true;
  for (let from = 0; from < edges.length; from++)
    for (const to of edges[from]!) if (order[to]! <= order[from]! && !dominates(dominance, to, from)) return false;
  return true;
}

/** Every edge by way of the root: slow, and possible for any graph. */
function dispatchAll(direct: readonly (readonly number[])[]): FlowGraph {
  const count = direct.length;
  const edges = direct.flatMap((targets, from) => targets.map((to) => from * count + to));
  const flat = shape(direct, [...direct.keys()], new Set(edges), withoutLoops(count));
  assert(flat !== undefined, 'a graph without edges is reducible');
  return flat;
}

/** The graph with its dispatches in; undefined when it is not reducible. `known`: its dominance. */
function shape(
  direct: readonly (readonly number[])[],
  entryList: readonly number[],
  dispatched: ReadonlySet<number>,
  loopOf: Loops,
  known?: Dominance,
): FlowGraph | undefined {
  const count = direct.length;
  const root = count;
  const { innermost, parent } = loopOf;
  const entryOf = filled(count, 0);
  const hops = new Map<GraphNode, Map<number, number>>();
  for (let position = 0; position < entryList.length; position++) {
    const entry = entryList[position]!;
    entryOf[entry] = position + 1;
    // From the entry outwards: what leads to it hangs on the header around.
    let loop = innermost[entry]!;
    if (loop === entry) loop = parent.get(entry) ?? UNREACHED;
    for (let next = entry; ; loop = parent.get(loop) ?? UNREACHED) {
      const at = loop === UNREACHED ? root : loop;
      const table = hops.get(at);
      if (table === undefined) hops.set(at, new Map([[position + 1, next]]));
      else table.set(position + 1, next);
      if (loop === UNREACHED) break;
      next = loop;
    }
  }
  const edges = known === undefined ? withHops(direct, hops, dispatched) : [...direct, [0]];
  const tree = known ?? dominatorsOf({ successors: edges, root });
  return assemble(edges, root, tree, loopOf, hops, entryList, entryOf, dispatched);
}

/** The edges, but for those that are dispatched, and with the dispatches. */
function withHops(
  direct: readonly (readonly number[])[],
  hops: FlowGraph['hops'],
  dispatched: ReadonlySet<number>,
): readonly (readonly number[])[] {
  const count = direct.length;
  const edges: number[][] = [];
  for (let from = 0; from < count; from++) {
    const targets = direct[from]!;
    edges.push(dispatched.size === 0 ? targets.slice() : targets.filter((to) => !dispatched.has(from * count + to)));
  }
  edges.push([]);
  for (const [at, table] of hops) edges[at]!.push(...new Set(table.values()));
  return edges;
}

function assemble(
  edges: readonly (readonly number[])[],
  root: GraphNode,
  tree: Dominance,
  { innermost, parent }: Loops,
  hops: FlowGraph['hops'],
  entries: readonly number[],
  entryOf: readonly number[],
  dispatched: ReadonlySet<number>,
): FlowGraph | undefined {
  const { sequence, order, immediate } = tree;
  const children: number[][] = [];
  for (let node = 0; node < edges.length; node++) children.push([]);
  const forward = filled(edges.length, 0);
  const merges = filled(edges.length, 0);
  const loopHeaders = filled(edges.length, 0);
  for (let at = 0; at < sequence.length; at++) {
    const node = sequence[at]!;
    if (node !== root) children[immediate[node]!]!.push(node);
    const targets = edges[node]!;
    for (let edge = 0; edge < targets.length; edge++) {
      const to = targets[edge]!;
      if (order[to]! <= order[node]!) {
        if (!dominates(tree, to, node)) return undefined;
        loopHeaders[to] = 1;
      } else if (++forward[to]! > 1) {
        merges[to] = 1;
      }
    }
  }
  for (const table of hops.values()) for (const to of table.values()) merges[to] = 1;
  const innermostHeaders: number[] = [];
  if (!tree.isAcyclic) {
    const outer = new Set(parent.values());
    for (let node = 0; node < root; node++)
      if (loopHeaders[node] === 1 && !outer.has(node)) innermostHeaders.push(node);
  }
  const loops = { innermost, parent, innermostHeaders };
  return { root, entries, entryOf, hops, dispatched, children, merges, loopHeaders, order, ...loops };
}

/** The graph for analysis: direct edges, calls going on at their continuations, and a root to whatever has no way in. */
function withRoot(nodes: readonly RegionNode[], direct: readonly (readonly number[])[], entries: ReadonlySet<number>) {
  const edges: (readonly number[])[] = direct.slice();
  let returned: Set<number> | undefined;
  for (let from = 0; from < nodes.length; from++) {
    const { continuation } = nodes[from]!;
    if (continuation === undefined) continue;
    // Calls without a return count as going on at their continuation, so that loops with calls in them are loops.
    returned ??= returnedTo(nodes);
    if (!returned.has(continuation) && !edges[from]!.includes(continuation))
      edges[from] = [...edges[from]!, continuation];
  }
  const ways = [0];
  edges.push(ways);
  const graph = { successors: edges, root: nodes.length };
  hangUnreached(graph, ways, ascending(entries));
  return graph;
}

/** Where returns go to. */
function returnedTo(nodes: readonly RegionNode[]): Set<number> {
  const returned = new Set<number>();
  for (const { ending } of nodes)
    if (ending.kind === 'jump' && ending.isReturn) for (const to of ending.known) returned.add(to);
  return returned;
}

/** Entries that nothing else leads to hang on the root, whose edges are `ways`, one after the other, for one may lead to the next. */
function hangUnreached(graph: Graph, ways: number[], entries: readonly number[]) {
  const { root } = graph;
  const seen = reach(graph, filled(root + 1, 0), root);
  for (const entry of entries) {
    if (seen[entry] === 1) continue;
    ways.push(entry);
    reach(graph, seen, entry);
  }
}

function ascending(nodes: ReadonlySet<number>): number[] {
  const all = [...nodes];
  return all.length < 2 ? all : all.sort((a, b) => a - b);
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
