/** Exit codes, as CONTRACT fixes them for every command. */
export const EXIT = {
  ok: 0,
  regression: 1,
  error: 2,
  inconclusive: 3,
  nothingCompared: 4,
  /** emulate: the instruction budget or the timeout ended the guest; the code of timeout(1). */
  guestLimit: 124,
  /** 128 + SIGINT, as shells report it. */
  interrupted: 130,
} as const;

/** The user stopped the command; the message says what became of the work done so far. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}
