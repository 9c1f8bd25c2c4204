import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attack, Probe, randomWords } from './mmio-driver.test-support.ts';
import { Plic } from './plic.ts';

const THRESHOLD = 0x20_0000;
const CLAIM = 0x20_0004;

function build(sources = 96, contexts = 2, priorityBits = 3) {
  const wires = Array.from({ length: contexts }, () => new Probe());
  const plic = new Plic({ sources, contexts: wires, priorityBits });
  const priority = (source: number, value: number): void => plic.write(4 * source, 4, value);
  const enable = (context: number, ...list: number[]): void => {
    for (let word = 0; word < 32; word++) {
      const bits = list.filter((s) => s >>> 5 === word).reduce((mask, s) => mask | (1 << (s & 31)), 0);
      plic.write(0x2000 + 0x80 * context + 4 * word, 4, bits >>> 0);
    }
  };
  const claim = (context: number): number => Number(plic.read(CLAIM + 0x1000 * context, 4));
  const complete = (context: number, source: number): void => plic.write(CLAIM + 0x1000 * context, 4, source);
  const pending = (source: number): boolean =>
    ((Number(plic.read(0x1000 + 4 * (source >>> 5), 4)) >>> (source & 31)) & 1) === 1;
  return { plic, wires, priority, enable, claim, complete, pending };
}

test('Interrupt Flow: a raised, enabled source interrupts, is claimed, and interrupts no more', () => {
  const { plic, wires, priority, enable, claim, pending } = build();
  priority(10, 1);
  enable(1, 10);
  plic.line(10).set(true);
  assert.ok(pending(10));
  assert.deepEqual([wires[0]!.level, wires[1]!.level], [false, true]);
  assert.equal(claim(0), 0);
  assert.equal(claim(1), 10);
  assert.equal(wires[1]!.level, false);
  assert.ok(!pending(10));
  assert.equal(claim(1), 0);
});

test('Interrupt Gateways: a wire still high at completion is a new request, a low one is not', () => {
  const { plic, wires, priority, enable, claim, complete } = build();
  priority(3, 1);
  enable(0, 3);
  plic.line(3).set(true);
  assert.equal(claim(0), 3);
  complete(0, 3);
  assert.ok(wires[0]!.level);
  assert.equal(claim(0), 3);
  plic.line(3).set(false);
  complete(0, 3);
  assert.ok(!wires[0]!.level);
});

test('Interrupt Gateways: edges while in service are not remembered', () => {
  const { plic, priority, enable, claim, complete, pending } = build();
  priority(3, 1);
  enable(0, 3);
  plic.line(3).set(true);
  claim(0);
  plic.line(3).set(false);
  plic.line(3).set(true);
  assert.ok(!pending(3));
  plic.line(3).set(false);
  complete(0, 3);
  assert.ok(!pending(3));
});

test('Interrupt Gateways: a request stays pending although its wire falls', () => {
  const { plic, priority, enable, claim } = build();
  priority(3, 1);
  enable(0, 3);
  plic.line(3).set(true);
  plic.line(3).set(false);
  assert.equal(claim(0), 3);
});

test('Interrupt Priorities: the highest wins, the lowest number among equals, priority 0 never', () => {
  const { plic, priority, enable, claim } = build();
  for (const [source, value] of [
    [5, 2],
    [6, 7],
    [40, 7],
    [64, 0],
    [95, 2],
  ] as const) {
    priority(source, value);
    plic.line(source).set(true);
  }
  enable(0, 5, 6, 40, 64, 95);
  assert.deepEqual([claim(0), claim(0), claim(0), claim(0), claim(0)], [6, 40, 5, 95, 0]);
});

test('Priority Thresholds: at or below the threshold nothing interrupts, but a claim is still answered', () => {
  const { plic, wires, priority, enable, claim } = build();
  priority(5, 3);
  enable(0, 5);
  plic.write(THRESHOLD, 4, 3);
  plic.line(5).set(true);
  assert.equal(wires[0]!.level, false);
  plic.write(THRESHOLD, 4, 2);
  assert.equal(wires[0]!.level, true);
  plic.write(THRESHOLD, 4, 7);
  assert.equal(wires[0]!.level, false);
  // "the claim operation is not affected by the setting of the priority threshold register"
  assert.equal(claim(0), 5);
});

test('Interrupt Completion: ignored for a source that is not enabled in the context', () => {
  const { plic, priority, enable, claim, complete, pending } = build();
  priority(5, 1);
  enable(0, 5);
  plic.line(5).set(true);
  assert.equal(claim(0), 5);
  complete(1, 5);
  assert.ok(!pending(5));
  enable(0);
  complete(0, 5);
  assert.ok(!pending(5));
  enable(0, 5);
  complete(0, 5);
  assert.ok(pending(5));
});

test('a source enabled in two contexts interrupts both and is claimed by one', () => {
  const { plic, wires, priority, enable, claim } = build();
  priority(9, 1);
  enable(0, 9);
  enable(1, 9);
  plic.line(9).set(true);
  assert.deepEqual([wires[0]!.level, wires[1]!.level], [true, true]);
  assert.equal(claim(1), 9);
  assert.equal(wires[0]!.level, false);
  assert.equal(claim(0), 0);
});

