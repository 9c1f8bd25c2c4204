import { test } from 'node:test';
import type { Random } from '../ir/random.ts';
import { PAGE_SIZE, Permission } from '../layout/memory-map.ts';
import { CODE, DATA, DATA_PAGES, type LoopProgram, compareRandomLoops } from './loop-run.test-support.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 100);
const OPEN = Permission.read | Permission.write;

/** Registers that are loaded and stored. */
const HELD = ['a3', 'a4', 'a5', 'a6', 'a7', 't1', 't2', 't3', 't4', 't5'];

const WIDTHS = [
  { load: 'lbu', store: 'sb', bytes: 1, most: 10 },
  { load: 'lb', store: 'sb', bytes: 1, most: 10 },
  { load: 'lhu', store: 'sh', bytes: 2, most: 6 },
  { load: 'lw', store: 'sw', bytes: 4, most: 4 },
];

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const rest = [...items];
  return items.map(() => rest.splice(random.below(rest.length), 1)[0]!);
}

/** Copies some neighbouring pieces in any order, mostly as compilers do, sometimes with something that must keep them apart. */
function randomCopy(random: Random, body: string[]): void {
  const { load, store, bytes, most } = random.pick(WIDTHS);
  const pieces = Array.from({ length: 2 + random.below(most - 1) }, (_, index) => ({ index, register: HELD[index]! }));
  const order = random.below(4) === 0 ? shuffled(random, pieces) : pieces;
  const [from, to] = random.pick([
    ['a0', 'a1'],
    ['a0', 'a1'],
    ['a0', 'a0'],
    ['a1', 'a0'],
  ] as const);
  const offset = () => random.pick([random.below(24) - 8, random.below(24) - 8, 2000 + random.below(20), -2048]);
  const [fromOffset, toOffset] = [offset(), offset()];
  const anywhere = () => toOffset + random.below(pieces.length * bytes);
  const rare = random.pick([12, 12, 3]);
  const disturb = () => {
    if (random.below(rare) !== 0) return;
    const register = random.pick(HELD);
    body.push(
      random.pick([
        `sb ${register},3(a1)`,
        `lbu t6,${anywhere()}(${to})`,
        `lbu t6,${anywhere()}(${to})`,
        `sb ${register},${anywhere()}(${to})`,
        `sb ${register},${fromOffset + random.below(pieces.length * bytes)}(${from})`,
        'sb a4,-2048(a1)',
        'lbu t6,-2000(a0)',
        `addi ${register},${register},1`,
        `ld t6,0(a0)`,
        'addi a1,a1,1',
        `addi ${register},a4,0`,
        'amoadd.w t6,a4,(sp)',
        'add t0,t0,t6',
      ]),
    );
    body.push('add t0,t0,t6', 'slli t0,t0,1');
  };
  const mixed = random.below(6) === 0;
  for (const { index, register } of order) {
    const base = mixed ? random.pick(['a0', 'a1', 'sp']) : from;
    body.push(`${load} ${register},${fromOffset + bytes * index}(${base})`);
    disturb();
  }
  // Now and then a piece goes elsewhere than its neighbours do.
  const reversed = random.below(8) === 0;
  for (const { index, register } of random.below(3) === 0 ? shuffled(random, order) : order) {
    disturb();
    const at = reversed ? pieces.length - 1 - index : index;
    body.push(`${store} ${register},${toOffset + bytes * at}(${to})`);
  }
  body.push(random.pick([`lwu t6,${toOffset}(${to})`, `ld t6,${toOffset}(${to})`, 'add t0,t0,t6']), 'add t0,t0,t6');
}

function randomLoop(random: Random): LoopProgram {
  const body: string[] = [];
  do randomCopy(random, body);
  while (random.below(2) === 0);
  const step = () => random.pick([1, 3, 8, -1, 64, 0]);
  body.push(`addi a0,a0,${step()}`, `addi a1,a1,${step()}`);
  if (random.below(2) === 0) body.push('andi s0,t0,7', 'add a1,a1,s0');
  body.push('addi a2,a2,-1');
  body.push(`bne a2,zero,@${-4 * body.length}`);
  const place = () => DATA + random.below(DATA_PAGES * PAGE_SIZE - 32);
  const near = place();
  const permissions = Array.from({ length: DATA_PAGES }, () =>
    random.below(8) === 0 ? random.pick([0, Permission.read, OPEN | Permission.execute]) : OPEN,
  );
  return {
    lines: body,
    // The loop's own code is read, and overwritten, now and then.
    registers: {
      2: DATA + 64,
      10: random.below(20) === 0 ? CODE + random.below(64) : near,
      11: random.pick([place(), near + random.below(16) - 8, near + 64]),
      12: 1 + random.below(random.pick([4, 40, 400])),
    },
    permissions,
  };
}

test('bytes copied one by one end alike as those copied together', (context) => {
  compareRandomLoops(context, randomLoop, ROUNDS, [20, 200, 5000]);
});
