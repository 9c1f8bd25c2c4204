import type { Block, Op } from '../../ir/block.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { accessGroups, isPlainAccess } from './access-plan.ts';

/** Accesses of a block at known distances from each other, all within a page's length; often it is one alone. */
export interface AccessGroup {
  readonly first: Op;
  readonly last: Op;
  /** Bytes [low, high) from the first access's address. */
  readonly low: number;
  readonly high: number;
  readonly write: boolean;
  /** Guest address of the first access's instruction. */
  readonly pc: number;
  readonly members: readonly GroupMember[];
}

export interface GroupMember {
  readonly op: Op;
  /** Bytes from the group's lowest. */
  readonly offset: number;
}

/** Bytes between accesses that are looked up at once: an object's, or a stack frame's. Further apart, they are seldom in one page. */
const LONGEST_GROUP = PAGE_SIZE / 8;

/** Whose pages the guard of a loop has looked up. */
interface GuardedAddresses {
  addendOf(op: Op): number | undefined;
}

const NONE: readonly AccessGroup[] = [];

/** The plain loads and stores of a block, in groups, without those that need no look at a page. */
export function groupAccesses(block: Block, guards: GuardedAddresses): readonly AccessGroup[] {
  const alone = onlyAccess(block);
  if (alone === null) return NONE;
  if (alone !== undefined) return guards.addendOf(alone.first) === undefined ? [alone] : NONE;
  const groups: AccessGroup[] = [];
  for (const all of accessGroups(block)) {
    const accesses = all.filter(({ op }) => guards.addendOf(op) === undefined);
    for (let start = 0; start < accesses.length;) {
      let low = Infinity;
      let high = -Infinity;
      let end = start;
      for (; end < accesses.length; end++) {
        const { offset, bytes } = accesses[end]!;
        const nextLow = Math.min(low, offset);
        const nextHigh = Math.max(high, offset + bytes);
        if (nextHigh - nextLow > LONGEST_GROUP) break;
        low = nextLow;
        high = nextHigh;
      }
      const part = accesses.slice(start, end);
      start = end;
      const first = part[0]!;
      groups.push({
        first: first.op,
        last: part.at(-1)!.op,
        low: low - first.offset,
        high: high - first.offset,
        write: part.some(({ write }) => write),
        pc: first.pc,
        members: part.map(({ op, offset }) => ({ op, offset: offset - low })),
      });
    }
  }
  return groups;
}

/** The group of the one access of a block, whose address does not matter; null when there is none, undefined when there are several. */
function onlyAccess({ ops }: Block): AccessGroup | null | undefined {
  let only: Op | undefined;
  let pc = 0;
  for (let index = 0; index < ops.length; index++) {
    const op = ops[index]!;
    if (op.name === 'insn' && only === undefined) pc = Number(op.pc);
    else if (isPlainAccess(op)) {
      if (only !== undefined) return undefined;
      only = op;
    }
  }
  if (only === undefined) return null;
  const write = only.name === 'store';
  return { first: only, last: only, low: 0, high: only.width! / 8, write, pc, members: [{ op: only, offset: 0 }] };
}
