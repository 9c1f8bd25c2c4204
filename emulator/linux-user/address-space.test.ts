import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Permission } from '../layout/memory-map.ts';
import { FlatMemory } from '../memory/flat.ts';
import { AddressSpace } from './address-space.ts';
import { Errno } from '../check/errno.ts';

const SIZE = 4 * 2 ** 20;
const PAGE = 4096;

function fresh(): AddressSpace {
  return new AddressSpace(new FlatMemory(SIZE), () => {});
}

test('mappings never overlap, hold zeroes when new, and go when unmapped', () => {
  const space = fresh();
  const model = new Map<number, number>();
  const step = fc.record({
    kind: fc.constantFrom('map', 'unmap', 'remap', 'protect'),
    pages: fc.integer({ min: 1, max: 40 }),
    pick: fc.nat(),
    mark: fc.integer({ min: 1, max: 255 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      for (const { kind, pages, pick, mark } of steps) {
        const starts = [...model.keys()];
        const start = starts[pick % Math.max(1, starts.length)];
        if (kind === 'map') {
          const at = space.map(0, pages * PAGE, 3, false, false);
          if (at === -Errno.ENOMEM) continue;
          assert.ok(at >= 0x10000 && at + pages * PAGE <= SIZE);
          for (const [other, count] of model)
            assert.ok(at + pages * PAGE <= other || other + count * PAGE <= at, 'overlap');
          assert.ok(space.memory.bytes.subarray(at, at + pages * PAGE).every((byte) => byte === 0));
          space.memory.bytes[at] = mark;
          model.set(at, pages);
        } else if (start !== undefined && kind === 'unmap') {
          assert.equal(space.unmap(start, model.get(start)! * PAGE), 0);
          assert.equal(space.memory.allows(start, 1, Permission.read), false);
          model.delete(start);
        } else if (start !== undefined && kind === 'remap') {
          const before = space.memory.bytes[start];
          const at = space.remap(start, model.get(start)! * PAGE, pages * PAGE, true);
          if (at === -Errno.ENOMEM) continue;
          assert.equal(space.memory.bytes[at], before);
          model.delete(start);
          model.set(at, pages);
        } else if (start !== undefined) {
          assert.equal(space.protect(start, PAGE, 1), 0);
          assert.equal(space.memory.allows(start, 1, Permission.write), false);
          assert.equal(space.protect(start, PAGE, 3), 0);
        }
        space.memory.checkInvariants();
        assert.equal(space.mappedBytes(), [...model.values()].reduce((sum, count) => sum + count, 0) * PAGE);
      }
      for (const [start, count] of model) space.unmap(start, count * PAGE);
      model.clear();
    }),
    { numRuns: 60 },
  );
});

test('hostile lengths and addresses are refused, not followed', () => {
  const space = fresh();
  const values = [-1, 0, 1, 4095, 4096, SIZE, SIZE + 4096, 2 ** 53, -(2 ** 63), 2 ** 63, Number.MAX_SAFE_INTEGER];
  for (const address of values) {
    for (const length of values) {
      for (const result of [
        space.map(address, length, 7, true, false),
        space.map(address, length, 7, false, false),
        space.unmap(address, length),
        space.protect(address, length, 7),
        space.remap(address, length, length, true),
        space.moveBreak(address),
      ]) {
        assert.ok(Number.isInteger(result) && result >= -4095 && result <= SIZE, `${address} ${length} -> ${result}`);
      }
      assert.equal(typeof space.memory.allows(address, length, Permission.read), 'boolean');
    }
  }
});

test('the break moves, keeps its pages apart from mappings, and comes back zeroed', () => {
  const space = fresh();
  space.setBreak(0x20001);
  assert.equal(space.moveBreak(0), 0x21000);
  assert.equal(space.moveBreak(0x23000), 0x23000);
  space.memory.bytes[0x22fff] = 7;
  assert.equal(space.moveBreak(0x21000), 0x21000);
  assert.equal(space.moveBreak(0x23000), 0x23000);
  assert.equal(space.memory.bytes[0x22fff], 0);
  assert.equal(space.map(0x24000, PAGE, 3, true, false), 0x24000);
  assert.equal(space.moveBreak(0x25000), 0x23000);
});
