import assert from 'node:assert/strict';
import { test } from 'node:test';
import { riscv64 } from '../../isa/riscv/index.ts';
import { X } from '../../isa/riscv/registers.ts';
import { optimize } from '../../pass/pipeline.ts';
import type { AccessKnowledge } from './access-plan.ts';
import { Discovery } from './discover.ts';
import { analyseFlow } from './flow-graph.ts';
import { type LoopKnowledge, planGuards } from './loop-guard.ts';
import type { RegionNode } from './node.ts';
import { wholeCode } from './straight-run.ts';

const CODE = 0x1000;
const RANGE = { low: 0x8000, high: 0x2_0000 };
const CONTEXT = { knownIn: new Map<string, bigint>(), ordinaryMemory: true, writableIsReadable: true };

/** The region of code whose last instruction jumps back to its first while a2 is not zero. */
function region(lines: readonly string[]): RegionNode[] {
  const bytes: number[] = [];
  for (const line of [...lines, 'addi a2,a2,-1', `bne a2,zero,0x${CODE.toString(16)}`]) {
    const encoded = riscv64.assemble(line, BigInt(CODE + bytes.length));
    assert.ok(!('error' in encoded), line);
    bytes.push(...encoded);
  }
  const guest = new Uint8Array(2 * CODE);
  guest.set(bytes, CODE);
  const part = wholeCode(guest.length, (pc) => {
    const decoded = pc >= CODE && pc < CODE + bytes.length ? riscv64.decode(guest, pc) : undefined;
    return decoded && riscv64.canonical(decoded);
  });
  const view = {
    partAt: () => part,
    jumpTargets: () => [],
    holdsCall: () => false,
    blockOf: (_pc: number, _end: number, lift: () => RegionNode['block']) => ({
      block: optimize(lift(), CONTEXT),
      usesModes: false,
    }),
  };
  return new Discovery(riscv64, view, CODE).nodes();
}

function plan(
  lines: readonly string[],
  { turns = 100, gain = 1, distrusted = false, refused = false, translated = false } = {},
) {
  const knowledge: AccessKnowledge & LoopKnowledge = {
    observed: () => RANGE.low,
    register: () => undefined,
    around: (_address, write) => ({ ...RANGE, write }),
    distrusted: () => distrusted,
    wanders: () => false,
    turns: () => turns,
  };
  const nodes = region(lines);
  const guards = planGuards(
    nodes,
    analyseFlow(nodes, [0]),
    knowledge,
    new Set(refused ? [CODE] : []),
    gain,
    translated,
  );
  const [guard, ...others] = guards.values();
  assert.deepEqual(others, []);
  return guard;
}

const register = (number: number) => X.offset + number * X.stride;
const COPY = ['ld a3,0(a0)', 'sd a3,8(a1)', 'addi a0,a0,16', 'addi a1,a1,-8'];

test('pointers that move on by constants are guarded, with what a turn accesses', () => {
  const guard = plan(COPY)!;
  assert.deepEqual(guard.pointers, [
    { register: register(10), low: 0, high: 8, stride: 16, write: false, range: { ...RANGE, write: false } },
    { register: register(11), low: 8, high: 16, stride: -8, write: true, range: { ...RANGE, write: true } },
  ]);
  assert.deepEqual([guard.covered.size, guard.least], [2, 6]);
});

test('a turn that may leave code out counts its shortest way, and moves at most so far', () => {
  const guard = plan(['ld a3,0(a0)', `beq a3,zero,0x${(CODE + 12).toString(16)}`, 'addi a0,a0,8', 'ld a4,0(a0)'])!;
  const [pointer] = guard.pointers;
  assert.deepEqual([pointer!.low, pointer!.high, pointer!.stride, guard.least], [0, 16, 8, 5]);
});

test('a masked index is as far as it can be, and a register set from a pointer is checked with it', () => {
  const table = plan(['andi a3,a4,63', 'slli a3,a3,2', 'add a3,a3,a5', 'lw a4,4(a3)'])!;
  assert.deepEqual(
    table.pointers.map(({ low, high, stride }) => [low, high, stride]),
    [[4, 4 + 4 * 63 + 4, 0]],
  );
  const rotated = plan(['sd a4,0(a5)', 'addi a5,a0,24', 'addi a0,a0,8'])!;
  assert.deepEqual(
    rotated.pointers.map(({ register, low, high, stride }) => [register, low, high, stride]),
    [
      [register(15), 0, 8, 0],
      [register(10), 24, 40, 8],
    ],
  );
});

test('loops are left alone that a guard does not suit or does not pay for', () => {
  assert.equal(plan(['ld a0,0(a0)']), undefined, 'a pointer that is loaded');
  assert.equal(plan(['ld a3,0(a0)', 'add a0,a0,a4']), undefined, 'a pointer that moves by a register');
  assert.equal(plan(COPY, { turns: 2 }), undefined, 'few turns');
  assert.equal(plan(COPY, { gain: Infinity }), undefined, 'a policy without guards');
  assert.equal(plan(COPY, { refused: true }), undefined, 'one that was refused too often');
  const long = [...COPY, ...Array.from({ length: 40 }, () => 'xor a6,a6,a3')];
  assert.equal(plan([...long, 'xor a2,a2,a3']), undefined, 'much else to do, for nobody knows how often');
  assert.deepEqual([plan(long)!.count!.step, plan(long)!.count!.relation], [-1, 'ne']);
  assert.equal(
    plan(['sd a3,8(a1)', 'addi a1,a1,-8'], { distrusted: true }),
    undefined,
    'pages are looked up ahead only',
  );
  assert.equal(plan(['ld a3,0(a0)', 'addi a0,a0,8'], { distrusted: true })!.pointers[0]!.range, undefined);
});

test('behind address translation pointers are guarded within their pages, and only where one leads to an access', () => {
  const guard = plan(COPY, { translated: true })!;
  assert.deepEqual(
    guard.pointers.map(({ low, high, stride, write, range }) => [low, high, stride, write, range]),
    [
      [0, 8, 16, false, undefined],
      [8, 16, -8, true, undefined],
    ],
  );
  assert.deepEqual([...guard.pointerOf.values()], [0, 1]);
  const rotated = plan(['sd a4,0(a5)', 'addi a5,a0,24', 'addi a0,a0,8', 'ld a3,0(a0)'], { translated: true, gain: 0 })!;
  assert.deepEqual([rotated.pointers.map((pointer) => pointer.register), rotated.covered.size], [[register(10)], 1]);
  const column = ['ld a3,0(a0)', 'addi a0,a0,1024'];
  assert.equal(plan(column, { translated: true, gain: 0 }), undefined, 'a page lasts for few turns');
  assert.notEqual(plan(column, { gain: 0 }), undefined);
  const table = ['andi a3,a4,1023', 'slli a3,a3,2', 'add a3,a3,a5', 'lw a4,0(a3)'];
  assert.equal(plan(table, { translated: true, gain: 0 }), undefined, 'a table hardly lies in one page');
  assert.notEqual(plan(table, { gain: 0 }), undefined);
});
