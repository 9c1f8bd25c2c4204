import { assert } from '../check/assert.ts';
import { JUMP_HINTS, ORDERS, RMWS, type Attributes } from './attributes.ts';
import type { Block, Value } from './block.ts';
import { makeOp, type OpParts } from './make-op.ts';
import { OP_NAMES, type OpName, opRow, resultType, type Typing } from './op.ts';
import { type RegisterFile, SHAPES, type Type, WIDTH } from './type.ts';
import { accessWidths, mayLeave } from './verify.ts';

/** A small seeded generator (SplitMix64): the same seed gives the same sequence everywhere. */
export class Random {
  #state: bigint;

  constructor(seed: number | bigint) {
    this.#state = BigInt.asUintN(64, BigInt(seed));
  }

  /** 64 random bits. */
  next(): bigint {
    this.#state = BigInt.asUintN(64, this.#state + 0x9e37_79b9_7f4a_7c15n);
    let z = this.#state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
    return z ^ (z >> 31n);
  }

  /** An integer of 0 to limit - 1. */
  below(limit: number): number {
    return Number(this.next() % BigInt(limit));
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(choices: readonly T[]): T {
    assert(choices.length > 0, 'there is something to pick');
    return choices[this.below(choices.length)]!;
  }
}

/** Bit patterns where things go wrong: around zero, the extremes, powers of two; for floats also every class and rounding boundaries. */
export const EDGE_VALUES: Readonly<Record<Type, readonly bigint[]>> = {
  i32: integerEdges(32),
  i64: integerEdges(64),
  f32: [
    0n,
    0x8000_0000n,
    0x3f80_0000n,
    0xbf80_0000n,
    0x3f00_0000n,
    0x3fc0_0000n,
    0x4b80_0000n,
    0x4b7f_ffffn,
    0x1n,
    0x8000_0001n,
    0x7f_ffffn,
    0x80_0000n,
    0x80_0001n,
    0x7f7f_ffffn,
    0xff7f_ffffn,
    0x7f80_0000n,
    0xff80_0000n,
    0x7fc0_0000n,
    0xffc0_0000n,
    0x7fc0_1234n,
    0x7f80_0001n,
    0xffbf_ffffn,
    0x4f00_0000n,
    0xcf00_0000n,
    0x4f80_0000n,
    0x5f00_0000n,
    0x5f80_0000n,
    0x3eaa_aaabn,
    0x3dcc_cccdn,
  ],
  f64: [
    0n,
    0x8000_0000_0000_0000n,
    0x3ff0_0000_0000_0000n,
    0xbff0_0000_0000_0000n,
    0x3fe0_0000_0000_0000n,
    0x3ff8_0000_0000_0000n,
    0x4340_0000_0000_0000n,
    0x433f_ffff_ffff_ffffn,
    0x1n,
    0x8000_0000_0000_0001n,
    0xf_ffff_ffff_ffffn,
    0x10_0000_0000_0000n,
    0x10_0000_0000_0001n,
    0x7fef_ffff_ffff_ffffn,
    0xffef_ffff_ffff_ffffn,
    0x7ff0_0000_0000_0000n,
    0xfff0_0000_0000_0000n,
    0x7ff8_0000_0000_0000n,
    0xfff8_0000_0000_0000n,
    0x7ff8_0000_dead_beefn,
    0x7ff0_0000_0000_0001n,
    0xfff7_ffff_ffff_ffffn,
    0x41df_ffff_ffc0_0000n,
    0xc1e0_0000_0000_0000n,
    0x41e0_0000_0000_0000n,
    0x43e0_0000_0000_0000n,
    0x43f0_0000_0000_0000n,
    0x47ef_ffff_f000_0000n,
    0x36a0_0000_0000_0000n,
    0x3fd5_5555_5555_5555n,
    0x3fb9_9999_9999_999an,
  ],
  v128: [
    0n,
    (1n << 128n) - 1n,
    1n,
    1n << 127n,
    0x8000_0000_0000_0000_8000_0000_0000_0000n,
    0x7fff_ffff_8000_0000_0000_0001_ffff_fffen,
    0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100n,
    0x7fc0_0000_ff80_0000_3f80_0000_8000_0000n,
    0x7ff8_0000_0000_0000_fff0_0000_0000_0000n,
    0x8080_7f7f_8000_7fff_00ff_ff00_0180_80fen,
    0x1f10_ff0f_0e01_0203_2021_8081_0405_0607n,
  ],
};

function integerEdges(width: number): bigint[] {
  const top = 1n << BigInt(width - 1);
  const edges = [0n, 1n, 2n, 3n, 7n, 8n, 31n, 32n, 63n, 64n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn];
  edges.push(0x5555_5555n, 0x8000_0001n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, top - 1n, top, top + 1n);
  edges.push(...[1n, 2n, 3n, 8n, 64n, 0x80n, 0x8000n].map((below) => 2n * top - below));
  if (width === 64) edges.push(0x1_0000_0000n, 0xffff_ffff_7fff_ffffn, 0xffff_ffff_8000_0000n, 0x0123_4567_89ab_cdefn);
  return [...new Set(edges)];
}

/** A value of the type: an edge, a near-edge or random bits. */
export function randomBits(random: Random, type: Type): bigint {
  const width = WIDTH[type];
  const bits = BigInt.asUintN(width, random.next() | (random.next() << 64n));
  switch (random.below(4)) {
    case 0:
      // A few bits set or clear at either end: small numbers, masks, and floats with short significands.
      return (
        BigInt.asUintN(width, bits >> BigInt(random.below(width))) ^
        (random.chance(50) ? 0n : (1n << BigInt(width)) - 1n)
      );
    case 1:
      return bits;
    default:
      return random.pick(EDGE_VALUES[type]);
  }
}

export interface RandomBlockOptions {
  readonly isa: string;
  readonly files: readonly RegisterFile[];
  /** How many guest instructions; 1 to 4 unless given. */
  readonly instructions?: number;
  /** Which ops may appear; all but `call` and `field` unless given. */
  readonly ops?: readonly OpName[];
  /** Helpers that `call` may name with their numbers of arguments; none unless given, and then `call` never appears. */
  readonly helpers?: Readonly<Record<string, number>>;
  /** Guest addresses where accesses should mostly fall; some fall just outside, some anywhere. */
  readonly window?: { readonly base: number; readonly size: number };
  readonly pc?: bigint;
}

/** A random block that `verify` accepts, over all ops, with values that feed each other and end in registers. */
export function randomBlock(random: Random, options: RandomBlockOptions): Block {
  return new BlockWriter(random, options).block;
}

class BlockWriter {
  readonly block: Block;
  readonly #random: Random;
  readonly #options: RandomBlockOptions;
  readonly #window: { readonly base: number; readonly size: number };
  readonly #byType = new Map<Type, Value[]>();
  /** The addresses used so far. */
  readonly #addresses: Value[] = [];
  /** The loads and stores so far. */
  readonly #accesses: { readonly address: Value; readonly width: number }[] = [];

