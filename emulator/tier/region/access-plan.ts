import type { Block, Op } from '../../ir/block.ts';
import { Permission } from '../../layout/memory-map.ts';
import { type EntryAddress, Values } from './block-values.ts';

/** Guest bytes [low, high) that may all be read, and written unless `need` is `read` only, without leaving for a store to code. */
export interface Assumption {
  readonly low: number;
  readonly high: number;
  readonly write: boolean;
}

/** How an access is checked. `base`: when the check has passed, its address is at least this. */
export type Check =
  /** An access before it, `by`, has checked its bytes too; or, without one, the guard of the loop around. */
  | {
      readonly kind: 'covered';
      readonly by: Op | undefined;
      readonly base: number;
      readonly entry: EntryAddress | undefined;
    }
  /** Bytes [low, high) from this access's address must lie in memory assumed to be all right. */
  | {
      readonly kind: 'range';
      /** An access was seen there: anywhere else leaves the region. Otherwise it is looked up. */
      readonly sure: boolean;
      readonly low: number;
      readonly high: number;
      readonly range: Assumption;
      readonly base: number;
    }
  /** Bytes [low, high) from this access's address, at most a page, are looked up in the pages' permissions. */
  | {
      readonly kind: 'pages';
      readonly low: number;
      readonly high: number;
      readonly write: boolean;
      /** Accesses have been seen to go to memory of several kinds: the lookup is in line. Otherwise little is known of it: a call will do. */
      readonly inline: boolean;
      readonly base: number;
    };

export type AccessPlan = ReadonlyMap<Op, Check>;

/** What is known of where accesses go. */
export interface AccessKnowledge {
  /** Guest address that the instruction at `pc` has accessed, if any was seen. */
  observed(pc: number): number | undefined;
  /** What a register, given as a state offset, holds now: a guess for code that is about to run. */
  register(offset: number | undefined): number | undefined;
  /** The memory around an address that may be accessed like it. */
  around(address: number, write: boolean): Assumption | undefined;
  /** Whether the instruction's assumption has failed too often. */
  distrusted(pc: number): boolean;
  /** Whether the instruction was seen to go to another page time and again. */
  wanders(pc: number): boolean;
}

export interface Member {
  /** The register, as a state offset, that the offset counts from; undefined when it is none that the block is entered with. */
  readonly root: number | undefined;
  readonly op: Op;
  readonly pc: number;
  readonly offset: number;
  readonly bytes: number;
  readonly write: boolean;
}

/** Offsets further apart are checked apart when pages are looked up: the first and the last page are all that is. */
const PAGE = 4096;
/** Further apart than this, addresses are hardly one object. */
const WIDEST = 1 << 16;

/**
 * Plans the checks of a block's loads and stores: those at constant distances from one another are checked at once, by the first. A check
 * that fails leaves the region before that instruction, so it may cover accesses that the block does not come to. `guarded`: accesses that
 * the guard of the loop around has checked, with the least addresses they can have. `isInline`: accesses in instructions that have their common course
 * in line. The others look for themselves, whatever the plan says, so nothing may count on their checks.
 */
export function planAccesses(
  block: Block,
  knowledge: AccessKnowledge,
  isInline: (access: Op) => boolean,
  guarded?: ReadonlyMap<Op, number>,
): AccessPlan {
  const plan = new Map<Op, Check>();
  if (!hasPlainAccess(block)) return plan;
  for (const members of accessGroups(block)) {
    const planned = members.filter(({ op }) => isInline(op));
    const open = guarded === undefined ? planned : planned.filter(({ op }) => !guarded.has(op));
    planGroup(open, knowledge, plan);
    if (open.length === planned.length) continue;
    for (const member of planned) {
      const base = guarded!.get(member.op);
      if (base !== undefined)
        plan.set(member.op, { kind: 'covered', by: undefined, base, entry: entryAddress(member) });
    }
  }
  return plan;
}

function planGroup(members: readonly Member[], knowledge: AccessKnowledge, plan: Map<Op, Check>): void {
  let start = 0;
  while (start < members.length) {
    const first = members[start]!;
    const observed = members.map(({ pc, offset }) => {
      const address = knowledge.observed(pc);
      return address === undefined ? undefined : address - offset;
    });
    const seen = observed.find((address) => address !== undefined);
    const inline = knowledge.distrusted(first.pc);
    const base = inline ? undefined : (seen ?? knowledge.register(first.root));
    const limit = base === undefined ? PAGE : WIDEST;
    let low = first.offset;
    let high = first.offset + first.bytes;
    let write = first.write;
    let end = start + 1;
    for (; end < members.length; end++) {
      const { offset, bytes, write: writes } = members[end]!;
      const nextLow = Math.min(low, offset);
      const nextHigh = Math.max(high, offset + bytes);
      if (nextHigh - nextLow > limit) break;
      low = nextLow;
      high = nextHigh;
      write ||= writes;
    }
    const relative = { low: low - first.offset, high: high - first.offset };
    const range = base === undefined ? undefined : knowledge.around(base + first.offset, write);
    const sure = seen !== undefined || high - low > PAGE;
    // Checks of no more than a page look up what is outside the range, from address 0 on.
    if (range !== undefined && range.high - range.low >= high - low) {
      plan.set(first.op, { kind: 'range', sure, ...relative, range, base: (sure ? range.low : 0) - relative.low });
    } else if (high - low <= PAGE) {
      plan.set(first.op, { kind: 'pages', ...relative, write, inline, base: -relative.low });
    } else {
      plan.set(first.op, { kind: 'pages', low: 0, high: first.bytes, write: first.write, inline, base: 0 });
      end = start + 1;
    }
    // The lowest byte checked is no lower than where the memory begins.
    const lowest = (range !== undefined && sure ? range.low : 0) - low;
    for (let index = start + 1; index < end; index++) {
      const member = members[index]!;
      const place = { base: lowest + member.offset, entry: entryAddress(member) };
      plan.set(member.op, { kind: 'covered', by: first.op, ...place });
    }
    start = end;
  }
}

function entryAddress({ root, offset }: Member): EntryAddress | undefined {
  return root === undefined ? undefined : { register: root, offset };
}

/** Whether a block has accesses that can be planned. */
function hasPlainAccess({ ops }: Block): boolean {
  for (let index = 0; index < ops.length; index++) if (isPlainAccess(ops[index]!)) return true;
  return false;
}

export function isPlainAccess({ name, alignment }: Op): boolean {
  return (name === 'load' || name === 'store') && alignment !== 'natural';
}

/** The plain loads and stores of a block, those with addresses at known distances together, in order. */
export function accessGroups({ ops }: Block): Iterable<readonly Member[]> {
  const values = new Values(ops);
  const found = new Map<number, Member[]>();
  let pc = 0;
  for (let index = 0; index < ops.length; index++) {
    const op = ops[index]!;
    values.follow(index, op);
    if (op.name === 'insn') pc = Number(op.pc);
    if (!isPlainAccess(op)) continue;
    const { root, offset, register } = values.of(op.args[0]!);
    let members = found.get(root);
    if (members === undefined) found.set(root, (members = []));
    members.push({ root: register, op, pc, offset, bytes: op.width! / 8, write: op.name === 'store' });
  }
  return found.values();
}

/** The permissions of a page that an access needs, and those that must be as said. */
export function pageNeeds(write: boolean): { readonly mask: number; readonly need: number } {
  return write
    ? { mask: Permission.read | Permission.write | Permission.code, need: Permission.read | Permission.write }
    : { mask: Permission.read, need: Permission.read };
}
