/**
 * One vCPU's state: byte offsets from its start. The first part is the same for every ISA; guest registers follow at REGISTERS and are
 * laid out by the ISA's own `registers.ts`. Generated code and JavaScript both use these offsets; nothing else knows them.
 */
export const StateOffset = {
  /** i64: the address of the next instruction; on a trap or fault, of the instruction that caused it. */
  pc: 0x00,
  /** i64: instructions that may still be retired before control returns. */
  budget: 0x08,
  /** i64: instructions retired by the last run or runs, for helpers that read the instruction counter. */
  retired: 0x10,
  /** i32: why control came back (ExitReason), written before any exit but the end of the budget. */
  exitReason: 0x18,
  /** i32: trap cause (the ISA's number) or fault kind (FaultKind). */
  cause: 0x1c,
  /** i64: the trap's value or the faulting guest address. */
  value: 0x20,
  /** i32: accrued floating-point exception flags (RISC-V fflags numbering; see bits/float.ts). */
  floatFlags: 0x28,
  /** i32: dynamic rounding mode (RISC-V frm numbering; 5 to 7 are reserved encodings that a guest may store). */
  floatRounding: 0x2c,
  /** i64: address of the held reservation, or -1. */
  reservation: 0x30,
  /** i64: the value loaded with the reservation. */
  reserved: 0x38,
  /** 8 x i64: arguments of a helper or slow-path call; the result comes back in the first. */
  arguments: 0x40,
  /** i32: bytes of the access that faulted. */
  faultWidth: 0x80,
  /** i32: linear address of the TLB table for loads and stores (memory-map.ts), where there is address translation. */
  dataTlb: 0x84,
  /** i32: the same for instruction fetches. */
  fetchTlb: 0x88,
  // 0x90 to 0xb7: what the interpreter and regions keep between entries (tier/interpreter/frame.ts).
} as const;

/** Where an ISA's registers begin. */
export const REGISTERS = 0x100;

/** Why a run came back. */
export const ExitReason = {
  /** The budget is used up. */
  budget: 0,
  /** `trap` or `trap_if`: `cause` and `value` are set, pc is the trapping instruction. */
  trap: 1,
  /** A memory access faulted: `cause` is a FaultKind, `value` the address, pc the instruction. */
  fault: 2,
  /** pc has not been decoded yet (interpreter) or translated (JIT). */
  miss: 3,
  /** A helper asked to stop (for instance after `fence.i`); pc is where to go on. */
  helper: 4,
} as const;
export type ExitReason = (typeof ExitReason)[keyof typeof ExitReason];

/** What was wrong with a memory access; ISAs map these to their own causes. The page faults are those of address translation. */
export const FaultKind = {
  load: 1,
  store: 2,
  fetch: 3,
  loadMisaligned: 4,
  storeMisaligned: 5,
  loadPage: 6,
  storePage: 7,
  fetchPage: 8,
} as const;
export type FaultKind = (typeof FaultKind)[keyof typeof FaultKind];
