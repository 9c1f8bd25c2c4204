import type { Block, Op, Value } from '../../ir/block.ts';
import type { AccessKnowledge, Assumption } from './access-plan.ts';
import type { FlowGraph } from './flow-graph.ts';
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
  /** Instructions of the shortest turn: a budget for so many times them lasts for as many turns at most. */
  readonly least: number;
}

/** How often loops have been seen to turn. */
export interface LoopKnowledge {
  /** Turns of the loop with its head at `pc`, whose code is in `inside`, for each time that it was begun; undefined when it was not seen. */
  turns(pc: number, inside: (pc: number) => boolean): number | undefined;
}

/** What a check costs in WebAssembly operators, and a guard: for itself and for each of its pointers. Rough. */
const CHECK_COST = 3;
const GUARD_COST = 12;
const POINTER_COST = 8;
const MOST_POINTERS = 6;
/** In a loop of more instructions for each check, what the guard keeps in registers costs as much as it saves. */
const LARGEST_TURN = 16;
/** Extents of accesses from one pointer further apart than this are hardly one object; without a range a page is all that is looked at. */
const WIDEST = 1 << 16;
const PAGE = 4096;

/** An address or a part of one: a register's value at the block's entry (or no register) plus something in [low, high]. */
interface Linear {
  readonly register: number | undefined;
  readonly low: number;
  readonly high: number;
}

interface Access {
  readonly op: Op;
  readonly pc: number;
  readonly register: number;
  readonly low: number;
  readonly high: number;
  readonly write: boolean;
}

interface Motion {
  readonly accesses: readonly Access[];
  /** What the block leaves in the registers it writes, by state offset, as far as that is known. */
  readonly left: ReadonlyMap<number, Linear | undefined>;
  readonly calls: boolean;
}

