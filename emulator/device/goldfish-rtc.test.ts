import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AlarmClock } from './clock.ts';
import { GoldfishRtc } from './goldfish-rtc.ts';
import { attack, Probe } from './mmio-driver.test-support.ts';

const TIME_LOW = 0;
const TIME_HIGH = 4;
const ALARM_LOW = 8;
const ALARM_HIGH = 0xc;
const IRQ_ENABLED = 0x10;
const CLEAR_ALARM = 0x14;
const ALARM_STATUS = 0x18;
const CLEAR_INTERRUPT = 0x1c;
const EPOCH = 1_700_000_000_123_456_789n;

function build(frequency = 10_000_000) {
  let ticks = 0;
  const clock = new AlarmClock(frequency, () => ticks);
  const line = new Probe();
  const rtc = new GoldfishRtc({ clock, line, epoch: EPOCH });
  const read = (offset: number): number => Number(rtc.read(offset, 4));
  const write = (offset: number, value: number): void => rtc.write(offset, 4, value);
  const time = (): bigint => {
    const low = BigInt(read(TIME_LOW));
    return (BigInt(read(TIME_HIGH)) << 32n) | low;
  };
  const alarm = (at: bigint): void => {
    write(ALARM_HIGH, Number(at >> 32n));
    write(ALARM_LOW, Number(at & 0xffff_ffffn));
  };
  const advance = (by: number): void => {
    ticks += by;
    clock.poll();
  };
  return { rtc, line, read, write, time, alarm, advance, clock };
}

test('TIME_LOW and TIME_HIGH: nanoseconds since 1970, high word latched by reading the low one', () => {
  const { time, advance, read } = build();
  assert.equal(time(), EPOCH);
  read(TIME_LOW);
  advance(10_000_000 * 60);
  assert.equal(BigInt(read(TIME_HIGH)), EPOCH >> 32n);
  assert.equal(time(), EPOCH + 60_000_000_000n);
});

test('TIME_HIGH then TIME_LOW sets the time, and it goes on from there', () => {
  const { time, write, advance } = build();
  write(TIME_HIGH, 0x1234);
  write(TIME_LOW, 0x5678);
  assert.equal(time(), 0x1234_0000_5678n);
  advance(1);
  assert.equal(time(), 0x1234_0000_5678n + 100n);
});

test('ALARM: interrupts when its time has come, if enabled, until cleared', () => {
  const { alarm, write, advance, line, read, clock } = build();
  write(IRQ_ENABLED, 1);
  alarm(EPOCH + 1000n);
  assert.equal(read(ALARM_STATUS), 1);
  assert.equal(clock.nextDeadline(), 10);
  advance(9);
  assert.equal(line.level, false);
  advance(1);
  assert.equal(line.level, true);
  assert.equal(read(ALARM_STATUS), 0);
  write(CLEAR_INTERRUPT, 1);
  assert.equal(line.level, false);
});

test('ALARM: in the past is due at once; enabling afterwards shows it', () => {
  const { alarm, write, line } = build();
  alarm(EPOCH - 1n);
  assert.equal(line.level, false);
  write(IRQ_ENABLED, 2);
  assert.equal(line.level, false, 'bit 0 is the one');
  write(IRQ_ENABLED, 1);
  assert.equal(line.level, true);
});

test('ALARM: for this very moment is due at once', () => {
  const { alarm, write, line, read } = build();
  write(IRQ_ENABLED, 1);
  alarm(EPOCH);
  assert.equal(line.level, true);
  assert.equal(read(ALARM_STATUS), 0);
});

test('CLEAR_ALARM: an alarm taken back does not come', () => {
  const { alarm, write, advance, line, read, clock } = build();
  write(IRQ_ENABLED, 1);
  alarm(EPOCH + 1000n);
  write(CLEAR_ALARM, 0);
  assert.equal(read(ALARM_STATUS), 0);
  assert.equal(clock.nextDeadline(), Infinity);
  advance(100);
  assert.equal(line.level, false);
});

test('an alarm is never early, although ticks and nanoseconds do not divide each other', () => {
  const { alarm, write, advance, line, time } = build(3);
  write(IRQ_ENABLED, 1);
  const due = EPOCH + 1_000_000_001n;
  alarm(due);
  for (let n = 0; n < 10 && !line.level; n++) advance(1);
  assert.ok(line.level);
  assert.ok(time() >= due && time() < due + 333_333_334n);
});

test('setting the time moves an alarm that is set', () => {
  const { alarm, write, line } = build();
  write(IRQ_ENABLED, 1);
  alarm(EPOCH + 10n ** 12n);
  const target = EPOCH + 2n * 10n ** 12n;
  write(TIME_HIGH, Number(target >> 32n));
  write(TIME_LOW, Number(target & 0xffff_ffffn));
  assert.equal(line.level, true);
});

test('a reset lowers the wire and takes the alarm back, and the time goes on', () => {
  const { rtc, alarm, write, line, time, read } = build();
  write(IRQ_ENABLED, 1);
  alarm(0n);
  assert.ok(line.level);
  rtc.reset();
  assert.ok(!line.level);
  assert.equal(time(), EPOCH);
  write(IRQ_ENABLED, 1);
  assert.ok(!line.level, 'the interrupt is forgotten');
  rtc.reset();
  for (const { name, offset, value } of GoldfishRtc.block.resetValues()) assert.equal(read(offset), value, name);
});

test('registers hold what the table says from the start', () => {
  const { read } = build();
  for (const { name, offset, value } of GoldfishRtc.block.resetValues()) assert.equal(read(offset), value, name);
});

test('10^5 hostile accesses: nothing throws, and exactly a set alarm has a deadline, in the future', () => {
  for (const seed of [11, 0xa1a]) {
    const { rtc, advance, read, clock } = build();
    attack(rtc, {
      seed,
      accesses: 50_000,
      favourites: [0, 4, 8, 12, 16, 20, 24, 28],
      host: (word) => advance(word & 0xffffff),
      invariants: () => {
        const deadline = clock.nextDeadline();
        if (read(ALARM_STATUS) === 0) assert.equal(deadline, Infinity);
        else assert.ok(deadline > clock.now());
      },
    });
  }
});
