import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { Block } from '../ir/block.ts';
import { evaluate, type Environment, type Outcome } from '../ir/evaluate.ts';
import type { EvaluatorMemory } from '../ir/evaluator-memory.ts';
import { printBlock } from '../ir/print.ts';
import { type Random, randomBits } from '../ir/random.ts';
import { type RegisterFile, type Type, WIDTH } from '../ir/type.ts';
import { verify } from '../ir/verify.ts';
import { StateOffset } from '../layout/state.ts';
import { type PassContext, slotName } from './pass.ts';

const PAGE = 4096;
const STATE_SIZE = 0x1000;

/** Where the guest memory of trials begins, and its pages: everything allowed, only reading, only writing. */
export const WINDOW = { base: 0x2000, size: 3 * PAGE } as const;
const PAGES = [
  { read: true, write: true },
  { read: true, write: false },
  { read: false, write: true },
] as const;

/** Few pages at WINDOW. `writableIsReadable`: the third page may be read too. */
class TrialMemory implements EvaluatorMemory {
  readonly bytes: Uint8Array;
  readonly #writableIsReadable: boolean;

  constructor(bytes: Uint8Array, writableIsReadable: boolean) {
    this.bytes = bytes;
    this.#writableIsReadable = writableIsReadable;
  }

  load(address: bigint, count: number): bigint | undefined {
    const at = this.#place(address, count, ({ read, write }) => read || (write && this.#writableIsReadable));
    if (at === undefined) return undefined;
    let value = 0n;
    for (let byte = count - 1; byte >= 0; byte--) value = (value << 8n) | BigInt(this.bytes[at + byte]!);
    return value;
  }

  store(address: bigint, count: number, value: bigint): boolean {
    const at = this.#place(address, count, ({ write }) => write);
    if (at === undefined) return false;
    for (let byte = 0; byte < count; byte++) this.bytes[at + byte] = Number((value >> BigInt(8 * byte)) & 0xffn);
    return true;
  }

  writable(address: bigint, count: number): boolean {
    return this.#place(address, count, ({ write }) => write) !== undefined;
  }

  #place(address: bigint, count: number, allowed: (page: (typeof PAGES)[number]) => boolean): number | undefined {
    const at = Number(address) - WINDOW.base;
    if (!(at >= 0 && at + count <= WINDOW.size)) return undefined;
    const first = PAGES[Math.floor(at / PAGE)]!;
    const last = PAGES[Math.floor((at + count - 1) / PAGE)]!;
    return allowed(first) && allowed(last) ? at : undefined;
  }
}

/** Registers and memory that a block starts from. */
export interface Start {
  readonly state: Uint8Array;
  readonly memory: Uint8Array;
}

/** Random registers, a good part of them addresses, and random memory. */
export function randomStart(random: Random, files: readonly RegisterFile[]): Start {
  const state = new Uint8Array(STATE_SIZE);
  const view = new DataView(state.buffer);
  for (const file of files) {
    for (let index = 0; index < file.count; index++) {
      const at = file.offset + file.stride * index;
      if (file.stride === 4) view.setUint32(at, Number(randomRegister(random, file.type)), true);
      for (let offset = 0; offset + 8 <= file.stride; offset += 8) {
        view.setBigUint64(at + offset, randomRegister(random, file.type), true);
      }
    }
  }
  view.setUint32(StateOffset.floatFlags, random.below(32), true);
  view.setUint32(StateOffset.floatRounding, random.chance(80) ? 0 : random.below(8), true);
  view.setBigInt64(StateOffset.reservation, -1n, true);
  const words = new BigUint64Array(WINDOW.size / 8);
  // Some of the bytes zero: the one random word masks the other.
  for (let index = 0; index < words.length; index++) {
    const bits = random.next();
    words[index] = bits & ((bits >> 8n) | (bits << 56n));
  }
  return { state, memory: new Uint8Array(words.buffer) };
}

function randomRegister(random: Random, type: Type): bigint {
  // Modes and flags: mostly off, so that code is not left at once.
  if (type === 'i32') return random.chance(80) ? 0n : BigInt(random.below(8));
  if (type !== 'i64') return BigInt.asUintN(64, randomBits(random, type === 'v128' ? 'i64' : type));
  if (random.chance(40)) return BigInt(WINDOW.base + 8 * random.below(WINDOW.size / 8));
  return random.chance(30)
    ? BigInt.asUintN(64, BigInt.asIntN(32, randomBits(random, 'i32')))
    : randomBits(random, 'i64');
}

interface End {
  readonly outcome: Outcome;
  readonly state: Uint8Array;
  readonly memory: Uint8Array;
  /** Helper calls in order, with what they saw. */
  readonly calls: readonly string[];
}

