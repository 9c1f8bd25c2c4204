import type { Op } from '../../ir/block.ts';
import type { AccessKnowledge, Assumption } from './access-plan.ts';
import { type Count, countOf } from './counted-loops.ts';
import type { FlowGraph } from './flow-graph.ts';
import { type Access, type Motion, motionOf, moveOf, sourcesOf, travel, WIDEST } from './loop-motion.ts';
import { successors, type RegionNode } from './node.ts';

/** A register that loads and stores of a loop count from, and that each turn leaves alone or moves on by constants. */
export interface GuardedPointer {
  /** State offset of the register. */
  readonly register: number;
  /** Within one turn, bytes [low, high) from what the register holds at the loop's head are accessed. */
  readonly low: number;
  readonly high: number;
  /** By so much, in this direction, a turn moves the register at most; 0 when it stays. */
  readonly stride: number;
  readonly write: boolean;
  /** The memory they must lie in; undefined: what is there is looked up, a page or two at a time. */
  readonly range: Assumption | undefined;
}

/** An innermost loop whose accesses are checked for many turns at once. */
export interface LoopGuard {
  readonly header: number;
  readonly pointers: readonly GuardedPointer[];
  /** The accesses that need no check of their own, with the least address that each can have. */
  readonly covered: ReadonlyMap<Op, number>;
  /** Behind address translation: for each of them the position of the one pointer that it counts from. */
  readonly pointerOf: ReadonlyMap<Op, number>;
  /** Instructions of the shortest turn: a budget for so many times them lasts for as many turns at most. */
  readonly least: number;
  /** How it counts its turns, where that is known: then many are done without a look at anything. */
  readonly count: Count | undefined;
}

/** How often loops have been seen to turn. */
export interface LoopKnowledge {
  /** Turns of the loop with its head at `pc`, whose code is in `inside`, for each time that it was begun; undefined when it was not seen. */
  turns(pc: number, inside: (pc: number) => boolean): number | undefined;
}

/** What a check costs in WebAssembly operators, and a guard: for itself and for each of its pointers. Rough. */
interface Costs {
  readonly check: number;
  readonly guard: number;
  readonly pointer: number;
}
const FLAT: Costs = { check: 3, guard: 12, pointer: 8 };
const TRANSLATED: Costs = { check: 6, guard: 14, pointer: 14 };
const MOST_POINTERS = 6;
/** Behind address translation, of a pointer: the most bytes that a turn accesses, and that it moves on by: what is checked ends with the page. */
const LARGEST_EXTENT = 2048;
const LARGEST_STRIDE = 512;
/** In a loop of more instructions for each check, what the guard keeps in registers costs as much as it saves. */
const LARGEST_TURN = 16;
/** Accesses from one pointer that are further apart are not looked up by their pages. */
const PAGE = 4096;

/**
 * The loops of a region that are worth a guard, by header: those that save `gain` times what it costs. All of them when that is 0, none when it is
 * infinite. `translated`: guest addresses are. `counts`: whether to find out how they count their turns.
 */
