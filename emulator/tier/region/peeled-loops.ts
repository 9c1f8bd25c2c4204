import type { Block } from '../../ir/block.ts';
import type { AccessKnowledge } from './access-plan.ts';
import { type Count, countOf } from './counted-loops.ts';
import type { FlowGraph } from './flow-graph.ts';
import { placed, type RegionNode, successors, type Target } from './node.ts';
import { writeTurns } from './unrolled-loops.ts';

/** Instructions of all turns of a loop that are written out. */
const MOST_INSTRUCTIONS = 128;
/** Turns that are written out. */
const MOST_TURNS = 8;

/**
 * The nodes with all turns written out of short loops that count from a constant: what depends on the counter is then constant in each turn, which V8 finds
 * out. How often they turn is a guess by what the bound is now. The loop itself stays, for more turns than that, and for those who enter it elsewhere.
 * Undefined when there is no such loop.
 */
export function peelLoops(
  nodes: readonly RegionNode[],
  graph: FlowGraph,
  knowledge: Pick<AccessKnowledge, 'register'>,
): readonly RegionNode[] | undefined {
  let peeled: RegionNode[] | undefined;
  for (const header of graph.innermostHeaders) {
    const body = nodes.filter(({ index }) => graph.innermost[index] === header);
    const instructions = body.reduce((sum, node) => sum + node.instructions, 0);
    if (2 * instructions > MOST_INSTRUCTIONS || body.some(isOpen)) continue;
    const count = countOf(header, body);
    if (count === undefined) continue;
    for (const node of nodes) {
      if (graph.innermost[node.index] === header || !successors(node).includes(header)) continue;
      if (graph.dispatched.has(node.index * nodes.length + header)) continue;
      const turns = turnsFrom(node.block, count, knowledge);
      if (turns === undefined || turns * instructions > MOST_INSTRUCTIONS) continue;
      peeled ??= nodes.slice();
      writeOut(peeled, header, body, turns, node.index);
      break;
    }
  }
  return peeled;
}

/** Turns of a loop that is entered behind a block; undefined when there are not a few for sure, as far as can be guessed. */
function turnsFrom(
  before: Block,
  { counter, offset, step, relation, bound, boundOffset }: Count,
  knowledge: Pick<AccessKnowledge, 'register'>,
): number | undefined {
  const begin = constantIn(before, counter);
  const end = bound === undefined ? 0 : (constantIn(before, bound) ?? knowledge.register(bound));
  if (begin === undefined || end === undefined) return undefined;
  const limit = end + boundOffset;
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const value = begin + offset + turn * step;
    const goesOn = {
      ne: value !== limit,
      lt: value < limit,
      le: value <= limit,
      gt: value > limit,
      ge: value >= limit,
    };
    if (!goesOn[relation]) return turn > 0 ? turn + 1 : undefined;
  }
  return undefined;
}

/** The constant that a block leaves in a register, given as a state offset. */
function constantIn({ ops }: Block, register: number): number | undefined {
  const last = ops.findLast(
    ({ name, slot }) => name === 'set' && slot!.file.offset + slot!.file.stride * Number(slot!.index) === register,
  );
  const value = last && ops[last.args[0]!]!;
  return value?.name === 'const' ? Number(BigInt.asIntN(64, value.bits!)) : undefined;
}

/** Whether control may go on from a node in ways that its ending does not show. */
function isOpen({ ending, continuation, block }: RegionNode): boolean {
  return ending.kind === 'jump' || continuation !== undefined || block.ops.some(({ name }) => name === 'call');
}

function writeOut(nodes: RegionNode[], header: number, body: readonly RegionNode[], turns: number, before: number) {
  const first = nodes.length;
  // Behind the last turn that is written out comes the loop itself.
  const inTurn = (position: number, turn: number) =>
    turn === turns ? body[position]!.index : first + turn * body.length + position;
  writeTurns(nodes, header, body, turns, inTurn);
  const head = inTurn(
    body.findIndex(({ index }) => index === header),
    0,
  );
  const entering = nodes[before]!;
  const begin = (target: Target): Target => ('node' in target && target.node === header ? { node: head } : target);
  nodes[before] = { ...entering, ending: placed(entering.ending, begin) };
}
