import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AlarmClock } from './clock.ts';
import { wiredOr } from './device.ts';

function manual(): { clock: AlarmClock; set: (ticks: number) => void } {
  let ticks = 0;
  return { clock: new AlarmClock(10, () => ticks), set: (to) => (ticks = to) };
}

test('alarms are called once, the earliest deadline first', () => {
  const { clock, set } = manual();
  const called: string[] = [];
  const later = clock.alarm(() => called.push('later'));
  const sooner = clock.alarm(() => called.push('sooner'));
  later.set(20);
  sooner.set(10);
  assert.equal(clock.nextDeadline(), 10);
  clock.poll();
  set(30);
  clock.poll();
  clock.poll();
  assert.deepEqual(called, ['sooner', 'later']);
  assert.equal(clock.nextDeadline(), Infinity);
});

test('a callback may clear or move another alarm that is due', () => {
  const { clock, set } = manual();
  const called: string[] = [];
  const first = clock.alarm(() => {
    called.push('first');
    cleared.clear();
    moved.set(100);
  });
  const cleared = clock.alarm(() => called.push('cleared'));
  const moved = clock.alarm(() => called.push('moved'));
  for (const alarm of [first, cleared, moved]) alarm.set(5);
  set(5);
  clock.poll();
  assert.deepEqual(called, ['first']);
  set(100);
  clock.poll();
  assert.deepEqual(called, ['first', 'moved']);
});

test('an alarm that always sets itself in the past is called once a poll', () => {
  const { clock, set } = manual();
  let calls = 0;
  const alarm = clock.alarm(() => {
    calls++;
    alarm.set(0);
  });
  alarm.set(0);
  set(50);
  clock.poll();
  assert.equal(calls, 1);
  clock.poll();
  assert.equal(calls, 2);
});

test('time never goes back, and fractions of a tick do not show', () => {
  const { clock, set } = manual();
  set(7.9);
  assert.equal(clock.now(), 7);
  set(3);
  assert.equal(clock.now(), 7);
});

test('a frequency that is no whole number of ticks is refused', () => {
  for (const frequency of [0, -1, 0.5, Number.NaN, Infinity]) assert.throws(() => new AlarmClock(frequency, () => 0));
});

test('a shared wire is high while one of its sources is, and changes only then', () => {
  const levels: boolean[] = [];
  const [a, b] = wiredOr({ set: (level) => levels.push(level) }, 2);
  a!.set(false);
  a!.set(true);
  b!.set(true);
  a!.set(true);
  a!.set(false);
  b!.set(false);
  assert.deepEqual(levels, [true, false]);
});