test('priorities and thresholds keep their implemented bits; source 0 and absent sources keep nothing', () => {
  const { plic } = build(40, 1, 3);
  plic.write(4, 4, 0xffff_ffff);
  plic.write(THRESHOLD, 4, 0xffff_ffff);
  plic.write(0, 4, 1);
  plic.write(4 * 40, 4, 1);
  plic.write(0x2000, 4, 0xffff_ffff);
  plic.write(0x2004, 4, 0xffff_ffff);
  plic.write(0x2080, 4, 0xffff_ffff);
  const read = (offset: number): number => Number(plic.read(offset, 4));
  assert.deepEqual([read(4), read(THRESHOLD), read(0), read(4 * 40)], [7, 7, 0, 0]);
  assert.deepEqual([read(0x2000), read(0x2004), read(0x2080)], [0xffff_fffe, 0xff, 0]);
});

test('registers hold what the table says from the start, also those of sources and contexts that are not there', () => {
  const { plic } = build(40, 1);
  for (const { name, offset, width, value } of Plic.block.resetValues())
    assert.equal(plic.read(offset, width), value, name);
});

test('accesses that are not of 4 bytes are refused', () => {
  const { plic } = build();
  assert.deepEqual(
    ([1, 2, 4, 8] as const).map((width) => plic.refuses(0, width)),
    [true, true, false, true],
  );
});

test('a reset forgets everything but the wires', () => {
  const { plic, wires, priority, enable, claim, pending } = build();
  priority(3, 1);
  enable(0, 3);
  plic.line(3).set(true);
  claim(0);
  plic.reset();
  assert.ok(!wires[0]!.level);
  assert.ok(pending(3));
  plic.line(3).set(false);
  assert.equal(plic.read(0x2000, 4), 0, 'nothing is enabled');
  plic.line(3).set(true);
  priority(3, 1);
  enable(0, 3);
  assert.equal(claim(0), 3);
});

test('a source that does not exist has no wire, and impossible sizes are refused', () => {
  const { plic } = build();
  for (const source of [0, 96, -1, 1.5, Number.NaN]) assert.throws(() => plic.line(source), /interrupt/);
  for (const [sources, contexts, bits] of [
    [1, 1, 3],
    [1025, 1, 3],
    [8, 0, 3],
    [8, 1, 0],
    [8, 1, 32],
  ] as const) {
    assert.throws(() => build(sources, contexts, bits), /a PLIC of/);
  }
});

/** The specification's text as plainly as it can be put: sets instead of bits. */
class Model {
  readonly priority = new Map<number, number>();
  readonly enabled = [new Set<number>(), new Set<number>(), new Set<number>()];
  readonly threshold = [0, 0, 0];
  readonly pending = new Set<number>();
  readonly inService = new Set<number>();
  readonly wires = new Set<number>();

  candidates(context: number): number[] {
    const rank = (source: number): number => this.priority.get(source) ?? 0;
    return [...this.pending]
      .filter((source) => this.enabled[context]!.has(source) && rank(source) > 0)
      .sort((a, b) => rank(b) - rank(a) || a - b);
  }

  interrupts(context: number): boolean {
    return this.candidates(context).some((source) => this.priority.get(source)! > this.threshold[context]!);
  }
}

test('random use agrees with a model made of sets over 10^5 steps', () => {
  const seed = 0xc1a1;
  const next = randomWords(seed);
  const SOURCES = 70;
  const { plic, wires, priority, claim, complete } = build(SOURCES, 3);
  const model = new Model();
  for (let step = 0; step < 100_000; step++) {
    const context = next() % 3;
    const source = 1 + (next() % (SOURCES - 1));
    const what = next() % 7;
    switch (what) {
      case 0:
      case 1: {
        const level = what === 0;
        plic.line(source).set(level);
        if (level && !model.wires.has(source) && !model.inService.has(source)) model.pending.add(source);
        if (level) model.wires.add(source);
        else model.wires.delete(source);
        break;
      }
      case 2: {
        const value = next() & 7;
        priority(source, value);
        model.priority.set(source, value);
        break;
      }
      case 3: {
        model.threshold[context] = next() & 7;
        plic.write(THRESHOLD + 0x1000 * context, 4, model.threshold[context]!);
        break;
      }
      case 4: {
        const set = model.enabled[context]!;
        if (!set.delete(source)) set.add(source);
        const word = source >>> 5;
        const bits = [...set].filter((s) => s >>> 5 === word).reduce((mask, s) => mask | (1 << (s & 31)), 0);
        plic.write(0x2000 + 0x80 * context + 4 * word, 4, bits >>> 0);
        break;
      }
      case 5: {
        const expected = model.candidates(context)[0] ?? 0;
        assert.equal(claim(context), expected, `seed ${seed} step ${step}`);
        if (expected !== 0) {
          model.pending.delete(expected);
          model.inService.add(expected);
        }
        break;
      }
      default:
        complete(context, source);
        if (model.enabled[context]!.has(source) && model.inService.delete(source) && model.wires.has(source)) {
          model.pending.add(source);
        }
    }
    for (let c = 0; c < 3; c++)
      assert.equal(wires[c]!.level, model.interrupts(c), `seed ${seed} step ${step} context ${c}`);
    plic.checkInvariants();
  }
});

test('10^5 hostile accesses: nothing throws and no source is pending while in service', () => {
  for (const seed of [7, 0xbad]) {
    const { plic } = build(96, 2);
    const favourites = [
      0,
      4,
      40,
      0x17c,
      0x180,
      0x1000,
      0x1008,
      0x2000,
      0x2008,
      0x2080,
      THRESHOLD,
      CLAIM,
      0x20_1004,
      0x20_2004,
    ];
    attack(plic, {
      seed,
      accesses: 50_000,
      favourites,
      host: (word) => plic.line(1 + (word % 95)).set((word & 0x100) !== 0),
      invariants: () => plic.checkInvariants(),
    });
  }
});