/** What evaluating the block from the start leaves. A helper called `h` with its arguments changes the first register of each file. */
function runFrom(block: Block, start: Start, context: PassContext, files: readonly RegisterFile[]): End {
  const state = start.state.slice();
  const memory = new TrialMemory(start.memory.slice(), context.writableIsReadable === true);
  const view = new DataView(state.buffer);
  const calls: string[] = [];
  const helper: Environment['helper'] = (name, args, retired) => {
    calls.push(`${name}(${args.join()}) after ${retired}: ${visible(state, files)}`);
    const sum = args.reduce((a, b) => a * 31n + b, 7n);
    for (const file of files) view.setUint8(file.offset, Number(sum & 0xffn));
    view.setUint32(StateOffset.floatFlags, Number(sum & 0x1fn), true);
    memory.store(BigInt(WINDOW.base) + (sum & 0x38n), 8, sum);
    return sum % 16n === 3n ? { trap: 11, value: sum } : { result: sum };
  };
  const outcome = evaluate(block, { state: view, memory, helper });
  return { outcome, state, memory: memory.bytes, calls };
}

/** All registers but sinks as text. */
function visible(state: Uint8Array, files: readonly RegisterFile[]): string {
  return Buffer.from(withoutSinks(state, files)).toString('base64');
}

function withoutSinks(state: Uint8Array, files: readonly RegisterFile[]): Uint8Array {
  const seen = state.slice();
  for (const { sink, offset, stride } of files) {
    if (sink !== undefined) seen.fill(0, offset + sink * stride, offset + (sink + 1) * stride);
  }
  return seen;
}

/**
 * Fails unless both blocks do the same from the start: outcome, memory, calls, and registers but for those that `deadOut` gives up after a
 * normal end. `what` goes in front of the message.
 */
export function assertSame(
  before: Block,
  after: Block,
  start: Start,
  options: { readonly context: PassContext; readonly files: readonly RegisterFile[]; readonly what: string },
): Outcome {
  const { context, files, what } = options;
  const blame = () => `${what}\n${printBlock(before)}becomes\n${printBlock(after)}`;
  const problems = verify(after);
  if (problems.length > 0) assert.deepEqual(problems, [], blame());
  const expected = runFrom(before, start, context, files);
  const actual = runFrom(after, start, context, files);
  // The message is long to make: only when it is needed.
  if (!isDeepStrictEqual(actual.outcome, expected.outcome)) {
    assert.deepEqual(actual.outcome, expected.outcome, blame());
  }
  if (!isDeepStrictEqual(actual.calls, expected.calls)) assert.deepEqual(actual.calls, expected.calls, blame());
  const ended = expected.outcome.kind === 'next' || expected.outcome.kind === 'jump';
  for (const [one, other, name] of [
    [seen(expected.state, ended, context, files), seen(actual.state, ended, context, files), 'registers'],
    [expected.memory, actual.memory, 'memory'],
  ] as const) {
    if (Buffer.compare(one, other) === 0) continue;
    const at = one.findIndex((byte, index) => byte !== other[index]);
    assert.fail(`${name} differ at 0x${at.toString(16)}: ${one[at]} became ${other[at]}, ${blame()}`);
  }
  return expected.outcome;
}

function seen(state: Uint8Array, ended: boolean, context: PassContext, files: readonly RegisterFile[]): Uint8Array {
  const bytes = withoutSinks(state, files);
  if (!ended || context.deadOut === undefined) return bytes;
  for (const file of files) {
    for (let index = 0; index < file.count; index++) {
      const at = file.offset + file.stride * index;
      if (context.deadOut.has(slotName({ file, index }))) bytes.fill(0, at, at + file.stride);
    }
  }
  return bytes;
}

/** A context that says more or less, and the truth about the start. Some registers may be dead. */
export function randomContext(random: Random, files: readonly RegisterFile[], start: Start): PassContext {
  const view = new DataView(start.state.buffer);
  const known = new Map<string, bigint>();
  for (const file of random.chance(30) ? files : []) {
    for (let index = 0; index < file.count; index++) {
      if (!random.chance(30) || file.type === 'v128') continue;
      const at = file.offset + file.stride * index;
      const bits = file.stride === 4 ? BigInt(view.getUint32(at, true)) : view.getBigUint64(at, true);
      known.set(slotName({ file, index }), BigInt.asUintN(WIDTH[file.type], bits));
    }
  }
  const slots = files.flatMap((file) => Array.from({ length: file.count }, (_, index) => slotName({ file, index })));
  return {
    ...(random.chance(50) ? { deadOut: new Set(slots.filter(() => random.chance(30))) } : {}),
    ...(known.size > 0 ? { knownIn: known } : {}),
    ordinaryMemory: random.chance(70),
    writableIsReadable: random.chance(50),
    floatOpsStay: random.chance(50),
  };
}
