import { StateOffset } from '../layout/state.ts';

/** The guest address in a state, as a signed number. */
export function readPc(state: DataView): number {
  // V8's mid-tier compiler calls a builtin for getUint32.
  return (state.getInt32(StateOffset.pc, true) >>> 0) + 2 ** 32 * state.getInt32(StateOffset.pc + 4, true);
}

/** Sets the guest address in a state. */
export function writePc(state: DataView, pc: number): void {
  state.setInt32(StateOffset.pc, pc | 0, true);
  state.setInt32(StateOffset.pc + 4, Math.floor(pc / 2 ** 32), true);
}
