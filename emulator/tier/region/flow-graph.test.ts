import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../bits/float-operands.ts';
import { Random } from '../../ir/random.ts';
import { analyseFlow } from './flow-graph.ts';
import { type Ending, type RegionNode, successors, type Target } from './node.ts';

const BLOCK = { isa: 'test', ops: [] };

function randomNodes(random: Random): RegionNode[] {
  const count = 1 + random.below(random.chance(10) ? 80 : 12);
  const target = (): Target => (random.chance(10) ? { exit: 0 } : { node: random.below(count) });
  return Array.from({ length: count }, (_, index) => {
    const kind = random.below(4);
    const ending: Ending =
      kind === 0
        ? { kind: 'goto', to: target() }
        : kind === 3
          ? {
              kind: 'jump',
              isReturn: random.chance(50),
              expected: undefined,
              known: [random.below(count), random.below(count)],
            }
          : { kind: 'branch', taken: target(), fallThrough: target() };
    const continuation = random.chance(20) ? random.below(count) : undefined;
    const pc = 4 * random.below(count);
    return {
      index,
      pc,
      end: pc + 4,
      instructions: 1,
      block: BLOCK,
      ending,
      continuation,
      usesModes: false,
      inlined: false,
    };
  });
}

test('any graph gets a structure in which every edge and every entry has its way', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  let dispatched = 0;
  for (let round = 0; round < 5000; round++) {
    const random = new Random(seed + round);
    const nodes = randomNodes(random);
    const count = nodes.length;
    const graph = analyseFlow(nodes, [0]);
    dispatched += graph.dispatched.size;
    const parent = new Map<number, number>();
    graph.children.forEach((children, node) => children.forEach((child) => parent.set(child, node)));
    const dominated = (node: number, by: number): boolean => {
      for (let at: number | undefined = node; at !== undefined; at = parent.get(at)) if (at === by) return true;
      return false;
    };
    const what = `seed ${seed + round}`;
    for (const { index } of nodes) {
      if (graph.order[index] === -1) continue;
      for (const to of successors(nodes[index]!)) {
        if (graph.dispatched.has(index * count + to)) {
          assert.ok(graph.entryOf[to]! > 0, `${what}: a dispatched edge leads to an entry`);
        } else if (graph.order[to]! <= graph.order[index]!) {
          assert.ok(
            graph.loopHeaders[to] === 1 && dominated(index, to),
            `${what}: a jump back is to a header around it`,
          );
        } else {
          assert.ok(
            graph.merges[to] === 1 || parent.get(to) === index,
            `${what}: a jump on has a label or the only one`,
          );
        }
      }
    }
    graph.entries.forEach((entry, position) => {
      let at = graph.root;
      for (let hop = 0; at !== entry; hop++) {
        assert.ok(hop <= count, `${what}: hops end`);
        const next = graph.hops.get(at)?.get(position + 1);
        assert.ok(next !== undefined && parent.get(next) === at, `${what}: a hop goes to a child`);
        at = next;
      }
    });
  }
  assert.ok(dispatched > 1000, 'some graphs are not reducible');
});
