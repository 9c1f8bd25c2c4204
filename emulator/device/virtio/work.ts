import type { Alarm, Clock } from '../device.ts';

/**
 * Work a device does after a notification, not inside the guest's store: `latency` ticks later, at a look at the clock. Requests
 * complete in the order of the clock, so two deterministic runs interleave alike.
 */
export class DeferredWork {
  private readonly clock: Clock;
  private readonly latency: number;
  private readonly alarm: Alarm;
  private armed = false;

  constructor(clock: Clock, latency: number, run: () => void) {
    this.clock = clock;
    this.latency = latency;
    this.alarm = clock.alarm(() => {
      this.armed = false;
      run();
    });
  }

  /** Asks for one run; asking again before it does nothing. */
  request(): void {
    if (this.armed) return;
    this.armed = true;
    this.alarm.set(this.clock.now() + this.latency);
  }

  cancel(): void {
    this.armed = false;
    this.alarm.clear();
  }
}
