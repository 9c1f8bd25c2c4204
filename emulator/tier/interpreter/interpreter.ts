import type { Isa } from '../../isa/instruction.ts';
import { ExitReason } from '../../layout/state.ts';

export interface InterpreterOptions {
  /** Bytes of guest address space from guest address 0. */
  readonly guestSize: number;
  /** Nanoseconds of guest time. */
  readonly time?: () => bigint;
}

/** Exact counts since the interpreter was made. */
export interface InterpreterCounters {
  /** Instructions retired. */
  instructions: number;
  /** Times that control came back because the next instruction was not decoded or its page not in the jump cache. */
  misses: number;
  /** Instructions decoded to records. */
  decoded: number;
  /** Calls of ISA helpers. */
  helperCalls: number;
  /** Floating-point operations computed by the exact slow path. */
  floatCalls: number;
  /** Stores to pages that hold decoded code. */
  codeWrites: number;
  /** Decoded guest pages dropped. */
  pagesDropped: number;
}

/** Tier 0. */
export class Interpreter {
  readonly counters: InterpreterCounters = {
    instructions: 0,
    misses: 0,
    decoded: 0,
    helperCalls: 0,
    floatCalls: 0,
    codeWrites: 0,
    pagesDropped: 0,
  };

  constructor(isa: Isa, memory: WebAssembly.Memory, options: InterpreterOptions) {
    void [isa, memory, options];
  }

  run(budget: number): ExitReason {
    throw new Error(`not built yet: run(${budget})`);
  }

  flushCode(gva: number, length: number): void {
    void [gva, length];
  }

  checkInvariants(): void {}
}
