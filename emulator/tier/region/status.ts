/**
 * What a region returns. 0: go on at the state's pc. `spent | entry`: the budget may not last; go on at that entry. `unsuited`: modes or
 * flags are not those it was made for; nothing was done. Otherwise the number of an exit (its position plus one), with `dynamic` when the
 * state's pc says where to go on, or with an ExitReason in the bits from `reasonShift` up: a trap or fault of the exit's instruction, with
 * cause and value in the state. `interpreted | reason` comes from the dispatcher: what the interpreter ended with.
 */
export const Status = {
  left: 0,
  spent: 0x4000_0000,
  unsuited: 0x2000_0000,
  dynamic: 0x1000_0000,
  indirect: 0x0800_0000,
  interpreted: 0x0400_0000,
  exitMask: 0xff_ffff,
  reasonShift: 24,
  reasonMask: 0x3,
} as const;
