import type { Block, Op, Value } from '../../ir/block.ts';
import { type RegionNode, successors } from './node.ts';

/** When another turn follows, of what counts on the left and the bound on the right. */
export type Relation = 'ne' | 'lt' | 'le' | 'gt' | 'ge';

/**
 * How a loop without side ways counts its turns: in the turn `i`, counted from 0, another one follows while
 * `counter + offset + i * step <relation> bound + boundOffset`, of what the registers hold at the loop's head.
 */
export interface Count {
  /** The nodes of a turn in order, the head first. */
  readonly path: readonly RegionNode[];
  /** The position in it of the one that may leave the loop. */
  readonly last: number;
  /** State offset of the register. */
  readonly counter: number;
  readonly offset: number;
  readonly step: number;
  /** The counter has 32 bits, with their sign in the upper ones. */
  readonly isNarrow: boolean;
  readonly relation: Relation;
  readonly isSigned: boolean;
  /** State offset of a register that the loop leaves alone; undefined for 0. */
  readonly bound: number | undefined;
  readonly boundOffset: number;
}

/** A value as what a register held at the block's entry, or nothing, plus a constant. */
interface Linear {
  readonly register: number | undefined;
  readonly offset: number;
  readonly isNarrow: boolean;
}

/** Further than this a loop hardly steps, and sums of two such numbers are exact. */
const WIDEST = 2 ** 31;

/** How a loop counts its turns, of its nodes; undefined when it does not, or in another way. */
export function countOf(header: number, body: readonly RegionNode[]): Count | undefined {
  const path = pathOf(header, body);
  if (path === undefined) return undefined;
  const at = path.findIndex(({ ending }) => ending.kind === 'branch');
  const { block, ending } = path[at]!;
  if (ending.kind !== 'branch') return undefined;
  const next = path[at + 1]?.index ?? header;
  const isTaken = 'node' in ending.taken && ending.taken.node === next;
  const last = block.ops.at(-1)!;
  if (last.name !== 'branch') return undefined;
  const comparison = comparisonOf(block.ops[last.args[0]!]!, isTaken);
  if (comparison === undefined) return undefined;
  const left = new Map<number, Linear | undefined>();
  let sides: readonly (Linear | undefined)[] = [];
  for (const node of path) {
    const values = linearValues(node.block, left);
    if (node === path[at]) sides = comparison.args.map((value) => values[value]);
  }
  const [a, b] = sides;
  if (a === undefined || b === undefined) return undefined;
  const { relation } = comparison;
  const found = count(a, b, comparison, relation, left) ?? count(b, a, comparison, SWAPPED[relation], left);
  return found && { ...found, path, last: at };
}

/** The nodes of a loop in the order of a turn, when there is one way through it, and one out of it. */
function pathOf(header: number, body: readonly RegionNode[]): readonly RegionNode[] | undefined {
  const nodes = new Map(body.map((node) => [node.index, node]));
  const path: RegionNode[] = [];
  let branches = 0;
  for (let at = header; ;) {
    const node = nodes.get(at)!;
    path.push(node);
    const { kind } = node.ending;
    const inside = successors(node).filter((to) => nodes.has(to));
    if (kind === 'branch') branches++;
    if (inside.length !== 1 || branches > 1 || (kind !== 'goto' && kind !== 'branch')) return undefined;
    at = inside[0]!;
    if (at === header) return branches === 1 && path.length === body.length ? path : undefined;
    if (path.length >= body.length) return undefined;
  }
}

interface Comparison {
  readonly relation: Relation;
  readonly isSigned: boolean;
  readonly args: readonly Value[];
}

const SWAPPED: Readonly<Record<Relation, Relation>> = { ne: 'ne', lt: 'gt', le: 'ge', gt: 'lt', ge: 'le' };
const RELATIONS: Readonly<Record<string, readonly [Relation | undefined, Relation | undefined]>> = {
  eq: [undefined, 'ne'],
  ne: ['ne', undefined],
  lt: ['lt', 'ge'],
  le: ['le', 'gt'],
};

/** What must hold for another turn. `isTaken`: the branch goes back when its condition holds. */
function comparisonOf({ name, type, args }: Op, isTaken: boolean): Comparison | undefined {
  const [base, sign] = name.split('_');
  const relation = RELATIONS[base!]?.[isTaken ? 0 : 1];
  return relation === undefined || type !== 'i64' ? undefined : { relation, isSigned: sign === 's', args };
}

function count(
  counter: Linear,
  bound: Linear,
  { isSigned }: Comparison,
  relation: Relation,
  left: ReadonlyMap<number, Linear | undefined>,
): Omit<Count, 'path' | 'last'> | undefined {
  const { register, offset, isNarrow } = counter;
  if (register === undefined || bound.isNarrow || (bound.register !== undefined && left.has(bound.register)))
    return undefined;
  const next = left.get(register);
  if (next?.register !== register || next.isNarrow !== isNarrow) return undefined;
  const step = next.offset;
  const goesUp = relation === 'lt' || relation === 'le';
  if (step === 0 || (relation !== 'ne' && goesUp !== step > 0)) return undefined;
  return {
    counter: register,
    offset,
    step,
    isNarrow,
    relation,
    isSigned,
    bound: bound.register,
    boundOffset: bound.offset,
  };
}

/** The values of a block that are linear; `left`: what registers were set to so far. */
function linearValues({ ops }: Block, left: Map<number, Linear | undefined>): readonly (Linear | undefined)[] {
  const values: (Linear | undefined)[] = [];
  ops.forEach((op, index) => {
    const [a, b] = op.args;
    switch (op.name) {
      case 'const':
        values[index] = small({
          register: undefined,
          offset: Number(BigInt.asIntN(op.type === 'i32' ? 32 : 64, op.bits!)),
          isNarrow: false,
        });
        break;
      case 'get': {
        const register = registerOf(op);
        if (register === undefined) break;
        values[index] = left.has(register) ? left.get(register) : { register, offset: 0, isNarrow: false };
        break;
      }
      case 'set': {
        const { file, index: number } = op.slot!;
        left.set(file.offset + file.stride * Number(number), op.type === 'i64' ? values[a!] : undefined);
        break;
      }
      case 'add':
        values[index] = sum(values[a!], values[b!]);
        break;
      case 'wrap':
      case 'widen_s': {
        const value = values[a!];
        values[index] = value && (value.register === undefined ? value : { ...value, isNarrow: true });
        break;
      }
      default:
        break;
    }
  });
  return values;
}

function registerOf({ type, slot }: Op): number | undefined {
  const { file, index } = slot!;
  if (type !== 'i64' || file.type !== 'i64' || file.count === 1 || index === file.sink) return undefined;
  return file.offset + file.stride * Number(index);
}

function sum(a: Linear | undefined, b: Linear | undefined): Linear | undefined {
  if (a === undefined || b === undefined || (a.register !== undefined && b.register !== undefined)) return undefined;
  return small({
    register: a.register ?? b.register,
    offset: a.offset + b.offset,
    isNarrow: a.isNarrow || b.isNarrow,
  });
}

function small(value: Linear): Linear | undefined {
  return Math.abs(value.offset) < WIDEST ? value : undefined;
}
