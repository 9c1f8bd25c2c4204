import type { FlowGraph } from './flow-graph.ts';
import type { LoopGuard } from './loop-guard.ts';
import { placed, successors, type RegionNode, type Target } from './node.ts';

/** Instructions in all copies of a turn: what the host's decoder and V8's register allocation bear. */
const MOST_INSTRUCTIONS = 48;
/** Copies of a turn. */
const MOST_COPIES = 4;
/**
 * The nodes with copies of the bodies of short guarded loops behind them, for several turns in a row: the budget is looked at once for them all, and where
 * pointers are moved on to in between need not be computed. Undefined when no loop is short enough.
 */
export function unrollLoops(
  nodes: readonly RegionNode[],
  graph: FlowGraph,
  guards: ReadonlyMap<number, LoopGuard>,
): readonly RegionNode[] | undefined {
  let unrolled: RegionNode[] | undefined;
  for (const { header, count } of guards.values()) {
    if (count !== undefined) continue;
    const body = nodes.filter(({ index }) => graph.innermost[index] === header);
    const instructions = body.reduce((sum, node) => sum + node.instructions, 0);
    const copies = copiesOf(instructions);
    if (copies < 2 || body.some((node) => isOpen(node, header, graph, nodes.length))) continue;
    unrolled ??= nodes.slice();
    copyTurns(unrolled, header, body, copies);
  }
  return unrolled;
}

/** How many turns in a row are written for a loop. */
export function copiesOf(instructions: number): number {
  return Math.max(1, Math.min(MOST_COPIES, Math.floor(MOST_INSTRUCTIONS / instructions)));
}

/** Whether control may come to a node of a loop, or go from it, unseen by the loop's head. */
function isOpen(node: RegionNode, header: number, graph: FlowGraph, count: number): boolean {
  return (
    (node.index !== header && graph.entryOf[node.index] !== 0) ||
    node.ending.kind === 'jump' ||
    node.continuation !== undefined ||
    node.block.ops.some(({ name }) => name === 'call') ||
    successors(node).some((to) => graph.dispatched.has(node.index * count + to))
  );
}

function copyTurns(nodes: RegionNode[], header: number, body: readonly RegionNode[], copies: number): void {
  const first = nodes.length;
  writeTurns(nodes, header, body, copies, (position, turn) =>
    turn % copies === 0 ? body[position]!.index : first + ((turn % copies) - 1) * body.length + position,
  );
}

/** Writes so many turns of a loop in a row. `inTurn`: the index of the node that stands for one of the body, given by its position, in a turn. */
export function writeTurns(
  nodes: RegionNode[],
  header: number,
  body: readonly RegionNode[],
  turns: number,
  inTurn: (position: number, turn: number) => number,
): void {
  const positions = new Map(body.map(({ index }, position) => [index, position]));
  for (let turn = 0; turn < turns; turn++) {
    const place = (target: Target): Target => {
      const position = 'node' in target ? positions.get(target.node) : undefined;
      if (position === undefined) return target;
      return { node: inTurn(position, body[position]!.index === header ? turn + 1 : turn) };
    };
    for (const [position, node] of body.entries()) {
      const index = inTurn(position, turn);
      nodes[index] = { ...node, index, ending: placed(node.ending, place) };
    }
  }
}
