import assert from 'node:assert/strict';
import test from 'node:test';
import { Hotspots } from './hotspots.ts';

test('lines count once they have been seen twice', () => {
  const hotspots = new Hotspots();
  for (const pc of [0x1000, 0x1080, 0x1004, 0x103e, 0x2000]) hotspots.sampled(pc);
  assert.equal(hotspots.lines, 1);
  hotspots.sampled(0x2010);
  assert.equal(hotspots.lines, 2);
  // One look for several samples' length counts as several, and its line once.
  assert.equal(hotspots.sampled(0x3000, 3), 3);
  assert.equal(hotspots.sampled(0x3000, 2), 5);
  assert.equal(hotspots.lines, 3);
  hotspots.clear();
  assert.equal(hotspots.lines, 0);
});

test('arrivals are summed over code', () => {
  const hotspots = new Hotspots();
  for (const pc of [0x1000, 0x1002, 0x1010, 0x1000]) hotspots.arrived(pc, 32);
  assert.equal(hotspots.arrived(0x1002, 32).times, 64);
  assert.equal(hotspots.arrivalsIn(0x1000, 0x1010), 128);
  assert.equal(hotspots.arrivalsIn(0x1004, 0x1011), 32);
});

test('samples are summed over code, those of a line once', () => {
  const hotspots = new Hotspots();
  for (const pc of [0x1000, 0x1000, 0x103e, 0x1040, 0x10c0, -0x3f_ffff_0000]) hotspots.sampled(pc);
  const parts = [
    [0x1000, 0x1004],
    [0x1010, 0x1020],
    [0x1030, 0x1042],
  ] as const;
  assert.equal(hotspots.samplesIn(parts), 4);
  assert.equal(hotspots.samplesIn([[0x1040, 0x1080]]), 1);
  // Kernels are at negative addresses.
  assert.equal(hotspots.samplesIn([[-0x3f_ffff_0000, -0x3f_fffe_ffc0]]), 1);
});
