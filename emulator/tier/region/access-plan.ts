import type { Block, Op, Value } from '../../ir/block.ts';
import { Permission } from '../../layout/memory-map.ts';

/** Guest bytes [low, high) that may all be read, and written unless `need` is `read` only, without leaving for a store to code. */
export interface Assumption {
  readonly low: number;
  readonly high: number;
  readonly write: boolean;
}

/** How an access is checked. `base`: when the check has passed, its address is at least this. */
export type Check =
  /** An access before it has checked its bytes too. */
  | { readonly kind: 'covered'; readonly base: number }
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
}

interface Known {
  readonly root: string;
  readonly offset: number;
  readonly register?: number;
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
 * the guard of the loop around has checked, with the least addresses they can have.
 */
export function planAccesses(block: Block, knowledge: AccessKnowledge, guarded?: ReadonlyMap<Op, number>): AccessPlan {
  const plan = new Map<Op, Check>();
  for (const members of accessGroups(block)) {
    const open = guarded === undefined ? members : members.filter(({ op }) => !guarded.has(op));
    planGroup(open, knowledge, plan);
    if (open.length === members.length) continue;
    for (const { op } of members) if (guarded!.has(op)) plan.set(op, { kind: 'covered', base: guarded!.get(op)! });
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
      const { op, offset } = members[index]!;
      plan.set(op, { kind: 'covered', base: lowest + offset });
    }
    start = end;
  }
}

/** The plain loads and stores of a block, those with addresses at known distances together, in order. */
export function accessGroups(block: Block): Iterable<readonly Member[]> {
  const values: (Known | undefined)[] = [];
  const registers = new Map<string, Known>();
  const found = new Map<string, Member[]>();
  const versions = new Map<string, number>();
  let pc = 0;
  block.ops.forEach((op, index) => {
    switch (op.name) {
      case 'insn':
        pc = Number(op.pc);
        break;
      case 'const':
        values[index] = asOffset(op);
        break;
      case 'get': {
        if (op.type !== 'i64') break;
        const key = registerKey(op);
        let known = registers.get(key);
        if (known === undefined) {
          const { file, index: number } = op.slot!;
          known = versions.has(key)
            ? { root: `${key} ${versions.get(key)}`, offset: 0 }
            : { root: key, offset: 0, register: file.offset + file.stride * Number(number) };
          registers.set(key, known);
        }
        values[index] = known;
        break;
      }
      case 'set': {
        const key = registerKey(op);
        const known = op.type === 'i64' ? known0(values, op.args[0]!) : undefined;
        versions.set(key, (versions.get(key) ?? 0) + 1);
        if (known === undefined) registers.delete(key);
        else registers.set(key, known);
        break;
      }
      case 'add':
        if (op.type === 'i64') values[index] = sum(block, values, op.args[0]!, op.args[1]!);
        break;
      case 'load':
      case 'store': {
        if (op.alignment === 'natural') break;
        const { root, offset, register } = known0(values, op.args[0]!);
        let members = found.get(root);
        if (members === undefined) found.set(root, (members = []));
        members.push({ root: register, op, pc, offset, bytes: op.width! / 8, write: op.name === 'store' });
        break;
      }
      default:
        break;
    }
  });
  return found.values();
}

/** What a value is known as: itself, when nothing better. */
function known0(values: readonly (Known | undefined)[], value: Value): Known {
  return values[value] ?? { root: String(value), offset: 0 };
}

function sum(block: Block, values: readonly (Known | undefined)[], a: Value, b: Value): Known | undefined {
  const constant = small(block.ops[b]!) ?? small(block.ops[a]!);
  if (constant === undefined) return undefined;
  const other = small(block.ops[b]!) === undefined ? b : a;
  const known = known0(values, other);
  const total = known.offset + constant;
  return Math.abs(total) < 2 ** 31 ? { ...known, offset: total } : undefined;
}

function small(op: Op): number | undefined {
  if (op.name !== 'const' || op.type !== 'i64') return undefined;
  const value = BigInt.asIntN(64, op.bits!);
  return value >= -(2n ** 31n) && value < 2n ** 31n ? Number(value) : undefined;
}

function asOffset(op: Op): Known | undefined {
  const offset = small(op);
  return offset === undefined ? undefined : { root: 'constant', offset };
}

function registerKey({ slot }: Op): string {
  return `${slot!.file.name}${String(slot!.index)}`;
}

/** The permissions of a page that an access needs, and those that must be as said. */
export function pageNeeds(write: boolean): { readonly mask: number; readonly need: number } {
  return write
    ? { mask: Permission.read | Permission.write | Permission.code, need: Permission.read | Permission.write }
    : { mask: Permission.read, need: Permission.read };
}
