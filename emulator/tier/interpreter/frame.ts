import { STATE } from '../../layout/memory-map.ts';

/**
 * Where interpreter and regions keep their own variables between entries, in the free part of the vCPU state below the registers
 * (layout/state.ts): absolute linear-memory addresses.
 */
export const Frame = {
  /** i32: linear-memory address of the record to execute next. */
  record: STATE + 0x90,
  /** i32: instructions left in this slice. */
  budget: STATE + 0x94,
  /** i64: guest address of the record's page, less the page's own offset as guest bytes: pc = pcDelta + (record >> shift). */
  pcDelta: STATE + 0x98,
  /** i32: the region that was entered last, by its index in the table of regions. */
  region: STATE + 0xa0,
  /** i32: how often control has gone from region to region by the jump cache. */
  chained: STATE + 0xa4,
  /** i32: instructions that the interpreter has retired between regions. */
  interpreted: STATE + 0xa8,
  /** i32: how often the jump cache did not hold where control went. */
  missed: STATE + 0xac,
  /** i32: which function the interpreter is to run (early-stage.ts): an `EarlyState`. */
  early: STATE + 0xb0,
  /** i32: instructions that a stop has taken from the budget of this entry. */
  withheld: STATE + 0xb4,
} as const;

/** `over`: the early function has met an instruction that only the main one has a case for, which has gone on since. */
export const EarlyState = { main: 0, early: 1, over: 2 } as const;
