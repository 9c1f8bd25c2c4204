import { ConfigError } from '../check/errors.ts';
import type { Alarm, Clock, InterruptLine } from './device.ts';
import { RegisterBlock, RegisterDevice } from './register-block.ts';

const ACLINT = 'RISC-V Advanced Core Local Interruptor Specification';
const MASK64 = (1n << 64n) - 1n;
/** Harts that one device can serve, by its layout. */
export const MAX_HARTS = 4095;

/** Machine-level software interrupts: a word a hart, whose bit 0 is the hart's MSIP. */
export class Mswi extends RegisterDevice<Mswi> {
  static readonly block = new RegisterBlock<Mswi>(
    'ACLINT MSWI: machine software interrupts',
    ACLINT,
    0x4000,
    [4, 8],
    [
      {
        name: 'msip',
        offset: 0,
        width: 4,
        count: MAX_HARTS,
        doc: 'bit 0 is the software interrupt of hart n; the rest reads as 0',
        spec: 'MSIP Registers',
        read: (mswi, hart) => mswi.#pending[hart] ?? 0,
        write: (mswi, value, hart) => mswi.set(hart, (Number(value) & 1) === 1),
      },
    ],
  );

  readonly name = 'mswi';
  readonly #lines: readonly InterruptLine[];
  readonly #pending: Uint8Array;

  /** `lines[n]` is the machine software interrupt of hart n. */
  constructor(lines: readonly InterruptLine[]) {
    super(Mswi.block);
    checkHarts(lines.length);
    this.#lines = lines;
    this.#pending = new Uint8Array(lines.length);
  }

  /** As a write to hart `hart`'s register; ignored for a hart that does not exist. */
  set(hart: number, level: boolean): void {
    if (hart >= this.#pending.length) return;
    this.#pending[hart] = level ? 1 : 0;
    this.#lines[hart]!.set(level);
  }

  reset(): void {
    for (const hart of this.#lines.keys()) this.set(hart, false);
  }
}

/**
 * The machine timer: `mtime` counts the clock's ticks, and a hart's timer interrupt is high while `mtime >= mtimecmp` (unsigned).
 * The comparators' and the counter's place differ between the ACLINT and the CLINT, hence no register block of its own here.
 */
export class MachineTimer {
  readonly #clock: Clock;
  readonly #lines: readonly InterruptLine[];
  readonly #alarms: readonly Alarm[];
  readonly #compare: BigUint64Array;
  /** `mtime` less the clock's ticks, modulo 2^64. */
  #offset = 0n;

  /** `lines[n]` is the machine timer interrupt of hart n. */
  constructor(clock: Clock, lines: readonly InterruptLine[]) {
    checkHarts(lines.length);
    this.#clock = clock;
    this.#lines = lines;
    this.#compare = new BigUint64Array(lines.length).fill(MASK64);
    this.#alarms = lines.map((_, hart) => clock.alarm(() => this.#evaluate(hart)));
  }

  /** `mtime`, which the `time` counter of every hart shows (Privileged ISA, "Machine Timer (mtime and mtimecmp) Registers"). */
  get time(): bigint {
    return (BigInt(this.#clock.now()) + this.#offset) & MASK64;
  }

  set time(value: bigint) {
    this.#offset = (BigInt.asUintN(64, value) - BigInt(this.#clock.now())) & MASK64;
    for (const hart of this.#lines.keys()) this.#evaluate(hart);
  }

  /** What `mtime` is ahead of the clock's ticks, modulo 2^64: for code that computes `time` itself. */
  get offset(): bigint {
    return this.#offset;
  }

  compare(hart: number): bigint {
    return this.#compare[hart] ?? 0n;
  }

  setCompare(hart: number, value: bigint): void {
    if (hart >= this.#compare.length) return;
    this.#compare[hart] = value;
    this.#evaluate(hart);
  }

  /**
   * The specification leaves the comparators undefined at reset; all ones keeps the timers quiet until they are set.
   */
  reset(): void {
    this.#offset = BigInt(-this.#clock.now()) & MASK64;
    for (const hart of this.#lines.keys()) this.setCompare(hart, MASK64);
  }

  #evaluate(hart: number): void {
    const time = this.time;
    const compare = this.#compare[hart]!;
    const high = time >= compare;
    // A high timer falls only when mtime wraps: 2^64 ticks away unless the guest has set mtime close to it.
    const distance = high ? MASK64 - time + 1n : compare - time;
    const deadline = this.#clock.now() + Number(distance);
    const alarm = this.#alarms[hart]!;
    if (deadline < Number.MAX_SAFE_INTEGER) alarm.set(deadline);
    else alarm.clear();
    this.#lines[hart]!.set(high);
  }
}

/** The machine timer in the ACLINT's layout: comparators from 0, the counter in the last 8 bytes. */
export class Mtimer extends RegisterDevice<Mtimer> {
  static readonly block = new RegisterBlock<Mtimer>(
    'ACLINT MTIMER: machine timer',
    ACLINT,
    0x8000,
    [4, 8],
    [
      {
        name: 'mtimecmp',
        offset: 0,
        width: 8,
        count: MAX_HARTS,
        reset: 'varies',
        doc: 'the timer interrupt of hart n is high while mtime >= mtimecmp; all ones after a reset',
        spec: 'MTIMECMP Registers',
        read: ({ timer }, hart) => timer.compare(hart),
        write: ({ timer }, value, hart) => timer.setCompare(hart, BigInt(value)),
      },
      {
        name: 'mtime',
        offset: 0x7ff8,
        width: 8,
        reset: 'varies',
        doc: 'ticks of the timebase',
        spec: 'MTIME Register',
        read: ({ timer }) => timer.time,
        write: ({ timer }, value) => (timer.time = BigInt(value)),
      },
    ],
  );

  readonly name = 'mtimer';
  readonly timer: MachineTimer;

  constructor(timer: MachineTimer) {
    super(Mtimer.block);
    this.timer = timer;
  }

  reset(): void {
    this.timer.reset();
  }
}

/** Supervisor-level software interrupts: writing 1 raises SSIP, which the hart itself clears. */
export class Sswi extends RegisterDevice<Sswi> {
  static readonly block = new RegisterBlock<Sswi>(
    'ACLINT SSWI: supervisor software interrupts',
    ACLINT,
    0x4000,
    [4, 8],
    [
      {
        name: 'setssip',
        offset: 0,
        width: 4,
        count: MAX_HARTS,
        doc: 'writing 1 to bit 0 sets SSIP of hart n; reads as 0',
        spec: 'SETSSIP Registers',
        read: () => 0,
        write: (sswi, value, hart) => {
          if ((Number(value) & 1) === 1) sswi.#lines[hart]?.set(true);
        },
      },
    ],
  );

  readonly name = 'sswi';
  readonly #lines: readonly InterruptLine[];

  /** `lines[n]` sets SSIP of hart n; it is never lowered from here. */
  constructor(lines: readonly InterruptLine[]) {
    super(Sswi.block);
    checkHarts(lines.length);
    this.#lines = lines;
  }

  /** Has no state: SSIP is the hart's. */
  reset(): void {}
}

export function checkHarts(harts: number): void {
  if (harts < 1 || harts > MAX_HARTS) throw new ConfigError(`${harts} harts: give 1 to ${MAX_HARTS}`);
}
