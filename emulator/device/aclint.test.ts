import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MachineTimer, Mswi, Mtimer, Sswi } from './aclint.ts';
import { Clint } from './clint.ts';
import { AlarmClock } from './clock.ts';
import { attack, Probe } from './mmio-driver.test-support.ts';

const MASK64 = (1n << 64n) - 1n;

function build(harts: number) {
  let ticks = 0;
  const clock = new AlarmClock(10_000_000, () => ticks);
  const lines = Array.from({ length: harts }, () => ({ software: new Probe(), timer: new Probe() }));
  const clint = new Clint(clock, lines);
  const advance = (by: number): void => {
    ticks += by;
    clock.poll();
  };
  return { clock, lines, clint, advance };
}

test('MSIP Registers: bit 0 of a word drives the wire of its hart, the rest reads as 0', () => {
  const { clint, lines } = build(2);
  clint.write(4, 4, 0xffff_ffff);
  assert.equal(clint.read(4, 4), 1);
  assert.deepEqual([lines[0]!.software.level, lines[1]!.software.level], [false, true]);
  clint.write(4, 4, 0xffff_fffe);
  assert.equal(clint.read(4, 4), 0);
  assert.equal(lines[1]!.software.level, false);
});

test('MTIME Register: counts the clock and can be set', () => {
  const { clint, advance } = build(1);
  advance(1000);
  assert.equal(clint.read(0xbff8, 8), 1000n);
  assert.equal(clint.read(0xbff8, 4), 1000);
  clint.write(0xbff8, 8, 0x1_0000_0000n);
  advance(5);
  assert.equal(clint.read(0xbffc, 4), 1);
  assert.equal(clint.read(0xbff8, 4), 5);
});

test('MTIMECMP Registers: the timer interrupt is high exactly while mtime >= mtimecmp', () => {
  const { clint, lines, clock, advance } = build(1);
  const { timer } = lines[0]!;
  clint.write(0x4000, 8, 100n);
  assert.equal(clock.nextDeadline(), 100);
  advance(99);
  assert.equal(timer.level, false);
  advance(1);
  assert.equal(timer.level, true);
  clint.write(0x4000, 8, MASK64);
  assert.equal(timer.level, false);
  assert.equal(clock.nextDeadline(), Infinity);
});

test('a comparator written by halves never fires in between when the manual’s order is kept', () => {
  const { clint, lines, advance } = build(1);
  advance(0x2_0000_0000);
  clint.write(0x4000, 4, 0xffff_ffff);
  clint.write(0x4004, 4, 3);
  clint.write(0x4000, 4, 7);
  assert.equal(clint.read(0x4000, 8), 0x3_0000_0007n);
  assert.equal(lines[0]!.timer.rises, 0);
});

test('moving mtime past the comparator or back changes the interrupt at once', () => {
  const { clint, lines } = build(2);
  clint.write(0x4008, 8, 500n);
  clint.write(0xbff8, 8, 500n);
  assert.deepEqual([lines[0]!.timer.level, lines[1]!.timer.level], [false, true]);
  clint.write(0xbff8, 8, 499n);
  assert.equal(lines[1]!.timer.level, false);
});

test('when mtime wraps the interrupt falls', () => {
  const { clint, lines, advance } = build(1);
  clint.write(0x4000, 8, MASK64 - 20n);
  clint.write(0xbff8, 8, MASK64 - 9n);
  assert.equal(lines[0]!.timer.level, true);
  advance(9);
  assert.equal(lines[0]!.timer.level, true);
  advance(1);
  assert.equal(clint.read(0xbff8, 8), 0n);
  assert.equal(lines[0]!.timer.level, false);
});

test('registers of harts that do not exist read as 0 and ignore writes', () => {
  const { clint } = build(1);
  clint.write(4, 4, 1);
  clint.write(0x4008, 8, 0n);
  assert.deepEqual([clint.read(4, 4), Number(clint.read(0x4008, 8))], [0, 0]);
});

test('a reset lowers every wire and starts mtime at 0', () => {
  const { clint, lines, advance } = build(1);
  advance(50);
  clint.write(0, 4, 1);
  clint.write(0x4000, 8, 0n);
  clint.reset();
  assert.deepEqual([lines[0]!.software.level, lines[0]!.timer.level], [false, false]);
  assert.equal(clint.read(0xbff8, 8), 0n);
  assert.equal(clint.read(0x4000, 8), MASK64);
});

test('ACLINT MTIMER: the same timer at the ACLINT’s offsets', () => {
  let ticks = 7;
  const probe = new Probe();
  const clock = new AlarmClock(1, () => ticks);
  const mtimer = new Mtimer(new MachineTimer(clock, [probe]));
  assert.equal(mtimer.read(0x7ff8, 8), 7n);
  mtimer.write(0, 8, 9n);
  ticks = 9;
  clock.poll();
  assert.equal(probe.level, true);
});

test('SETSSIP Registers: a 1 sets SSIP, a 0 does nothing, reading gives 0', () => {
  const probe = new Probe();
  const sswi = new Sswi([probe]);
  sswi.write(0, 4, 2);
  assert.equal(probe.level, false);
  sswi.write(0, 4, 3);
  assert.equal(probe.level, true);
  assert.equal(sswi.read(0, 4), 0);
  sswi.write(4, 4, 1);
});

test('MSWI: a wire a hart', () => {
  const probes = [new Probe(), new Probe()];
  const mswi = new Mswi(probes);
  mswi.write(0, 8, 0x1_0000_0001n);
  assert.deepEqual(
    probes.map(({ level }) => level),
    [true, true],
  );
});

test('registers hold what the table says after a reset', () => {
  const { clint } = build(4095);
  for (const { offset, width, value } of Clint.block.resetValues()) assert.equal(clint.read(offset, width), value);
});

test('numbers of harts that the layout has no room for are refused', () => {
  const clock = new AlarmClock(1, () => 0);
  assert.throws(() => new Clint(clock, []), /0 harts/);
  assert.throws(() => new Mswi(Array.from({ length: 4096 }, () => new Probe())), /4096 harts/);
});

test('10^5 hostile accesses: nothing throws and each timer shows mtime >= mtimecmp', () => {
  for (const seed of [1, 0x5eed]) {
    const { clint, lines, advance, clock } = build(3);
    const favourites = [0, 4, 8, 12, 0x4000, 0x4008, 0x4010, 0x4018, 0xbff8, 0xbffc];
    attack(clint, {
      seed,
      accesses: 50_000,
      favourites,
      host: (word) => advance(word & 0xffff),
      invariants: () => {
        clock.poll();
        for (const [hart, { software, timer }] of lines.entries()) {
          assert.equal(timer.level, clint.timer.time >= clint.timer.compare(hart));
          assert.equal(software.level, clint.read(4 * hart, 4) === 1);
        }
      },
    });
  }
});
