import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ByteSink, ByteSource } from '../../emulator/linux-user/stdio.ts';
import type { Tier } from '../../emulator/machine/tier.ts';
import { runUser, type UserOptions, type UserResult } from '../../emulator/machine/user.ts';
import { elfPath, expectedOutput, guestArguments, type Guest, type GuestScale } from '../guests/guests.ts';

/** 64 MiB of address space: the list of `chase` takes half. At the long scale the message of `sha256` alone has 56. */
function memorySize(scale: GuestScale): number {
  return scale === 'long' ? 1 << 28 : 1 << 26;
}

export interface EmulatedRun {
  readonly result: UserResult;
  readonly output: string;
}

/** The riscv64 program of a guest. */
export function readGuest(guest: Guest): Uint8Array {
  return readFileSync(elfPath(guest, 'riscv64'));
}

/** Runs the guest's riscv64 program in deterministic mode, so that its counters are exact. */
export function emulateGuest(
  guest: Guest,
  program: Uint8Array,
  scale: GuestScale,
  tier: Tier = 'interpreter',
  more: Pick<UserOptions, 'disabledPasses' | 'cacheDirectory' | 'log'> = {},
): EmulatedRun {
  const output = new ByteSink();
  const result = runUser({
    program: { path: `/${guest.name}`, bytes: program },
    argv: [guest.name, ...guestArguments(guest, scale)],
    stdio: [new ByteSource(new Uint8Array()), output, output],
    memorySize: memorySize(scale),
    tier,
    deterministic: true,
    ...more,
  });
  return { result, output: output.text() };
}

/** Throws unless the guest ended well and printed what it must. */
export function checkGuestRun(guest: Guest, scale: GuestScale, { result, output }: EmulatedRun): void {
  assert.deepEqual(result.outcome, { kind: 'exit', code: 0 }, output);
  assert.equal(output, expectedOutput(guest, scale));
}
