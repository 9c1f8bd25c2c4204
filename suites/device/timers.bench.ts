import assert from 'node:assert/strict';
import { Clint } from '../../emulator/device/clint.ts';
import { AlarmClock } from '../../emulator/device/clock.ts';
import { GoldfishRtc } from '../../emulator/device/goldfish-rtc.ts';
import { TestFinisher, type Finish } from '../../emulator/device/test-finisher.ts';
import { defineBench } from '../harness/define-bench.ts';

const ROUNDS = 100;

interface Timers {
  readonly clint: Clint;
  readonly clock: AlarmClock;
  readonly rtc: GoldfishRtc;
  /** The host's time, which the benchmark moves itself. */
  ticks: number;
  interrupts: number;
}

function setup(): Timers {
  const clock = new AlarmClock(10_000_000, () => state.ticks);
  const counted = {
    set: (level: boolean): void => {
      if (level) state.interrupts++;
    },
  };
  const nowhere = { set: () => {} };
  const state: Timers = {
    clock,
    clint: new Clint(clock, [{ software: nowhere, timer: counted }]),
    rtc: new GoldfishRtc({ clock, line: nowhere, epoch: 1_700_000_000_000_000_000n }),
    ticks: 0,
    interrupts: 0,
  };
  return state;
}

defineBench<Timers>({
  id: 'device/clint/timer-interrupt',
  title: 'set mtimecmp 100 ticks ahead, reach it, take the interrupt back',
  unit: 'ns/interrupt',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: (timers) => {
    const { clint, clock } = timers;
    timers.interrupts = 0;
    for (let n = 0; n < ROUNDS; n++) {
      clint.write(0x4000, 8, clint.timer.time + 100n);
      timers.ticks = clock.nextDeadline();
      clock.poll();
    }
    clint.write(0x4000, 8, (1n << 64n) - 1n);
    return timers.interrupts;
  },
  items: () => ROUNDS,
  check: (_, interrupts) => assert.equal(interrupts, ROUNDS),
});

defineBench<Timers>({
  id: 'device/clint/read-mtime',
  title: 'read mtime as 8 bytes',
  unit: 'ns/access',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: (timers) => {
    const from = timers.ticks;
    let last: number | bigint = 0;
    for (let n = 0; n < ROUNDS; n++) {
      timers.ticks++;
      last = timers.clint.read(0xbff8, 8);
    }
    return Number(last) - from;
  },
  items: () => ROUNDS,
  check: (_, passed) => assert.equal(passed, ROUNDS),
});

defineBench<Timers>({
  id: 'device/clock/idle-poll',
  title: 'look at the clock while no alarm is due',
  unit: 'ns/poll',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: ({ clock }) => {
    for (let n = 0; n < ROUNDS; n++) clock.poll();
    return clock.nextDeadline();
  },
  items: () => ROUNDS,
  check: (_, deadline) => assert.equal(deadline, Infinity),
});

defineBench<Timers>({
  id: 'device/rtc/read-time',
  title: 'read the time of day in its two halves',
  unit: 'ns/read',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: ({ rtc }) => {
    let high = 0;
    for (let n = 0; n < ROUNDS; n++) {
      rtc.read(0, 4);
      high = rtc.read(4, 4) as number;
    }
    return high;
  },
  items: () => ROUNDS,
  check: (_, high) => assert.equal(high, Number(1_700_000_000_000_000_000n >> 32n)),
});

interface Finishing {
  readonly finisher: TestFinisher;
  readonly ends: Finish[];
}

defineBench<Finishing>({
  id: 'device/finisher/command',
  title: 'write a command to the test finisher',
  unit: 'ns/access',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: () => {
    const ends: Finish[] = [];
    return { ends, finisher: new TestFinisher((end) => ends.push(end)) };
  },
  work: ({ finisher, ends }) => {
    ends.length = 0;
    for (let n = 0; n < ROUNDS; n++) finisher.write(0, 4, 0x3333 + n * 0x1_0000);
    return ends.length;
  },
  items: () => ROUNDS,
  check: (_, ends) => assert.equal(ends, ROUNDS),
});
