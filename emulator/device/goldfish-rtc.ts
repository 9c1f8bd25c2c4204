import type { Alarm, Clock, InterruptLine } from './device.ts';
import { RegisterBlock, RegisterDevice } from './register-block.ts';

const SPECIFICATION = 'Goldfish virtual hardware, goldfish RTC device';
const NANOSECONDS = 1_000_000_000n;

export interface RtcOptions {
  readonly clock: Clock;
  readonly line: InterruptLine;
  /** Nanoseconds since 1970-01-01 UTC at tick 0 of the clock: the host's, or a fixed moment in deterministic mode. */
  readonly epoch: bigint;
}

/** The real-time clock of the goldfish board: nanoseconds since 1970, and one alarm. */
export class GoldfishRtc extends RegisterDevice<GoldfishRtc> {
  static readonly block = new RegisterBlock<GoldfishRtc>(
    'Goldfish real-time clock',
    SPECIFICATION,
    0x1000,
    [4],
    [
      {
        name: 'time-low',
        offset: 0x00,
        width: 4,
        reset: 'varies',
        doc: 'low word of the time in ns; reading it latches the high word, writing it sets the time',
        spec: 'TIME_LOW',
        read: (rtc) => {
          const time = rtc.time;
          rtc.#latchedHigh = high(time);
          return low(time);
        },
        write: (rtc, value) => (rtc.time = join(rtc.#latchedHigh, value)),
      },
      {
        name: 'time-high',
        offset: 0x04,
        width: 4,
        doc: 'high word of the time, as of the last read of time-low; to set the time, written before it',
        spec: 'TIME_HIGH',
        read: (rtc) => rtc.#latchedHigh,
        write: (rtc, value) => (rtc.#latchedHigh = Number(value)),
      },
      {
        name: 'alarm-low',
        offset: 0x08,
        width: 4,
        doc: 'low word of the alarm in ns; writing it sets the alarm',
        spec: 'ALARM_LOW',
        read: (rtc) => low(rtc.#alarm),
        write: (rtc, value) => rtc.#arm(join(rtc.#alarmHigh, value)),
      },
      {
        name: 'alarm-high',
        offset: 0x0c,
        width: 4,
        doc: 'high word of the alarm, written before alarm-low',
        spec: 'ALARM_HIGH',
        read: (rtc) => rtc.#alarmHigh,
        write: (rtc, value) => (rtc.#alarmHigh = Number(value)),
      },
      {
        name: 'irq-enabled',
        offset: 0x10,
        width: 4,
        doc: 'bit 0 lets the alarm interrupt',
        spec: 'IRQ_ENABLED',
        read: (rtc) => (rtc.#enabled ? 1 : 0),
        write: (rtc, value) => {
          rtc.#enabled = (Number(value) & 1) === 1;
          rtc.#update();
        },
      },
      {
        name: 'clear-alarm',
        offset: 0x14,
        width: 4,
        doc: 'any write takes the alarm back',
        spec: 'CLEAR_ALARM',
        write: (rtc) => rtc.#disarm(),
      },
      {
        name: 'alarm-status',
        offset: 0x18,
        width: 4,
        doc: '1 while an alarm is set and not yet due',
        spec: 'ALARM_STATUS',
        read: (rtc) => (rtc.#armed ? 1 : 0),
      },
      {
        name: 'clear-interrupt',
        offset: 0x1c,
        width: 4,
        doc: 'any write lowers the interrupt',
        spec: 'CLEAR_INTERRUPT',
        write: (rtc) => {
          rtc.#pending = false;
          rtc.#update();
        },
      },
    ],
  );

  readonly name = 'rtc';
  readonly #clock: Clock;
  readonly #line: InterruptLine;
  readonly #timer: Alarm;
  readonly #epoch: bigint;
  /** What the guest has set the time ahead of the epoch and the clock, modulo 2^64. */
  #adjustment = 0n;
  #latchedHigh = 0;
  #alarm = 0n;
  #alarmHigh = 0;
  #armed = false;
  #enabled = false;
  #pending = false;

  constructor({ clock, line, epoch }: RtcOptions) {
    super(GoldfishRtc.block);
    this.#clock = clock;
    this.#line = line;
    this.#epoch = epoch;
    this.#timer = clock.alarm(() => this.#due());
  }

  /** Nanoseconds since 1970, modulo 2^64. */
  get time(): bigint {
    return BigInt.asUintN(64, this.#unadjusted() + this.#adjustment);
  }

  set time(value: bigint) {
    this.#adjustment = BigInt.asUintN(64, value - this.#unadjusted());
    if (this.#armed) this.#arm(this.#alarm);
  }

  /** The time goes on: a real clock has a battery. */
  reset(): void {
    this.#latchedHigh = 0;
    this.#alarmHigh = 0;
    this.#alarm = 0n;
    this.#enabled = false;
    this.#pending = false;
    this.#disarm();
    this.#update();
  }

  #unadjusted(): bigint {
    return this.#epoch + (BigInt(this.#clock.now()) * NANOSECONDS) / BigInt(this.#clock.frequency);
  }

  #arm(alarm: bigint): void {
    this.#alarm = alarm;
    this.#armed = true;
    const wait = alarm - this.time;
    if (wait <= 0n) return this.#due();
    // Rounded up: a tick earlier it would not be due yet.
    const ticks = (wait * BigInt(this.#clock.frequency) + NANOSECONDS - 1n) / NANOSECONDS;
    const deadline = this.#clock.now() + Number(ticks);
    if (deadline < Number.MAX_SAFE_INTEGER) this.#timer.set(deadline);
    else this.#timer.clear();
  }

  #disarm(): void {
    this.#armed = false;
    this.#timer.clear();
  }

  /** The tick at which it was due may have been a whole one too early, for ticks and nanoseconds do not divide each other. */
  #due(): void {
    if (this.time < this.#alarm) return this.#arm(this.#alarm);
    this.#disarm();
    this.#pending = true;
    this.#update();
  }

  #update(): void {
    this.#line.set(this.#pending && this.#enabled);
  }
}

function low(value: bigint): number {
  return Number(value & 0xffff_ffffn);
}

function high(value: bigint): number {
  return Number(value >> 32n);
}

function join(highWord: number, lowWord: number | bigint): bigint {
  return (BigInt(highWord) << 32n) | BigInt(lowWord);
}
