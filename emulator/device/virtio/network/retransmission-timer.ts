/** Microseconds. RFC 6298, "The Basic Algorithm", with the minimum that Linux uses in place of one second. */
const INITIAL = 1_000_000;
const MINIMUM = 200_000;
const MAXIMUM = 60_000_000;
const GIVE_UP_AFTER = 10;

/** When to send again: the retransmission timer of RFC 6298, its round-trip estimate included. */
export class RetransmissionTimer {
  #timeout = INITIAL;
  #smoothed = 0;
  #variation = 0;
  #deadline = Infinity;
  #attempts = 0;
  #retransmissions = 0;
  #sampleEnd = 0;
  #sampleStart = -1;

  get deadline(): number {
    return this.#deadline;
  }

  get retransmissions(): number {
    return this.#retransmissions;
  }

  expired(now: number): boolean {
    return now >= this.#deadline;
  }

  /** A segment ending before `end` was sent; a repeated one gives no sample (Karn's algorithm). */
  sent(end: number, now: number, repeated: boolean): void {
    this.start(now);
    if (repeated) this.#sampleStart = -1;
    else if (this.#sampleStart < 0) {
      this.#sampleStart = now;
      this.#sampleEnd = end;
    }
  }

  start(now: number): void {
    if (this.#deadline === Infinity) this.#deadline = now + this.#timeout;
  }

  stop(): void {
    this.#deadline = Infinity;
  }

  /** Everything before `end` has arrived; `outstanding` when more is on its way. */
  acknowledged(end: number, now: number, outstanding: boolean): void {
    if (this.#sampleStart >= 0 && ((this.#sampleEnd - end) | 0) <= 0) {
      this.#sample(now - this.#sampleStart);
      this.#sampleStart = -1;
    }
    this.#attempts = 0;
    this.#deadline = outstanding ? now + this.#timeout : Infinity;
  }

  /** The timer ran out: waits twice as long next time. False when it has run out too often. */
  backOff(now: number): boolean {
    this.#attempts += 1;
    this.countRetransmission();
    if (this.#attempts > GIVE_UP_AFTER) return false;
    this.#timeout = Math.min(MAXIMUM, this.#timeout * 2);
    this.#deadline = now + this.#timeout;
    return true;
  }

  /** The other side answers, though it takes nothing. */
  heard(): void {
    this.#attempts = 0;
  }

  countRetransmission(): void {
    this.#retransmissions += 1;
    this.#sampleStart = -1;
  }

  #sample(roundTrip: number): void {
    if (this.#smoothed === 0) {
      this.#smoothed = roundTrip;
      this.#variation = roundTrip / 2;
    } else {
      this.#variation += (Math.abs(this.#smoothed - roundTrip) - this.#variation) / 4;
      this.#smoothed += (roundTrip - this.#smoothed) / 8;
    }
    this.#timeout = Math.max(MINIMUM, Math.min(MAXIMUM, this.#smoothed + 4 * this.#variation));
  }
}
