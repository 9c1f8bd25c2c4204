import type { Builder } from '../../ir/builder.ts';
import { StateOffset } from '../../layout/state.ts';
import { type HelperContext, type HelperForm, QuickOutcome } from '../instruction.ts';
import { Slot } from './csr-storage.ts';
import { CSR_STORAGE, Privilege, PRIVILEGE } from './registers.ts';
import { Status } from './status.ts';

/** What SFENCE.VMA names: x0 in a place means all addresses or all address spaces, which a register that holds 0 does not. */
export const Named = { address: 1, asid: 2 } as const;

const MSTATUS = CSR_STORAGE.offset + CSR_STORAGE.stride * Slot.mstatus;
const TRAPPED = Number(Status.tvm);
const ADDRESS = StateOffset.arguments + 8;
const ASID = StateOffset.arguments + 16;

/** Fences of an address, as the helper `sfence_vma` does them, without BigInt. */
export function fenceQuickly({ state, system }: HelperContext): QuickOutcome {
  const named = state.getInt32(StateOffset.arguments, true);
  const privilege = state.getUint32(PRIVILEGE.offset, true);
  const isPermitted =
    privilege === Privilege.machine ||
    (privilege === Privilege.supervisor && (state.getInt32(MSTATUS, true) & TRAPPED) === 0);
  if (system === undefined || (named & Named.address) === 0 || !isPermitted) return QuickOutcome.declined;
  const asid = (named & Named.asid) === 0 ? undefined : state.getUint16(ASID, true);
  system.fenceAddress(state.getInt32(ADDRESS, true), state.getInt32(ADDRESS + 4, true), asid);
  return QuickOutcome.done;
}

/** Those in all address spaces: Linux has 97,000 of them while it starts and puts alternatives into its code. */
export const FENCE_FORMS: readonly HelperForm[] = [
  { argument: Named.address, lift: requireFence, fencesAddress: true },
];

/** Declined: user mode, and supervisor mode where mstatus traps fences. */
function requireFence(b: Builder): void {
  const privilege = b.get(PRIVILEGE, 0, 'i32');
  const below = (mode: number) => b.op('lt_u', 'i32', privilege, b.const('i32', mode));
  const trapped = b.op('and', 'i64', b.get(CSR_STORAGE, Slot.mstatus), b.const('i64', Status.tvm));
  const isTrapped = b.op('ne', 'i64', trapped, b.const('i64', 0n));
  const isBarred = b.op('and', 'i32', below(Privilege.machine), isTrapped);
  b.trapIf(b.op('or', 'i32', below(Privilege.supervisor), isBarred), 0, b.const('i64', 0n));
}
