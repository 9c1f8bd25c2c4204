import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluate, type Outcome } from '../ir/evaluate.ts';
import { LinearMemory } from '../ir/evaluator-memory.ts';
import type { Block } from '../ir/block.ts';
import { OP_NAMES, opRow, type OpName } from '../ir/op.ts';
import { printBlock } from '../ir/print.ts';
import { Random, randomBits, randomBlock } from '../ir/random.ts';
import type { RegisterFile } from '../ir/type.ts';
import type { Isa } from '../isa/instruction.ts';
import {
  CODE_LINE,
  CODE_LINES,
  GUEST,
  PAGE_SIZE,
  PERMISSION,
  Permission,
  STATE,
  STATE_SIZE,
} from '../layout/memory-map.ts';
import { ExitReason, REGISTERS, StateOffset } from '../layout/state.ts';
import { testSeed } from '../bits/float-operands.ts';
import { compileBlock, instantiateBlock } from './block.ts';
import { exactFloat, helperCaller } from './host-imports.ts';

const GUEST_SIZE = 65536;
const WINDOW = { base: 0x1000, size: 0x4000 };

const files: readonly RegisterFile[] = [
  { name: 'x', offset: REGISTERS, stride: 8, count: 8, type: 'i64' },
  { name: 'v', offset: REGISTERS + 64, stride: 16, count: 4, type: 'v128' },
  { name: 'f', offset: REGISTERS + 128, stride: 8, count: 4, type: 'f64' },
];

/** Helpers of a made-up ISA: one computes, one traps when its argument is odd. */
const isa: Isa = {
  name: 'riscv64',
  files,
  rows: [],
  alignment: 2,
  maximumLength: 4,
  illegalInstruction: 2,
  decode: () => undefined,
  canonical: (decoded) => decoded,
  decodeExecuted: () => undefined,
  disassemble: () => '',
  assemble: () => ({ error: 'no assembler' }),
  helpers: {
    mix: {
      doc: 'Sum of the arguments, one of them shifted.',
      parameters: 2,
      call: (_context, [a, b]) => ({ result: a! + (b! << 3n) }),
    },
    odd: {
      doc: 'Traps on odd arguments.',
      parameters: 1,
      call: (_context, [a]) => (a! % 2n === 1n ? { trap: 9, value: a! } : { result: a! / 2n }),
    },
  },
};

class Machine {
  readonly memory = new WebAssembly.Memory({ initial: (GUEST + GUEST_SIZE) / 65536 });
  readonly state = new DataView(this.memory.buffer, STATE, STATE_SIZE);
  readonly guest = new Uint8Array(this.memory.buffer, GUEST, GUEST_SIZE);
  readonly compared = [
    new Uint8Array(this.memory.buffer, STATE + REGISTERS, 256),
    new Uint8Array(this.memory.buffer, GUEST + 0x800, 0x5000),
  ];

  /** Pages from 0x1000: read-write, read-write with code, read-only, read-write; the rest is unmapped. */
  reset(seed: number): void {
    const random = new Random(seed);
    const permission = new Uint8Array(this.memory.buffer, PERMISSION, GUEST_SIZE / 4096);
    permission.fill(0);
    const both = Permission.read | Permission.write;
    permission.set([both, both | Permission.code, Permission.read, both], 1);
    // The second half of the page with code has some.
    const page = 2 * PAGE_SIZE;
    new Uint8Array(this.memory.buffer, CODE_LINES).fill(
      1,
      (page + PAGE_SIZE / 2) / CODE_LINE,
      (page + PAGE_SIZE) / CODE_LINE,
    );
    for (let at = 0; at < STATE_SIZE; at += 8)
      this.state.setBigUint64(at, at < REGISTERS ? 0n : randomBits(random, 'i64'), true);
    this.state.setUint32(StateOffset.floatFlags, random.chance(50) ? random.below(32) & ~1 : random.below(32), true);
    this.state.setBigInt64(StateOffset.reservation, -1n, true);
    const words = new BigUint64Array(this.memory.buffer, GUEST + WINDOW.base, 0x4000 / 8);
    for (let at = 0; at < words.length; at += 61) words[at] = random.next();
    if (random.chance(30)) this.state.setBigInt64(StateOffset.reservation, BigInt(WINDOW.base), true);
  }
}

