import type { Block, Op, Value } from '../../ir/block.ts';
import { resultType } from '../../ir/op.ts';
import { type Slot, WIDTH } from '../../ir/type.ts';
import { signedWidth } from '../../pass/known-width.ts';
import type { RegionNode } from './node.ts';

/** State offsets of registers that hold sign-extended words throughout a region, kept as i32. */
export type WordRegisters = ReadonlySet<number>;

/** By this name it is switched off like a pass. */
export const WORD_REGISTERS = 'word-registers';

/** So far back a value is followed through copies and bitwise ops. */
const DEPTH = 4;
const WORD = 32;

/** The state offset of a general register; undefined for other slots, and for those that swallow what is written. */
function registerOffset({ file, index }: Slot): number | undefined {
  if (typeof index !== 'number' || file.type !== 'i64' || file.count === 1 || index === file.sink) return undefined;
  return file.offset + file.stride * index;
}

/** Whether an i64 value is the sign extension of its low 32 bits, given that the registers are. */
export function isWord(block: Block, value: Value, words: WordRegisters, depth = DEPTH): boolean {
  const op = block.ops[value]!;
  switch (op.name) {
    case 'get': {
      const offset = registerOffset(op.slot!);
      return offset !== undefined && op.type === 'i64' && words.has(offset);
    }
    case 'and':
    case 'or':
    case 'xor':
    case 'select': {
      const first = op.name === 'select' ? 1 : 0;
      const both = (index: number) => isWord(block, op.args[index]!, words, depth - 1);
      if (depth > 0 && both(first) && both(first + 1)) return true;
      break;
    }
    default:
      break;
  }
  return signedWidth(value, block.ops, WIDTH) <= WORD;
}

/**
 * The low 32 bits are all that is asked of these i64 values: 1 for each. Going backwards, a value is wide when a wide value or any other
 * op that looks at high bits uses it.
 */
export function narrowValues(block: Block, words: WordRegisters): Uint8Array {
  const { ops } = block;
  const narrow = new Uint8Array(ops.length).fill(1);
  for (let index = ops.length - 1; index >= 0; index--) {
    const op = ops[index]!;
    const { args } = op;
    if (resultType(op) !== 'i64') narrow[index] = 0;
    for (let place = 0; place < args.length; place++) {
      if (!asksLowOnly(block, op, index, place, narrow, words)) narrow[args[place]!] = 0;
    }
  }
  return narrow;
}

function asksLowOnly(
  block: Block,
  op: Op,
  index: Value,
  place: number,
  narrow: Uint8Array,
  words: WordRegisters,
): boolean {
  switch (op.name) {
    case 'wrap':
    case 'extend8_s':
    case 'extend16_s':
    case 'extend32_s':
      return true;
    case 'add':
    case 'sub':
    case 'mul':
    case 'and':
    case 'or':
    case 'xor':
      return narrow[index] === 1;
    case 'shl':
      return narrow[index] === 1 && shiftsWord(block, op);
    case 'select':
      return place > 0 && narrow[index] === 1;
    case 'eq':
    case 'ne':
    case 'lt_s':
    case 'lt_u':
    case 'le_s':
    case 'le_u':
      return comparesWords(block, op, words);
    case 'store':
      return place === 1 && op.type === 'i64' && op.width! <= WORD;
    case 'set': {
      const offset = registerOffset(op.slot!);
      return offset !== undefined && words.has(offset);
    }
    default:
      return false;
  }
}

/** Whether a shift to the left is by a constant less than 32: of words as of double words. */
export function shiftsWord(block: Block, op: Op): boolean {
  const amount = block.ops[op.args[1]!]!;
  return amount.name === 'const' && amount.bits! < BigInt(WORD);
}

/** Whether a comparison of i64 is one of words: sign extension keeps both orders. */
export function comparesWords(block: Block, op: Op, words: WordRegisters): boolean {
  if (op.type !== 'i64') return false;
  const [a, b] = op.args as readonly [Value, Value];
  return isWord(block, a, words) && isWord(block, b, words);
}

interface Write {
  readonly block: Block;
  readonly value: Value;
}

/**
 * The registers that every write in the region gives a word, that save more sign extensions than they cost, and that `holdsWord` says
 * hold one now: each entry of the region makes sure of that.
 */
export function findWordRegisters(nodes: readonly RegionNode[], holdsWord: (offset: number) => boolean): WordRegisters {
  const writes = new Map<number, Write[]>();
  const excluded = new Set<number>();
  for (const { block } of nodes) {
    for (const op of block.ops) {
      if (op.name !== 'set' && op.name !== 'get') continue;
      const offset = registerOffset(op.slot!);
      if (offset === undefined) continue;
      if (op.type !== 'i64') excluded.add(offset);
      else if (op.name === 'set') {
        const list = writes.get(offset);
        const write = { block, value: op.args[0]! };
        if (list === undefined) writes.set(offset, [write]);
        else list.push(write);
      }
    }
  }
  const words = new Set<number>();
  for (const offset of writes.keys()) if (!excluded.has(offset) && holdsWord(offset)) words.add(offset);
  narrowDown(words, writes);
  if (words.size === 0) return words;
  for (const [offset, gain] of gains(nodes, words)) if (gain <= 0) words.delete(offset);
  narrowDown(words, writes);
  return words;
}

/** Takes out registers that are given something else, until those that are left give one another words. */
function narrowDown(words: Set<number>, writes: ReadonlyMap<number, readonly Write[]>): void {
  for (let changed = true; changed;) {
    changed = false;
    for (const offset of words) {
      if (writes.get(offset)!.every(({ block, value }) => isWord(block, value, words))) continue;
      words.delete(offset);
      changed = true;
    }
  }
}

/** Sign extensions saved by each register: one for each write of an extended value, less one for each read of all 64 bits. */
function gains(nodes: readonly RegionNode[], words: WordRegisters): ReadonlyMap<number, number> {
  const gains = new Map<number, number>();
  for (const offset of words) gains.set(offset, 0);
  const add = (slot: Slot, amount: number) => {
    const offset = registerOffset(slot);
    const gain = offset === undefined ? undefined : gains.get(offset);
    if (gain !== undefined) gains.set(offset!, gain + amount);
  };
  for (const { block } of nodes) {
    const narrow = narrowValues(block, words);
    block.ops.forEach((op, index) => {
      if (op.name === 'get' && narrow[index] === 0) add(op.slot!, -1);
      if (op.name !== 'set') return;
      const { name } = block.ops[op.args[0]!]!;
      if (name === 'widen_s' || name === 'extend32_s' || name === 'get') add(op.slot!, 1);
    });
  }
  return gains;
}