export function planGuards(
  nodes: readonly RegionNode[],
  graph: FlowGraph,
  knowledge: AccessKnowledge & LoopKnowledge,
  refused: ReadonlySet<number>,
  gain: number,
  translated = false,
  counts = !translated,
): ReadonlyMap<number, LoopGuard> {
  const guards = new Map<number, LoopGuard>();
  if (gain === Infinity) return guards;
  const costs = translated ? TRANSLATED : FLAT;
  for (const header of graph.innermostHeaders) {
    if (graph.hops.has(header)) continue;
    if (refused.has(nodes[header]!.pc)) continue;
    const body = nodes.filter(({ index }) => graph.innermost[index] === header);
    const turns = gain === 0 ? Infinity : turnsOf(nodes[header]!.pc, body, knowledge);
    if (turns < 2) continue;
    const motions = body.map(({ block }) => motionOf(block));
    if (motions.some(({ calls }) => calls)) continue;
    const { pointers, covered, pointerOf, checks } = pointersOf(
      header,
      body,
      motions,
      translated ? undefined : knowledge,
    );
    if (pointers.length === 0 || pointers.length > MOST_POINTERS) continue;
    const instructions = body.reduce((sum, node) => sum + node.instructions, 0);
    const count = counts ? countOf(header, body) : undefined;
    if (gain > 0 && count === undefined && instructions > checks * LARGEST_TURN) continue;
    const inPage = Math.max(...pointers.map(({ stride }) => Math.abs(stride)));
    const checked = translated ? Math.min(turns, PAGE / inPage) : turns;
    if (checked * checks * costs.check < gain * (costs.guard + pointers.length * costs.pointer)) continue;
    guards.set(header, { header, pointers, covered, pointerOf, least: shortestTurn(header, body, graph), count });
  }
  return guards;
}

function turnsOf(pc: number, body: readonly RegionNode[], knowledge: LoopKnowledge): number {
  return knowledge.turns(pc, (at) => body.some((node) => at >= node.pc && at < node.end)) ?? 0;
}

/** Bytes accessed in a turn, from what a register holds at the loop's head. */
interface Extent {
  readonly access: Access;
  readonly low: number;
  readonly high: number;
}

/** `knowledge`: of flat memory. */
function pointersOf(
  header: number,
  body: readonly RegionNode[],
  motions: readonly Motion[],
  knowledge: AccessKnowledge | undefined,
): Pick<LoopGuard, 'pointers' | 'covered' | 'pointerOf'> & { readonly checks: number } {
  const extents = extentsOf(header, body, motions);
  const pointers: GuardedPointer[] = [];
  const lowest = new Map<Op, number>();
  const open = new Set<Op>();
  const ownerOf = new Map<Op, number>();
  for (const [register, members] of extents) {
    const pointer =
      knowledge === undefined
        ? translatedPointerOf(register, members, motions)
        : flatPointerOf(register, members, motions, knowledge);
    if (pointer !== undefined) pointers.push(pointer);
    for (const { access } of members) {
      // In a page that only one of its registers leads to, an access would have to know by which it goes.
      const isShared = knowledge === undefined && (ownerOf.get(access.op) ?? register) !== register;
      ownerOf.set(access.op, register);
      if (pointer === undefined || isShared) open.add(access.op);
      else lowest.set(access.op, Math.min(pointer.range?.low ?? 0, lowest.get(access.op) ?? Infinity));
    }
  }
  const covered = new Map([...lowest].filter(([op]) => !open.has(op)));
  const guarding = pointers.filter(({ register }) =>
    extents.get(register)!.some(({ access }) => covered.has(access.op)),
  );
  // Those of one block from one register would share a check.
  const checks = new Set<string>();
  motions.forEach(({ accesses }, block) => {
    for (const { op, register } of accesses) if (covered.has(op)) checks.add(`${block} ${register}`);
  });
  const pointerOf = new Map<Op, number>();
  guarding.forEach(({ register }, position) => {
    for (const { access } of extents.get(register)!) if (covered.has(access.op)) pointerOf.set(access.op, position);
  });
  return { pointers: guarding, covered, pointerOf, checks: checks.size };
}

