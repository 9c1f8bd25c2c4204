import type { SignalInformation } from './signal.ts';

/** Bytes of `siginfo_t`, which stands before the register part of a signal frame. */
export const INFORMATION_SIZE = 128;

/** Fills in `siginfo_t`: signal, code, and the address or the sender (sigaction(2)). */
export function writeSignalInformation(view: DataView, information: SignalInformation): void {
  view.setInt32(0, information.signal, true);
  view.setInt32(8, information.code, true);
  if (information.sender !== 0) view.setInt32(16, information.sender, true);
  else view.setBigUint64(16, information.address, true);
}
