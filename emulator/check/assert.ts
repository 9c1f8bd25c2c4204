import { ConfigError } from './errors.ts';

/** How much a stateful structure checks itself: nothing in benchmarks, constant-time checks by default, everything in tests and fuzzing. */
export const CheckLevel = { off: 0, cheap: 1, full: 2 } as const;
export type CheckLevel = (typeof CheckLevel)[keyof typeof CheckLevel];

/**
 * The level of this process, from `DYNO_CHECK=off|cheap|full`; constant, so a guarded check costs nothing once compiled:
 * `if (CHECK >= CheckLevel.full) checkInvariants();`
 * @public
 */
export const CHECK: CheckLevel = checkLevel(process.env['DYNO_CHECK']);

/** A condition that only our own mistake can break. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/** Throws when `condition` is false: for impossibilities, never for guest or user input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

/** Reads a level's name; absent means cheap. @throws ConfigError for any other word. */
export function checkLevel(name: string | undefined): CheckLevel {
  if (name === undefined || name === '') return CheckLevel.cheap;
  if (name === 'off' || name === 'cheap' || name === 'full') return CheckLevel[name];
  throw new ConfigError(`unknown check level '${name}'`, { where: 'DYNO_CHECK', mend: 'use off, cheap or full' });
}
