import { successors, type RegionNode } from './node.ts';

/**
 * Where the region around the first node is best entered: the first address, in the outermost loop that the node is in, that a jump
 * backwards goes to, for compilers put a loop's head first. The node's own address when it is in no loop.
 */
export function chooseEntry(nodes: readonly RegionNode[]): number {
  const count = nodes.length;
  const callees = new Set<number>();
  const edges = nodes.map((node) => {
    if (node.continuation === undefined) return successors(node);
    for (const to of successors(node)) callees.add(to);
    return [node.continuation];
  });
  const forward = reach(edges, count);
  const reversed: number[][] = edges.map(() => []);
  edges.forEach((targets, from) => {
    for (const to of targets) reversed[to]!.push(from);
  });
  const backward = reach(reversed, count);
  let best: number | undefined;
  for (let from = 0; from < count; from++) {
    if (forward[from] === 0 || backward[from] === 0) continue;
    for (const to of edges[from]!) {
      const node = nodes[to]!;
      if (forward[to] === 0 || backward[to] === 0 || node.inlined || node.pc > nodes[from]!.pc) continue;
      if (best === undefined || node.pc < best) best = node.pc;
    }
  }
  return best ?? nodes[0]!.pc;
}

function reach(edges: readonly (readonly number[])[], count: number): Uint8Array {
  const seen = new Uint8Array(count);
  const stack = [0];
  seen[0] = 1;
  while (stack.length > 0) {
    for (const to of edges[stack.pop()!]!) {
      if (seen[to] === 1) continue;
      seen[to] = 1;
      stack.push(to);
    }
  }
  return seen;
}
