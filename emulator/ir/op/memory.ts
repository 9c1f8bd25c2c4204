import { ANY, type OpRow } from './row.ts';

/**
 * Guest memory, little-endian. An access that may not be made as a whole faults before anything is changed: first misaligned (where
 * the access must be aligned), then not permitted; the fault's address is that of the access, whichever of its bytes is at fault.
 * Atomics must be naturally aligned, need both read and write permission except `load_reserved`, and fault as stores do.
 */
export const MEMORY_OPS = {
  load: {
    doc: 'Loads `width` bits, extended to T as `signed` says.',
    types: ANY,
    args: ['i64'],
    result: 'T',
    effect: 'memory',
    attributes: ['width', 'signed', 'alignment', 'order'],
  },
  store: {
    doc: 'Stores the low `width` bits of the second argument at the first.',
    types: ANY,
    args: ['i64', 'T'],
    result: 'none',
    effect: 'memory',
    attributes: ['width', 'alignment', 'order'],
  },
  load_reserved: {
    doc: 'Loads `width` bits (sign-extended, naturally aligned) and holds a reservation on the address with the value loaded.',
    types: ['i64'],
    args: ['i64'],
    result: 'T',
    effect: 'memory',
    attributes: ['width', 'order'],
  },
  store_conditional: {
    doc: 'Stores when the reservation is on this address and memory (sign-extended) still has the value loaded; gives 0 on success, 1 on failure, and drops the reservation either way, but not on a fault.',
    types: ['i64'],
    args: ['i64', 'T'],
    result: 'i32',
    effect: 'memory',
    attributes: ['width', 'order'],
  },
  atomic_rmw: {
    doc: 'Atomically applies `rmw` to `width` bits; gives the old value, sign-extended.',
    types: ['i64'],
    args: ['i64', 'T'],
    result: 'T',
    effect: 'memory',
    attributes: ['width', 'rmw', 'order'],
  },
  atomic_cas: {
    doc: 'Atomically stores the third argument when memory equals the low `width` bits of the second; gives the old value, sign-extended.',
    types: ['i64'],
    args: ['i64', 'T', 'T'],
    result: 'T',
    effect: 'memory',
    attributes: ['width', 'order'],
  },
  fence: {
    doc: 'Orders memory accesses before it against those after it.',
    types: [],
    args: [],
    result: 'none',
    effect: 'memory',
    attributes: ['order'],
  },
} as const satisfies Record<string, OpRow>;
