import assert from 'node:assert/strict';
import test from 'node:test';
import { Hotspots } from './hotspots.ts';

test('lines count once they have been seen twice', () => {
  const hotspots = new Hotspots();
  for (const pc of [0x1000, 0x1080, 0x1004, 0x103e, 0x2000]) hotspots.sampled(pc);
  assert.equal(hotspots.lines, 1);
  hotspots.sampled(0x2010);
  assert.equal(hotspots.lines, 2);
  hotspots.clear();
  assert.equal(hotspots.lines, 0);
});

test('arrivals are summed over code', () => {
  const hotspots = new Hotspots();
  for (const pc of [0x1000, 0x1002, 0x1010, 0x1000]) hotspots.arrived(pc, 32);
  assert.equal(hotspots.arrived(0x1002, 32), 64);
  assert.equal(hotspots.arrivalsIn(0x1000, 0x1010), 128);
  assert.equal(hotspots.arrivalsIn(0x1004, 0x1011), 32);
});
