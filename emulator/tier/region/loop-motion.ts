import type { Block, Op, Value } from '../../ir/block.ts';

/** Further apart than this, addresses are hardly one object. */
export const WIDEST = 1 << 16;

/** An address or a part of one: a register's value at the block's entry (or no register) plus something in [low, high]. */
interface Linear {
  readonly register: number | undefined;
  readonly low: number;
  readonly high: number;
}

/** A load or store of bytes [low, high) from what a register holds at the block's entry. */
export interface Access {
  readonly op: Op;
  readonly pc: number;
  readonly register: number;
  readonly low: number;
  readonly high: number;
  readonly write: boolean;
}

/** What a block of a loop does with addresses. */
export interface Motion {
  readonly accesses: readonly Access[];
  /** What the block leaves in the registers it writes, by state offset, as far as that is known. */
  readonly left: ReadonlyMap<number, Linear | undefined>;
  readonly calls: boolean;
}

/** The loads and stores of a block whose addresses count from registers, and how it moves registers. */
export function motionOf(block: Block): Motion {
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

/** What a block adds to a register; undefined when it does something else to it. */
export function moveOf(register: number, { left }: Motion): number | undefined {
  if (!left.has(register)) return 0;
  const value = left.get(register);
  return value?.register === register && value.low === value.high ? value.low : undefined;
}

interface Travel {
  readonly down: number;
  readonly up: number;
}

/** How far a turn moves a register at most, down and up; undefined when it does something else to it. */
export function travel(register: number, motions: readonly Motion[]): Travel | undefined {
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
export function sourcesOf(
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
