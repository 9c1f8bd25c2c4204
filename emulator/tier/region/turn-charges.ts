import { filled } from '../../pass/rewriter.ts';
import type { FlowGraph } from './flow-graph.ts';
import { successors, type RegionNode } from './node.ts';

/** How nodes are paid for, by their number. */
export interface Charges {
  /** Instructions taken from the budget where a node begins. */
  readonly charge: readonly number[];
  /** Of these, what is given back where control leaves the loop around it behind the node: what is paid for, and has not begun. */
  readonly ahead: readonly number[];
}

/** Each node by itself. */
export function chargeNodes(nodes: readonly RegionNode[]): { charge: number[]; ahead: number[] } {
  return { charge: nodes.map(({ instructions }) => instructions), ahead: filled(nodes.length, 0) };
}

/**
 * In innermost loops, what every full turn executes is paid for at once, by the loop's head: a subtraction for each turn instead of one for each
 * node. Loops that are entered elsewhere, or call helpers, which may look at the budget, are left as they are.
 */
export function chargeTurns(nodes: readonly RegionNode[], graph: FlowGraph): Charges {
  const charges = chargeNodes(nodes);
  if (graph.innermostHeaders.length === 0) return charges;
  const dominator = filled(nodes.length, -1);
  graph.children.forEach((children, node) => {
    for (const child of children) dominator[child] = node;
  });
  for (const header of graph.innermostHeaders) {
    if (graph.hops.has(header)) continue;
    const body = nodes.filter(({ index }) => graph.innermost[index] === header);
    if (body.length > 1 && !body.some((node) => isOpen(node, header, graph, nodes.length)))
      chargeLoop(header, body, dominator, charges);
  }
  return charges;
}

/** Whether control may come to a node of a loop, or go from it, unseen by the loop's head. */
function isOpen(node: RegionNode, header: number, graph: FlowGraph, count: number): boolean {
  return (
    (node.index !== header && graph.entryOf[node.index] !== 0) ||
    node.block.ops.some(({ name }) => name === 'call') ||
    successors(node).some((to) => graph.dispatched.has(node.index * count + to))
  );
}

function chargeLoop(
  header: number,
  body: readonly RegionNode[],
  dominator: readonly number[],
  { charge, ahead }: { readonly charge: number[]; readonly ahead: number[] },
): void {
  const dominatorsOf = (node: number): Set<number> => {
    const all = new Set([node]);
    for (let at = node; at !== header && at !== -1;) all.add((at = dominator[at]!));
    return all;
  };
  const latches = body.filter((node) => successors(node).includes(header)).map(({ index }) => dominatorsOf(index));
  const always = body.filter(({ index }) => latches.every((dominators) => dominators.has(index)));
  if (latches.length === 0 || always.length < 2) return;
  for (const { index } of body) {
    const begun = dominatorsOf(index);
    for (const node of always) if (!begun.has(node.index)) ahead[index]! += node.instructions;
  }
  for (const { index, instructions } of always) {
    if (index === header) continue;
    charge[index] = 0;
    charge[header]! += instructions;
  }
}
