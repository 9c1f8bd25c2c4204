import { StateOffset } from '../layout/state.ts';
import { writeNumber, type Abi } from './abi.ts';
import type { Process } from './process.ts';
import { ActionFlag, bit, type SignalAction, type SignalInformation } from './signal.ts';

/** Bytes of `siginfo_t`, which stands before the register part of a signal frame. */
const INFORMATION_SIZE = 128;

/**
 * Sets a process up to run a handler: registers and mask go into a frame on the stack (or the alternate one), the handler returns
 * through the trampoline. False when the frame cannot be written.
 */
export function enterHandler(
  abi: Abi,
  process: Process,
  information: SignalInformation,
  action: SignalAction,
): boolean {
  const { signals, memory } = process;
  const { state } = process.cpu;
  const { signal } = information;
  const size = INFORMATION_SIZE + abi.contextSize;
  const frame = Math.floor((stackFor(abi, process, action) - size) / 16) * 16;
  const bytes = memory.writable(frame, size);
  if (!bytes) return false;
  bytes.fill(0);
  writeInformation(new DataView(bytes.buffer, bytes.byteOffset, INFORMATION_SIZE), information);
  // After sigsuspend the mask to go back to is the one before it.
  const mask = signals.savedMask ?? signals.mask;
  signals.savedMask = undefined;
  abi.saveContext(state, new DataView(bytes.buffer, bytes.byteOffset + INFORMATION_SIZE, abi.contextSize), mask);
  abi.enterHandler(state, action.handler, signal, frame, frame + INFORMATION_SIZE, frame, process.trampoline);
  signals.setMask(signals.mask | action.mask | ((action.flags & ActionFlag.noDefer) === 0n ? bit(signal) : 0n));
  if ((action.flags & ActionFlag.resetHand) !== 0n) signals.setAction(signal, { handler: 0, flags: 0n, mask: 0n });
  writeNumber(state, StateOffset.reservation, -1);
  return true;
}

/** rt_sigreturn: takes registers and mask back out of the frame; false when it cannot be read. */
export function leaveHandler(abi: Abi, process: Process): boolean {
  const { state } = process.cpu;
  const context = process.memory.readable(abi.stackPointer(state) + INFORMATION_SIZE, abi.contextSize);
  if (!context) return false;
  process.signals.setMask(abi.restoreContext(state, new DataView(context.buffer, context.byteOffset, context.length)));
  return true;
}

/** The top of the stack to build on: the alternate one when the action asks for it and it is not in use already. */
function stackFor(abi: Abi, process: Process, action: SignalAction): number {
  const current = abi.stackPointer(process.cpu.state);
  const { pointer, size } = process.signals.alternateStack;
  const inUse = current >= pointer && current < pointer + size;
  return (action.flags & ActionFlag.onStack) !== 0n && size > 0 && !inUse ? pointer + size : current;
}

/** `siginfo_t`: signal, code, and the address or the sender (sigaction(2)). */
function writeInformation(view: DataView, information: SignalInformation): void {
  view.setInt32(0, information.signal, true);
  view.setInt32(8, information.code, true);
  if (information.sender !== 0) view.setInt32(16, information.sender, true);
  else view.setBigUint64(16, information.address, true);
}