const reference = new Machine();
const translated = new Machine();
let codeWrites = 0;

function runReference(block: Block): Outcome {
  return evaluate(block, {
    state: reference.state,
    memory: new LinearMemory(reference.memory.buffer, GUEST_SIZE),
    helper: (name, args) => isa.helpers[name]!.call(undefined as never, args),
  });
}

function runTranslated(block: Block): Outcome {
  const compiled = compileBlock(isa, block, { guestSize: GUEST_SIZE });
  const { state } = translated;
  const run = instantiateBlock(compiled, {
    memory: translated.memory,
    helper: helperCaller(isa, { state } as never),
    float: exactFloat(state, compiled.floatOps),
    codeWritten: () => {
      codeWrites++;
    },
  });
  const reason = run();
  const pc = state.getBigUint64(StateOffset.pc, true);
  const retired = Number(state.getBigUint64(StateOffset.retired, true));
  const cause = state.getInt32(StateOffset.cause, true);
  const value = state.getBigUint64(StateOffset.value, true);
  if (reason === ExitReason.trap) return { kind: 'trap', cause, value, pc, retired };
  if (reason === ExitReason.fault) {
    return {
      kind: 'fault',
      fault: cause as never,
      address: value,
      width: state.getInt32(StateOffset.faultWidth, true),
      pc,
      retired,
    };
  }
  return { kind: 'next', pc, retired };
}

/** Runs one random block both ways from one image; everything that a guest can see must agree. */
function compare(seed: number, ops?: readonly OpName[]): void {
  const random = new Random(seed);
  const block = randomBlock(random, {
    isa: isa.name,
    files,
    helpers: { mix: 2, odd: 1 },
    window: WINDOW,
    ...(ops === undefined ? {} : { ops }),
  });
  reference.reset(seed);
  translated.reset(seed);
  const expected = runReference(block);
  const actual = runTranslated(block);
  const what = () => `seed ${seed}\n${printBlock(block)}`;
  const normal = expected.kind === 'jump' ? { ...expected, kind: 'next' } : expected;
  assert.deepEqual(actual, normal, what());
  assert.equal(
    translated.state.getUint32(StateOffset.floatFlags, true),
    reference.state.getUint32(StateOffset.floatFlags, true),
    `flags, ${what()}`,
  );
  for (const offset of [StateOffset.reservation, StateOffset.reserved]) {
    assert.equal(
      translated.state.getBigInt64(offset, true),
      reference.state.getBigInt64(offset, true),
      `reservation, ${what()}`,
    );
  }
  for (const [index, bytes] of translated.compared.entries()) {
    assert.ok(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).equals(reference.compared[index]!),
      `registers or memory differ, ${what()}`,
    );
  }
}

const base = testSeed();

test('random blocks over all ops do what the evaluator says', (context) => {
  context.diagnostic(`SEED=${base}`);
  for (let seed = base; seed < base + 1500; seed++) compare(seed);
  assert.ok(codeWrites > 0, 'stores to code pages are reported');
});

test('random blocks of floating-point ops do what the evaluator says', (context) => {
  context.diagnostic(`SEED=${base}`);
  const ops = OP_NAMES.filter(
    (name) => opRow(name).effect === 'flags' || ['fclass', 'bitcast', 'const', 'get', 'set'].includes(name),
  );
  for (let seed = base; seed < base + 1500; seed++) compare(seed, ops);
});

test('random blocks of memory ops do what the evaluator says', (context) => {
  context.diagnostic(`SEED=${base}`);
  const ops = OP_NAMES.filter((name) => opRow(name).effect === 'memory');
  for (let seed = base; seed < base + 1000; seed++) compare(seed, ops);
});

test('every op has a lowering', () => {
  const lacking = OP_NAMES.filter((name) => {
    for (let seed = 0; seed < 60; seed++) {
      const block = randomBlock(new Random(seed), {
        isa: isa.name,
        files,
        helpers: { mix: 2, odd: 1 },
        ops: [name, 'const'],
      });
      if (!block.ops.some((op) => op.name === name)) continue;
      compileBlock(isa, block, { guestSize: GUEST_SIZE });
      return false;
    }
    return !['insn', 'field', 'set'].includes(name);
  });
  assert.deepEqual(lacking, []);
});
