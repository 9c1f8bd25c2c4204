/** How long a body has been warmed up. */

/** A body that mostly waits uses no CPU; its warm-up ends after this many times the wall time. */
const PATIENCE = 4;

/**
 * Counts CPU time of this process, not wall time: what tier the runtime has reached depends on how long the body ran, and
 * on a machine that others use too (load 5 on 2 CPUs) 10 ms of wall time left a loop in the interpreter in every process.
 */
export class WarmUp {
  readonly #milliseconds: number;
  readonly #wallStart = performance.now();
  readonly #cpuStart = process.cpuUsage();

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
  }

  get over(): boolean {
    const { user, system } = process.cpuUsage(this.#cpuStart);
    return (
      (user + system) / 1e3 >= this.#milliseconds ||
      performance.now() - this.#wallStart >= PATIENCE * this.#milliseconds
    );
  }
}