  constructor(random: Random, options: RandomBlockOptions) {
    this.#random = random;
    this.#options = options;
    this.#window = options.window ?? { base: 0, size: 4096 };
    this.block = { isa: options.isa, ops: [] };
    const { helpers = {} } = options;
    const ops = (options.ops ?? OP_NAMES).filter(
      (name) => name !== 'insn' && name !== 'field' && (name !== 'call' || Object.keys(helpers).length > 0),
    );
    const terminators = ops.filter((name) => opRow(name).terminator === true);
    const others = ops.filter((name) => opRow(name).terminator !== true && name !== 'set');

    let pc = options.pc ?? 0x1000n;
    const instructions = options.instructions ?? 1 + random.below(4);
    for (let i = 0; i < instructions; i++) {
      const length = random.pick([2, 4]);
      this.#push({ name: 'insn', type: 'none', args: [], pc, length });
      pc += BigInt(length);
      for (let left = 2 + random.below(10); left > 0; left--) this.#emit(random.pick(others));
      for (let left = 1 + random.below(3); left > 0; left--) this.#emitSet();
    }
    if (terminators.length > 0 && random.chance(70)) {
      // A trap comes after a register was written only in an instruction of its own.
      this.#push({ name: 'insn', type: 'none', args: [], pc, length: 4 });
      this.#emit(random.pick(terminators));
    }
  }

