/**
 * What a region returns. 0: go on at the state's pc. `spent | entry`: the budget may not last; go on at that entry. Otherwise the number
 * of an exit (its position plus one) in the low bits and an ExitReason above them: 0 for the exit's own kind, else a trap or fault of the
 * exit's instruction, with cause and value in the state.
 */
export const Status = {
  left: 0,
  spent: 0x4000_0000,
  exitMask: 0xff_ffff,
  reasonShift: 24,
} as const;
