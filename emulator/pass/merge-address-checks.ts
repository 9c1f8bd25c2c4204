import type { Block, Op, Value } from '../ir/block.ts';
import { ABSOLUTE, Address } from './address.ts';

/** From the lowest byte to the highest one of a group is less than a page, so that a group touches two pages at most. */
const RANGE = 4096;

/**
 * Loads and stores whose addresses are one value plus small constants. Bytes `base + low` to `base + high - 1` (modulo 2^64) are all that they
 * touch. Nothing stands between that could change which pages may be accessed; ops between may still leave the block, and then some
 * members are never run.
 */
export interface AddressGroup {
  /** The value, in `block.ops`, that all addresses are made from; available from there on. For constant addresses, the first of them. */
  readonly base: Value;
  readonly low: number;
  readonly high: number;
  readonly needRead: boolean;
  readonly needWrite: boolean;
  /** Loads and stores, in order: at least two. The first one is where a check of the whole group belongs. */
  readonly members: readonly Value[];
}

interface Growing {
  readonly base: Value;
  readonly resolved: Value;
  /** What `low` and `high` count from, less the base: 0 unless the base is a constant. */
  readonly origin: number;
  low: number;
  high: number;
  needRead: boolean;
  needWrite: boolean;
  readonly members: Value[];
}

/**
 * The groups of a block, for a lowering that checks bounds and permissions once a group: if `base + low` to `base + high - 1` may be
 * accessed as `needRead` and `needWrite` say, none of the members faults; else each has to be checked by itself, in order, so that faults
 * stay precise. Only plain accesses that need not be aligned are members; an access is in one group at most. A helper call ends
 * all groups: it may change the guest's mappings. Run it on the block as it will be lowered; the algebra pass makes bases alike.
 */
export function addressGroups(block: Block): AddressGroup[] {
  const { ops } = block;
  const groups: Growing[] = [];
  let open: Growing[] = [];
  const address = new Address();
  for (let index = 0; index < ops.length; index++) {
    const op: Op = ops[index]!;
    if (op.name === 'call') open = [];
    if ((op.name !== 'load' && op.name !== 'store') || op.order !== 'none' || op.alignment !== 'any') continue;
    address.resolve(op.args[0]!, ops);
    const { base, offset } = address;
    const found = open.findIndex((each) => each.resolved === base);
    const bytes = op.width! / 8;
    let group = open[found];
    if (group === undefined || !fits(group, offset, bytes)) {
      const absolute = base === ABSOLUTE;
      const origin = absolute ? offset : 0;
      const low = offset - origin;
      if (low <= -RANGE || low + bytes > RANGE) continue;
      const members: Value[] = [];
      group = {
        base: absolute ? op.args[0]! : base,
        resolved: base,
        origin,
        low,
        high: low + bytes,
        needRead: false,
        needWrite: false,
        members,
      };
      groups.push(group);
      if (found < 0) open.push(group);
      else open[found] = group;
    }
    const low = offset - group.origin;
    group.low = Math.min(group.low, low);
    group.high = Math.max(group.high, low + bytes);
    if (op.name === 'load') group.needRead = true;
    else group.needWrite = true;
    group.members.push(index);
  }
  return groups
    .filter(({ members }) => members.length > 1)
    .map(({ base, low, high, needRead, needWrite, members }) => ({ base, low, high, needRead, needWrite, members }));
}

/** Whether an access can join: the group stays near its base and shorter than a page. */
function fits(group: Growing, offset: number, bytes: number): boolean {
  const low = Math.min(group.low, offset - group.origin);
  const high = Math.max(group.high, offset - group.origin + bytes);
  return low > -RANGE && high <= RANGE && high - low < RANGE;
}