  #push(parts: OpParts): Value {
    const op = makeOp(parts);
    const value = this.block.ops.push(op) - 1;
    const type = resultType(op);
    if (type !== undefined) {
      const list = this.#byType.get(type);
      if (list === undefined) this.#byType.set(type, [value]);
      else list.push(value);
    }
    return value;
  }

  /** A value of the type: mostly one there is, else a constant or register. */
  #value(type: Type): Value {
    const known = this.#byType.get(type) ?? [];
    if (known.length > 0 && this.#random.chance(60)) return this.#random.pick(known.slice(-12));
    if (this.#random.chance(40)) {
      const slot = this.#readable(type);
      if (slot !== undefined) return this.#push({ name: 'get', type, args: [], slot });
    }
    return this.#push({ name: 'const', type, args: [], bits: randomBits(this.#random, type) });
  }

  #argument(typing: Typing, op: Omit<OpParts, 'args'>): Value {
    switch (typing) {
      case 'T':
        return this.#value(op.type as Type);
      case 'from':
        return this.#value(op.from!);
      case 'lane':
        return this.#value(SHAPES[op.shape!].scalar);
      case 'rm':
        return this.#push({ name: 'const', type: 'i32', args: [], bits: BigInt(this.#random.below(5)) });
      default:
        return this.#value(typing);
    }
  }

  #slot(type: Type) {
    const files = this.#options.files.filter((file) => 8 * file.stride >= WIDTH[type]);
    if (files.length === 0) return undefined;
    const file = this.#random.pick(files);
    return { file, index: this.#random.below(file.count) };
  }

  /** A register that may be read: a sink never is. */
  #readable(type: Type) {
    const slot = this.#slot(type);
    return slot === undefined || slot.index !== slot.file.sink ? slot : { file: slot.file, index: 0 };
  }

  #emitSet(): void {
    const type = this.#random.pick(['i32', 'i64', 'f32', 'f64', 'v128'] as const);
    const slot = this.#slot(type);
    if (slot === undefined) return;
    const value = this.#value(type);
    this.#push({ name: 'set', type, args: [value], slot });
  }

  /** An address: often one used before, or some bytes from it, so that accesses meet. */
  #address(bytes: number): Value {
    const random = this.#random;
    if (this.#addresses.length > 0 && random.chance(40)) {
      const near = random.pick(this.#addresses);
      if (random.chance(40)) return near;
      const distance = BigInt.asUintN(64, BigInt(random.below(33) - 16));
      const offset = this.#push({ name: 'const', type: 'i64', args: [], bits: distance });
      return this.#push({ name: random.pick(['add', 'sub'] as const), type: 'i64', args: [near, offset] });
    }
    const address = this.#freshAddress(bytes);
    this.#addresses.push(address);
    return address;
  }

  /** An address near the window: usually inside it and aligned, sometimes at its edges or anywhere. */
  #freshAddress(bytes: number): Value {
    const { base, size } = this.#window;
    const random = this.#random;
    if (random.chance(5)) return this.#value('i64');
    // Registers hold addresses too, in tests that put them there.
    if (random.chance(20)) {
      const slot = this.#readable('i64');
      if (slot !== undefined) return this.#push({ name: 'get', type: 'i64', args: [], slot });
    }
    const edge = random.chance(15);
    const inside = base + random.below(Math.max(1, size - bytes));
    const at = edge ? base + random.pick([0, size]) + random.below(2 * bytes + 1) - bytes : inside;
    const aligned = random.chance(70) ? at - (at % bytes) : at;
    return this.#push({ name: 'const', type: 'i64', args: [], bits: BigInt.asUintN(64, BigInt(aligned)) });
  }

  #emit(name: OpName): void {
    const row = opRow(name);
    const random = this.#random;
    if (name === 'call') {
      const [helper, parameters] = random.pick(Object.entries(this.#options.helpers ?? {}));
      const args = Array.from({ length: parameters }, () => this.#value('i64'));
      this.#push({ name, type: random.pick(['i64', 'none'] as const), args, helper });
      return;
    }
    const type = row.types.length === 0 ? 'none' : random.pick(row.types);
    const slot = name === 'get' ? this.#readable(type as Type) : undefined;
    if (name === 'get' && slot === undefined) return;
    const again = this.#accessAgain(name, type);
    const head: Omit<OpParts, 'args'> = {
      name,
      type,
      ...this.#attributes(name, type),
      ...(again === undefined ? {} : { width: again.width }),
      ...(slot === undefined ? {} : { slot }),
    };
    const typings = row.args === 'variadic' ? [] : row.args;
    // Rarely taken, so that the rest of the block is reached.
    const condition = name === 'trap_if' && random.chance(90) ? this.#zero() : undefined;
    const args = typings.map((typing, index) => {
      if (index === 0 && row.effect === 'memory') return again?.address ?? this.#address(head.width! / 8);
      return (index === 0 ? condition : undefined) ?? this.#argument(typing, head);
    });
    const op = makeOp({ ...head, args });
    assert(!mayLeave(op) || !this.#written(), 'registers are written last');
    this.#push(op);
    if (name === 'load' || name === 'store') this.#accesses.push({ address: op.args[0]!, width: op.width! });
  }

  /** For some loads and stores: the very place of an earlier one, when the type can have its width. */
  #accessAgain(name: OpName, type: Type | 'none') {
    if ((name !== 'load' && name !== 'store') || this.#accesses.length === 0 || !this.#random.chance(40))
      return undefined;
    const access = this.#random.pick(this.#accesses);
    return accessWidths(name, type as Type).includes(access.width) ? access : undefined;
  }

  #zero(): Value {
    return this.#push({ name: 'const', type: 'i32', args: [], bits: 0n });
  }

  /** Whether the current instruction has written a register. */
  #written(): boolean {
    const { ops } = this.block;
    const start = ops.findLastIndex((op) => op.name === 'insn');
    return ops.slice(start).some((op) => op.name === 'set');
  }

  #attributes(name: OpName, type: Type | 'none'): Attributes {
    const random = this.#random;
    const row = opRow(name);
    const has = (key: keyof Attributes) => row.attributes?.includes(key) === true;
    const attributes: { -readonly [Key in keyof Attributes]: Attributes[Key] } = {};
    if (has('bits')) attributes.bits = randomBits(random, type as Type);
    if (has('width')) attributes.width = random.pick(accessWidths(name, type as Type));
    if (has('shape')) attributes.shape = random.pick(row.shapes!);
    if (has('signed')) {
      const { shape } = attributes;
      const maybe =
        shape === undefined ? name !== 'load' || type === 'i32' || type === 'i64' : SHAPES[shape].laneWidth < 32;
      attributes.signed = maybe && random.chance(50);
    }
    const plain = (name === 'load' || name === 'store') && random.chance(85);
    if (has('order')) attributes.order = plain ? 'none' : random.pick(ORDERS);
    if (has('rmw')) attributes.rmw = random.pick(RMWS);
    if (has('alignment')) attributes.alignment = random.chance(20) ? 'natural' : 'any';
    if (has('from')) attributes.from = random.pick(row.from![type as Type]!);
    if (has('lane')) attributes.lane = random.below(SHAPES[attributes.shape!].lanes);
    if (has('lanes')) attributes.lanes = Array.from({ length: 16 }, () => random.below(32));
    if (has('cause')) attributes.cause = random.below(32);
    if (has('displacement')) attributes.displacement = 2 * (random.below(4096) - 2048);
    if (has('hint')) attributes.hint = random.pick(JUMP_HINTS);
    return attributes;
  }
}
