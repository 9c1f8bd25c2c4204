import { CHECK, CheckLevel } from '../../check/assert.ts';

/** Instructions. */
interface Stage {
  /** After so many the main function is entered for the first time, for one entry, so that V8 begins to optimise it. */
  readonly glimpse: number;
  /** After so many it is entered for good: V8 has had 50 ms and more for it. */
  readonly end: number;
}

const PROGRAM: Stage = { glimpse: 4_000_000, end: 20_000_000 };
/**
 * Firmware and boot loader, 34 million instructions, are over before V8 compiles the main function, which takes the guest's thread 5 ms and another 50. [measured, against 2 and
 * 40 million: U-Boot's prompt 0.955 of the time, boots of Linux 0.96 to 0.99 of the guest's thread: emulator/docs/booting.md]
 */
const MACHINE: Stage = { glimpse: 36_000_000, end: 56_000_000 };

/**
 * Which of the interpreter's functions runs, by the count of instructions that it has retired. The early function has fewer cases than the main one: V8 optimises it
 * in 8 to 15 ms instead of 25 to 50, in which the main one takes 15 ns for an instruction instead of 2. Most programs have translated all that is hot before they want the main function.
 */
export class EarlyStage {
  #retired = 0;
  #glimpsed = false;
  #over = false;
  readonly #glimpse: number;
  readonly #end: number;

  constructor({ glimpse, end }: Stage = PROGRAM) {
    this.#glimpse = glimpse;
    this.#end = end;
  }

  get isEarly(): boolean {
    if (this.#over || this.#retired >= this.#end) return false;
    return this.#glimpsed || this.#retired < this.#glimpse;
  }

  /** So many instructions more have been interpreted, in an entry of the function that `isEarly` said. */
  add(instructions: number): void {
    // Nothing was entered: the main function's one entry is still to come.
    if (instructions === 0) return;
    this.#glimpsed ||= this.#retired >= this.#glimpse;
    this.#retired += instructions;
  }

  /** The main function is needed. */
  end(): void {
    this.#over = true;
  }
}

/** Of a program, or of a machine with address translation. Where everything is checked it is short, so that both functions are. */
export function firstStage(machine = false): EarlyStage {
  if (CHECK >= CheckLevel.full) return new EarlyStage({ glimpse: 64, end: 300 });
  return new EarlyStage(machine ? MACHINE : PROGRAM);
}