/** The accesses of a loop by the registers that their addresses count from, directly or by way of a register that is set from them. */
function extentsOf(
  header: number,
  body: readonly RegionNode[],
  motions: readonly Motion[],
): ReadonlyMap<number, readonly Extent[]> {
  const extents = new Map<number, Extent[]>();
  // Each takes a look at all blocks, and most accesses count from few registers.
  const travelOf = remembered((register) => travel(register, motions));
  const sources = remembered((register) => sourcesOf(register, motions));
  const add = (register: number, extent: Extent) => {
    const members = extents.get(register);
    if (members === undefined) extents.set(register, [extent]);
    else members.push(extent);
  };
  body.forEach((node, at) => {
    for (const access of motions[at]!.accesses) {
      const { register, low, high } = access;
      const all = travelOf(register);
      if (all === undefined) {
        // Until it is set it holds what it held at the head.
        const setFrom = sources(register);
        if (setFrom === undefined) continue;
        add(register, { access, low, high });
        for (const { source, travel: own, low: from, high: to } of setFrom)
          add(source, { access, low: low + from + own.down, high: high + to + own.up });
        continue;
      }
      if (node.index === header) {
        add(register, { access, low, high });
        continue;
      }
      // Any of the others may have come first in the turn.
      const own = moveOf(register, motions[at]!) ?? 0;
      add(register, { access, low: low + all.down - Math.min(own, 0), high: high + all.up - Math.max(own, 0) });
    }
  });
  return extents;
}

function remembered<T>(compute: (register: number) => T): (register: number) => T {
  const known = new Map<number, T>();
  return (register) => {
    if (!known.has(register)) known.set(register, compute(register));
    return known.get(register)!;
  };
}

function flatPointerOf(
  register: number,
  members: readonly Extent[],
  motions: readonly Motion[],
  knowledge: AccessKnowledge,
): GuardedPointer | undefined {
  const pointer = boundsOf(register, members, motions);
  if (pointer === undefined) return undefined;
  const { low, high, stride, write } = pointer;
  const distrusted = members.some(({ access }) => knowledge.distrusted(access.pc));
  const range = distrusted ? undefined : rangeOf(members, write, knowledge);
  const fits =
    range === undefined ? high - low <= PAGE && stride >= 0 : high - low <= Math.min(WIDEST, range.high - range.low);
  return fits ? { ...pointer, range } : undefined;
}

function translatedPointerOf(
  register: number,
  members: readonly Extent[],
  motions: readonly Motion[],
): GuardedPointer | undefined {
  const pointer = boundsOf(register, members, motions);
  if (pointer === undefined) return undefined;
  const { low, high, stride } = pointer;
  return high - low <= LARGEST_EXTENT && Math.abs(stride) <= LARGEST_STRIDE ? pointer : undefined;
}

/** What a turn accesses from a register, and how that moves on; undefined when it moves both ways. */
function boundsOf(
  register: number,
  members: readonly Extent[],
  motions: readonly Motion[],
): GuardedPointer | undefined {
  // One that is set from others is looked at as it is at the head.
  const { down, up } = travel(register, motions) ?? { down: 0, up: 0 };
  if (up > 0 && down < 0) return undefined;
  const low = Math.min(...members.map((member) => member.low));
  const high = Math.max(...members.map((member) => member.high));
  const write = members.some(({ access }) => access.write);
  return { register, low, high, stride: up + down, write, range: undefined };
}

function rangeOf(members: readonly Extent[], write: boolean, knowledge: AccessKnowledge): Assumption | undefined {
  for (const { access } of members) {
    const address = knowledge.observed(access.pc);
    if (address !== undefined) return knowledge.around(address, write);
  }
  return undefined;
}

/** The fewest instructions from the head of an innermost loop back to it. */
function shortestTurn(header: number, body: readonly RegionNode[], { order }: FlowGraph): number {
  const inside = new Set(body.map(({ index }) => index));
  const shortest = new Map<number, number>([[header, 0]]);
  let least = Infinity;
  for (const node of body.toSorted((a, b) => order[a.index]! - order[b.index]!)) {
    const here = shortest.get(node.index);
    if (here === undefined) continue;
    const after = here + node.instructions;
    for (const to of successors(node)) {
      if (to === header) least = Math.min(least, after);
      else if (inside.has(to)) shortest.set(to, Math.min(shortest.get(to) ?? Infinity, after));
    }
  }
  return Number.isFinite(least) ? Math.max(1, least) : 1;
}
