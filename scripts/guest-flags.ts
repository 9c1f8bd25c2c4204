/** V8's flags for machines (emulator/machine/runtime-flags.ts): set between what a start loads and the first instruction. */
import { setFlagsFromString } from 'node:v8';

/** Wanted by processes that only emulate: nobody can tell what to set them back to. */
export const guestFlags = { wanted: false };

export function setGuestFlags(flags: readonly string[]): void {
  if (guestFlags.wanted) for (const flag of flags) setFlagsFromString(flag);
}
