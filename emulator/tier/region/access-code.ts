import { Status } from './status.ts';

/**
 * The low half of the constant that says what is accessed: from bit 0 the logarithm of its bytes, then the SlowAccess bits, then the number of the exit
 * for a fault, without its reason. The high half is how far from the address given it is, signed.
 */
export const AccessCode = { widthMask: 7, flagsShift: 3, flagsMask: 3, exitShift: 5 } as const;
export const ACCESS_HIGH_SHIFT = 32;

/** The low half of an access's constant. `exit`: with or without its reason. */
export function accessCode(bytes: number, flags: number, exit: number): number {
  const width = 31 - Math.clz32(bytes);
  return width | (flags << AccessCode.flagsShift) | ((exit & Status.exitMask) << AccessCode.exitShift);
}