/** The loops of a region that are worth a guard, by header: those that save `gain` times what it costs. All of them when that is 0, none when it is infinite. */
export function planGuards(
  nodes: readonly RegionNode[],
  graph: FlowGraph,
  knowledge: AccessKnowledge & LoopKnowledge,
  refused: ReadonlySet<number>,
  gain: number,
): ReadonlyMap<number, LoopGuard> {
  const guards = new Map<number, LoopGuard>();
  if (gain === Infinity) return guards;
  const outer = new Set(graph.parent.values());
  for (let header = 0; header < nodes.length; header++) {
    if (graph.loopHeaders[header] !== 1 || outer.has(header) || graph.hops.has(header)) continue;
    if (refused.has(nodes[header]!.pc)) continue;
    const body = nodes.filter(({ index }) => graph.innermost[index] === header);
    const turns = gain === 0 ? Infinity : turnsOf(nodes[header]!.pc, body, knowledge);
    if (turns < 2) continue;
    const motions = body.map(({ block }) => motionOf(block));
    if (motions.some(({ calls }) => calls)) continue;
    const { pointers, covered, checks } = pointersOf(header, body, motions, knowledge);
    if (pointers.length === 0 || pointers.length > MOST_POINTERS) continue;
    const instructions = body.reduce((sum, node) => sum + node.instructions, 0);
    if (gain > 0 && instructions > checks * LARGEST_TURN) continue;
    if (turns * checks * CHECK_COST < gain * (GUARD_COST + pointers.length * POINTER_COST)) continue;
    guards.set(header, { header, pointers, covered, least: shortestTurn(header, body, graph) });
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

function pointersOf(
  header: number,
  body: readonly RegionNode[],
  motions: readonly Motion[],
  knowledge: AccessKnowledge,
): { readonly pointers: GuardedPointer[]; readonly covered: ReadonlyMap<Op, number>; readonly checks: number } {
  const extents = extentsOf(header, body, motions);
  const pointers: GuardedPointer[] = [];
  const lowest = new Map<Op, number>();
  const open = new Set<Op>();
  for (const [register, members] of extents) {
    const pointer = pointerOf(register, members, motions, knowledge);
    if (pointer !== undefined) pointers.push(pointer);
    for (const { access } of members) {
      if (pointer === undefined) open.add(access.op);
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
  return { pointers: guarding, covered, checks: checks.size };
}

/** The accesses of a loop by the registers that their addresses count from, directly or by way of a register that is set from them. */
function extentsOf(
  header: number,
  body: readonly RegionNode[],
  motions: readonly Motion[],
): ReadonlyMap<number, readonly Extent[]> {
  const extents = new Map<number, Extent[]>();
  const add = (register: number, extent: Extent) => {
    const members = extents.get(register);
    if (members === undefined) extents.set(register, [extent]);
    else members.push(extent);
  };
  body.forEach((node, at) => {
    for (const access of motions[at]!.accesses) {
      const { register, low, high } = access;
      const all = travel(register, motions);
      if (all === undefined) {
        // Until it is set it holds what it held at the head.
        const sources = sourcesOf(register, motions);
        if (sources === undefined) continue;
        add(register, { access, low, high });
        for (const { source, travel: own, low: from, high: to } of sources)
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

function pointerOf(
  register: number,
  members: readonly Extent[],
  motions: readonly Motion[],
  knowledge: AccessKnowledge,
): GuardedPointer | undefined {
  // One that is set from others is looked at as it is at the head.
  const { down, up } = travel(register, motions) ?? { down: 0, up: 0 };
  if (up > 0 && down < 0) return undefined;
  const low = Math.min(...members.map((member) => member.low));
  const high = Math.max(...members.map((member) => member.high));
  const write = members.some(({ access }) => access.write);
  const distrusted = members.some(({ access }) => knowledge.distrusted(access.pc));
  const range = distrusted ? undefined : rangeOf(members, write, knowledge);
  const stride = up + down;
  const fits =
    range === undefined ? high - low <= PAGE && stride >= 0 : high - low <= Math.min(WIDEST, range.high - range.low);
  return fits ? { register, low, high, stride, write, range } : undefined;
}

function rangeOf(members: readonly Extent[], write: boolean, knowledge: AccessKnowledge): Assumption | undefined {
  for (const { access } of members) {
    const address = knowledge.observed(access.pc);
    if (address !== undefined) return knowledge.around(address, write);
  }
  return undefined;
}

/** What a block adds to a register; undefined when it does something else to it. */
function moveOf(register: number, { left }: Motion): number | undefined {
  if (!left.has(register)) return 0;
  const value = left.get(register);
  return value?.register === register && value.low === value.high ? value.low : undefined;
}

interface Travel {
  readonly down: number;
  readonly up: number;
}

/** How far a turn moves a register at most, down and up; undefined when it does something else to it. */
function travel(register: number, motions: readonly Motion[]): Travel | undefined {
  let down = 0;
  let up = 0;
  for (const motion of motions) {
    const by = moveOf(register, motion);
    if (by === undefined) return undefined;
    if (by < 0) down += by;
    else up += by;
  }
  return up - down < WIDEST ? { down, up } : undefined;
}

/** What a register is set from in a loop, when that is always a register that moves on, plus something small. */
function sourcesOf(
  register: number,
  motions: readonly Motion[],
):
  | readonly { readonly source: number; readonly travel: Travel; readonly low: number; readonly high: number }[]
  | undefined {
  const sources: { source: number; travel: Travel; low: number; high: number }[] = [];
  for (const { left } of motions) {
    if (!left.has(register)) continue;
    const value = left.get(register);
    if (value?.register === undefined || value.register === register) return undefined;
    const own = travel(value.register, motions);
    if (own === undefined) return undefined;
    sources.push({ source: value.register, travel: own, low: value.low, high: value.high });
  }
  return sources;
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

/** The loads and stores of a block whose addresses count from registers, and how it moves registers. */
function motionOf(block: Block): Motion {
  const values: (Linear | undefined)[] = [];
  const registers = new Map<number, Linear | undefined>();
  const accesses: Access[] = [];
  let pc = 0;
  let calls = false;
  const linear = (value: Value): Linear | undefined => values[value];
  block.ops.forEach((op, index) => {
    switch (op.name) {
      case 'insn':
        pc = Number(op.pc);
        break;
      case 'call':
        calls = true;
        break;
      case 'const':
        values[index] = constant(op);
        break;
      case 'get': {
        const register = registerOf(op);
        if (register === undefined) break;
        values[index] = registers.has(register) ? registers.get(register) : { register, low: 0, high: 0 };
        break;
      }
      case 'set': {
        const { file, index: number } = op.slot!;
        const offset = file.offset + file.stride * Number(number);
        registers.set(offset, op.type === 'i64' ? linear(op.args[0]!) : undefined);
        break;
      }
      case 'add':
        if (op.type === 'i64') values[index] = sum(linear(op.args[0]!), linear(op.args[1]!));
        break;
      case 'and':
        if (op.type === 'i64') values[index] = masked(linear(op.args[0]!), linear(op.args[1]!));
        break;
      case 'shl':
        if (op.type === 'i64') values[index] = shifted(linear(op.args[0]!), linear(op.args[1]!));
        break;
      case 'load':
      case 'store': {
        if (op.name === 'load' && op.type === 'i64' && op.signed !== true && op.width! <= 16)
          values[index] = { register: undefined, low: 0, high: 2 ** op.width! - 1 };
        const address = linear(op.args[0]!);
        if (op.alignment === 'natural' || address?.register === undefined) break;
        const { register, low, high } = address;
        accesses.push({ op, pc, register, low, high: high + op.width! / 8, write: op.name === 'store' });
        break;
      }
      default:
        break;
    }
  });
  return { accesses, left: registers, calls };
}

function registerOf({ type, slot }: Op): number | undefined {
  const { file, index } = slot!;
  if (type !== 'i64' || file.type !== 'i64' || file.count === 1 || index === file.sink) return undefined;
  return file.offset + file.stride * Number(index);
}

function constant({ type, bits }: Op): Linear | undefined {
  if (type !== 'i64') return undefined;
  const value = Number(BigInt.asIntN(64, bits!));
  return Math.abs(value) < 2 ** 31 ? { register: undefined, low: value, high: value } : undefined;
}

function sum(a: Linear | undefined, b: Linear | undefined): Linear | undefined {
  if (a === undefined || b === undefined || (a.register !== undefined && b.register !== undefined)) return undefined;
  return small({ register: a.register ?? b.register, low: a.low + b.low, high: a.high + b.high });
}

/** Whatever is masked by a number that is not negative lies between 0 and it. */
function masked(a: Linear | undefined, b: Linear | undefined): Linear | undefined {
  const mask = [a, b].find((each) => each !== undefined && each.register === undefined && each.low === each.high);
  return mask !== undefined && mask.low >= 0 ? { register: undefined, low: 0, high: mask.low } : undefined;
}

function shifted(a: Linear | undefined, by: Linear | undefined): Linear | undefined {
  if (a === undefined || by === undefined || a.register !== undefined || by.register !== undefined) return undefined;
  if (by.low !== by.high || by.low < 0 || by.low > 16 || a.low < 0) return undefined;
  return small({ register: undefined, low: a.low * 2 ** by.low, high: a.high * 2 ** by.low });
}

function small(value: Linear): Linear | undefined {
  return value.low >= -WIDEST && value.high <= WIDEST ? value : undefined;
}
