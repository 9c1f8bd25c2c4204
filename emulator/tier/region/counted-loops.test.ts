import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../bits/float-operands.ts';
import { Random } from '../../ir/random.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { pushTurns } from './counted-loop-code.ts';
import type { Relation } from './counted-loops.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 300);
/** Turns that are followed one by one. */
const FOLLOWED = 5000;
const RELATIONS: readonly Relation[] = ['ne', 'lt', 'le', 'gt', 'ge'];

interface Case {
  readonly counter: bigint;
  readonly bound: bigint;
  readonly offset: number;
  readonly step: number;
  readonly isNarrow: boolean;
  readonly relation: Relation;
  readonly isSigned: boolean;
  readonly boundOffset: number;
}

/** What the code says that is written for a case. */
function turnsOf({ counter, bound, ...rest }: Case): bigint {
  const module = new ModuleBuilder({ check: true });
  const fn = module.function('turns', [ValType.i64, ValType.i64], [ValType.i64]);
  pushTurns(fn, { ...rest, counter: 0, bound: 1, path: [], last: 0 }, { readAt: (register) => fn.localGet(register) });
  module.exportFunction('turns', fn);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode()));
  const turns = instance.exports['turns'] as (counter: bigint, bound: bigint) => bigint;
  return BigInt.asUintN(64, turns(counter, bound));
}

/** Turns in a row that another one follows, one by one; `FOLLOWED` stands for as many and more. */
function follow({ counter, bound, offset, step, isNarrow, relation, isSigned, boundOffset }: Case): number {
  const narrow = (value: bigint) => (isNarrow ? BigInt.asIntN(32, value) : value);
  const order = (value: bigint) => (isSigned ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
  const limit = order(bound + BigInt(boundOffset));
  for (let turn = 0; turn < FOLLOWED; turn++) {
    const value = order(narrow(counter + BigInt(offset) + BigInt(turn) * BigInt(step)));
    const goesOn =
      relation === 'ne'
        ? value !== limit
        : relation === 'lt'
          ? value < limit
          : relation === 'le'
            ? value <= limit
            : relation === 'gt'
              ? value > limit
              : value >= limit;
    if (!goesOn) return turn;
  }
  return FOLLOWED;
}

function randomCase(random: Random): Case {
  const relation = random.pick(RELATIONS);
  const isUp = relation === 'ne' ? random.below(2) === 0 : relation === 'lt' || relation === 'le';
  const size = random.pick([1, 1, 2, 3, 8, 100, 2 ** 20, 2 ** 30]);
  const step = isUp ? size : -size;
  const edge = random.pick([0n, 0n, 1n << 31n, -(1n << 31n), 1n << 32n, 1n << 63n]) + BigInt(random.below(41) - 20);
  const distance = BigInt(step) * BigInt(random.below(60) - 10) + BigInt(random.pick([0, 0, 1, 7]));
  const [counter, bound] = random.below(2) === 0 ? [edge, edge + distance] : [edge - distance, edge];
  const offset = random.pick([0, step, 5, -16]);
  return {
    counter,
    bound,
    offset,
    step,
    isNarrow: random.below(2) === 0,
    relation,
    isSigned: random.below(2) === 0,
    boundOffset: random.pick([0, 0, -1, 24]),
  };
}

test('no more turns are said to be followed by another one than are, and all when nothing wraps around', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  let exact = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const each = randomCase(new Random(seed + round));
    const turns = turnsOf(each);
    const real = follow(each);
    const say = () =>
      `seed ${seed + round}: ${turns} of ${real} ${JSON.stringify({ ...each, counter: `${each.counter}`, bound: `${each.bound}` })}`;
    if (real < FOLLOWED) assert.ok(turns <= BigInt(real), say());
    if (turns === BigInt(real)) exact++;
    const sizes = [each.counter, each.bound].map((value) => (value < 0n ? -value : value));
    const isFar = sizes.some((value) => value > 1n << 30n) || each.counter < 0n !== each.bound < 0n;
    if (!isFar && each.counter > 3000n && real < 60) assert.equal(turns, BigInt(real), say());
  }
  assert.ok(exact > ROUNDS / 4, `${exact} were exact`);
});
