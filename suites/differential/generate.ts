import { assert } from '../../emulator/check/assert.ts';
import { insertField } from '../../emulator/bits/pattern.ts';
import { EDGE_VALUES, type Random } from '../../emulator/ir/random.ts';
import type { Decoded } from '../../emulator/isa/instruction.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { X } from '../../emulator/isa/riscv/registers.ts';
import type { TableRow } from '../../emulator/isa/table.ts';
import { CODE, CODE_SIZE, type TestCase, WINDOW, WINDOW_SIZE } from './test-case.ts';

/** Rows that a test may hold; `weight` in percent is how often one that is picked is kept. */
interface Choice {
  readonly row: TableRow;
  readonly weight: number;
}

/** What user-mode emulation cannot be compared in, with the reason. */
const EXCLUDED: Readonly<Record<string, string>> = {
  ecall: 'is a system call there',
  ebreak: 'ends the test',
  'c.ebreak': 'ends the test',
  mret: 'is for machine mode',
  sret: 'is for supervisor mode',
  wfi: 'is for machine mode',
  'sfence.vma': 'is for supervisor mode',
};

const FFLAGS = 1;
const FLOAT_CSRS = [FFLAGS, 2, 3] as const;
const LOADS_STORES: Readonly<Record<string, number>> = {
  lb: 1,
  lbu: 1,
  sb: 1,
  lh: 2,
  lhu: 2,
  sh: 2,
  lw: 4,
  lwu: 4,
  sw: 4,
  flw: 4,
  fsw: 4,
  ld: 8,
  sd: 8,
  fld: 8,
  fsd: 8,
};
const EBREAK = 0x0010_0073;
export const NOP = 0x13;
export const C_NOP = 1;
const C_EBREAK = 0x9002;
const JUMPS: ReadonlySet<string> = new Set(['jalr', 'c.jr', 'c.jalr']);
const SP = 2;
const ATTEMPTS = 200;

/** The rows to draw from: those that `includes` says, less the excluded ones. */
export function choices(includes: (row: TableRow) => boolean): Choice[] {
  return (riscv64.rows as readonly TableRow[])
    .filter((row) => EXCLUDED[row.name] === undefined && includes(row))
    .map((row) => {
      // There are eight forms of every atomic operation; barriers and CSR accesses cost most and say least.
      const weight = row.extension === 'A' ? 40 : row.cold === true || row.name.startsWith('fence') ? 20 : 100;
      return { row, weight };
    });
}

/** What the registers that addresses are made from hold; nothing else is ever put into them. */
interface Plan {
  readonly bases: Map<number, bigint>;
  /** Holds an aligned address for atomics. */
  readonly atomic: number;
  /** Holds the address of some instruction, for indirect jumps. */
  readonly jump: number;
  readonly reserved: ReadonlySet<number>;
  /**
   * The one width of load-reserved and store-conditional: whether a pair of unlike widths succeeds is left to implementations
   * (Unprivileged ISA, "Load-Reserved/Store-Conditional Instructions").
   */
  readonly reservation: '.w' | '.d';
}

interface Placed {
  readonly at: number;
  word: number;
  readonly length: number;
  /** A jump, whose target is known when all is laid out: its row, and how many instructions ahead it goes. */
  readonly jump?: { readonly row: TableRow; readonly skip: number };
}

/** A random test of `count` instructions or somewhat fewer: jumps go forward, and memory accesses stay in the window. */
export function randomTest(random: Random, rows: readonly Choice[], count: number): TestCase {
  const x = new BigUint64Array(32);
  const f = new BigUint64Array(32);
  for (let i = 1; i < 32; i++) x[i] = randomInteger(random);
  for (let i = 0; i < 32; i++) f[i] = randomFloat(random);
  const plan = makePlan(random, x);
  const placed: Placed[] = [];
  let at = 0;
  while (placed.length < count && at < CODE_SIZE - 8) {
    const next = randomInstruction(random, rows, plan, at);
    if (next === undefined) continue;
    placed.push(next);
    at += next.length;
  }
  x[plan.jump] = BigInt(CODE + linkJumps(random, placed, at));
  const code = new Uint8Array(CODE_SIZE);
  for (const { at: place, word, length } of placed) for (let i = 0; i < length; i++) code[place + i] = word >>> (8 * i);
  new DataView(code.buffer).setUint32(at, EBREAK, true);
  const window = new Uint8Array(WINDOW_SIZE);
  const view = new DataView(window.buffer);
  for (let i = 0; i < WINDOW_SIZE; i += 8)
    view.setBigUint64(i, random.chance(50) ? randomInteger(random) : randomFloat(random), true);
  // Reserved rounding modes make instructions with a dynamic one illegal.
  const rounding = random.chance(2) ? 5 + random.below(3) : random.below(5);
  return { x, f, fcsr: (rounding << 5) | (random.chance(50) ? 0 : random.below(32)), code, window };
}

function makePlan(random: Random, x: BigUint64Array): Plan {
  const free = [8, 9, 10, 11, 12, 13, 14, 15];
  const take = () => free.splice(random.below(free.length), 1)[0]!;
  const bases = new Map<number, bigint>();
  const middle = WINDOW + WINDOW_SIZE / 2;
  // One in reach of short forms, one that needs large displacements, and perhaps the stack pointer.
  const near = take();
  bases.set(near, BigInt(WINDOW + 8 * random.below(16)));
  const far = take();
  bases.set(far, BigInt(middle + (random.chance(50) ? 1 : -1) * random.below(2000)));
  if (random.chance(60)) bases.set(SP, BigInt(WINDOW + 16 * random.below(8)));
  const atomic = take();
  x[atomic] = BigInt(WINDOW + 8 * random.below(WINDOW_SIZE / 8));
  const jump = take();
  for (const [register, value] of bases) x[register] = value;
  const reserved = new Set([...bases.keys(), atomic, jump]);
  return { bases, atomic, jump, reserved, reservation: random.chance(50) ? '.w' : '.d' };
}

/** An instruction that keeps to the plan, or undefined when that has not worked out for the row picked. */
function randomInstruction(random: Random, rows: readonly Choice[], plan: Plan, at: number): Placed | undefined {
  const { row, weight } = random.pick(rows);
  if (!random.chance(weight)) return undefined;
  if (/^(lr|sc)\./.test(row.mnemonic) && !row.mnemonic.includes(plan.reservation)) return undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const word = randomWord(random, row, plan);
    const bytes = Uint8Array.of(word, word >>> 8, word >>> 16, word >>> 24).subarray(0, row.length);
    const decoded = riscv64.decode(bytes, 0);
    // A special case of the row picked has its own turn.
    if (decoded === undefined || decoded.row !== row) continue;
    const base = row.expandsTo?.(decoded.operands) ?? decoded;
    const { operands } = base;
    const { mnemonic } = base.row;
    if (destinations(base).some((register) => plan.reserved.has(register))) continue;
    const width = LOADS_STORES[mnemonic];
    if (width !== undefined && !inWindow(plan, operands, width)) continue;
    if (base.row.extension === 'A' && operands['rs1'] !== plan.atomic) continue;
    if ('csr' in operands && !FLOAT_CSRS.includes(operands['csr'] as 1)) continue;
    const placed = { at, word, length: row.length };
    if (mnemonic === 'jalr' && operands['rs1'] !== plan.jump) continue;
    if (mnemonic === 'jalr' || 'target' in operands)
      return { ...placed, jump: { row, skip: 1 + random.below(random.chance(70) ? 3 : 8) } };
    return placed;
  }
  return undefined;
}

function randomWord(random: Random, row: TableRow, plan: Plan): number {
  let word = row.match;
  let base: bigint | undefined;
  const addressed = LOADS_STORES[row.mnemonic];
  for (const [name, field] of Object.entries(row.fields)) {
    const kind = row.operands[name]!;
    let raw = random.chance(40) ? random.pick(kind.samples) : Number(random.next() & (2n ** BigInt(field.width) - 1n));
    // Most writes of frm leave a reserved mode behind, at which the test ends.
    if (name === 'csr') raw = random.chance(93) ? FFLAGS : random.pick(FLOAT_CSRS);
    // Few registers, so that results are used.
    else if (kind.file === X && field.width === 5 && random.chance(70)) raw = random.below(16);
    if (addressed !== undefined && name === 'rs1') {
      raw = random.pick([...plan.bases.keys()]);
      base = plan.bases.get(raw);
    }
    if (name === 'rs1q' && /^c\.f?[ls]/.test(row.mnemonic) && random.chance(80))
      raw = random.pick([...plan.bases.keys()]) - 8;
    if ((name === 'rs1' || name === 'rs1Nonzero') && (row.extension === 'A' || JUMPS.has(row.mnemonic)))
      raw = row.extension === 'A' ? plan.atomic : plan.jump;
    word = insertField(word, field, raw);
  }
  const displacement = row.fields['imm'];
  if (base !== undefined && displacement !== undefined) {
    const address = WINDOW + random.below(WINDOW_SIZE - addressed! + 1);
    const aligned = random.chance(70) ? address - (address % addressed!) : address;
    word = insertField(word, displacement, Number(BigInt.asUintN(12, BigInt(aligned) - base)));
  }
  return word;
}

function destinations({ row, operands }: Pick<Decoded, 'row' | 'operands'>): number[] {
  return Object.entries(row.operands).flatMap(([name, kind]) =>
    kind.destination === true && kind.file === X ? [operands[name]!] : [],
  );
}

function inWindow(plan: Plan, operands: Readonly<Record<string, number>>, width: number): boolean {
  const base = plan.bases.get(operands['rs1']!);
  if (base === undefined) return false;
  const address = Number(base) + operands['imm']!;
  return address >= WINDOW && address + width <= WINDOW + WINDOW_SIZE;
}

/**
 * Gives jumps their targets, all ahead: the start of an instruction, or the end. Those that cannot reach one become no-operations.
 * Returns where the jump register points.
 */
function linkJumps(random: Random, placed: readonly Placed[], end: number): number {
  const starts = [...placed.map(({ at }) => at), end];
  const pointed = starts[random.below(starts.length)]!;
  for (const [index, each] of placed.entries()) {
    if (each.jump === undefined) continue;
    const { row, skip } = each.jump;
    const { target, imm } = row.fields;
    const goal = starts[Math.min(index + skip, starts.length - 1)]!;
    if (target !== undefined) each.word = insertField(each.word, target, goal - each.at);
    // The lowest bit of the sum is dropped.
    else if (imm !== undefined && Math.abs(goal - pointed) < 2046)
      each.word = insertField(each.word, imm, goal - pointed + random.below(2));
    else if (imm !== undefined || pointed <= each.at) each.word = each.length === 4 ? NOP : C_NOP;
  }
  return pointed;
}

/** Tests of one instruction, which is the same in all of them: registers that it does not read are zero, as is memory. */
export function instructionTests(random: Random, choice: Choice, count: number): TestCase[] {
  const always = [{ row: choice.row, weight: 100 }];
  let start = new BigUint64Array(32);
  let plan = makePlan(random, start);
  let placed = randomInstruction(random, always, plan, 0);
  // Not every plan has room for every instruction: the stack pointer need not be one to load from.
  for (let attempt = 0; placed === undefined && attempt < ATTEMPTS; attempt++) {
    start = new BigUint64Array(32);
    plan = makePlan(random, start);
    placed = randomInstruction(random, always, plan, 0);
  }
  assert(placed !== undefined, `${choice.row.name} can be placed`);
  start[plan.jump] = BigInt(CODE + linkJumps(random, [placed], placed.length + 2 * random.below(30)));
  const code = new Uint8Array(CODE_SIZE);
  const view = new DataView(code.buffer);
  // Wherever a jump goes, the test ends.
  for (let at = 0; at < CODE_SIZE; at += 2) view.setUint16(at, C_EBREAK, true);
  for (let i = 0; i < placed.length; i++) code[i] = placed.word >>> (8 * i);
  const decoded = riscv64.decode(code, 0)!;
  const { row, operands } = choice.row.expandsTo?.(decoded.operands) ?? decoded;
  const sources = Object.entries(row.operands).filter(([, { file, destination }]) => file && destination !== true);
  return Array.from({ length: count }, () => {
    const x = new BigUint64Array(32);
    const f = new BigUint64Array(32);
    for (const [name, { file }] of sources) {
      const index = operands[name]!;
      if (file !== X) f[index] = floatFor(random, row.mnemonic);
      else if (index !== 0) x[index] = plan.reserved.has(index) ? start[index]! : randomInteger(random);
    }
    const window = new Uint8Array(WINDOW_SIZE);
    const width = row.extension === 'A' ? 8 : LOADS_STORES[row.mnemonic];
    if (width !== undefined) {
      const address = Number(x[operands['rs1']!]!) + (operands['imm'] ?? 0) - WINDOW;
      for (let i = address; i < Math.min(address + width, WINDOW_SIZE); i++) window[i] = random.below(256);
    }
    const dynamic = operands['rm'] === 7 || operands['rmExact'] === 7;
    return { x, f, fcsr: dynamic || 'csr' in operands ? random.below(5) << 5 : 0, code, window };
  });
}

/** What an instruction of that name reads: its last suffix tells. */
function floatFor(random: Random, mnemonic: string): bigint {
  if (random.chance(8)) return randomFloat(random);
  const single = /(\.[sw]|sw)$/.test(mnemonic);
  if (random.chance(50)) return single ? BOX | random.pick(EDGE_VALUES.f32) : random.pick(EDGE_VALUES.f64);
  return single ? BOX | nearOne(random, 32) : nearOne(random, 64);
}

function randomInteger(random: Random): bigint {
  const roll = random.below(100);
  if (roll < 35) return random.pick(EDGE_VALUES.i64);
  if (roll < 45) return BigInt.asUintN(64, BigInt.asIntN(32, random.pick(EDGE_VALUES.i32)));
  if (roll < 55) return BigInt(random.below(70));
  if (roll < 60) return BigInt.asUintN(64, -BigInt(random.below(70)));
  if (roll < 65) return 1n << BigInt(random.below(64));
  // A random number of random bits, so that all magnitudes occur.
  if (roll < 80) return random.next() >> BigInt(random.below(64));
  return random.next();
}

const BOX = 0xffff_ffff_0000_0000n;

function randomFloat(random: Random): bigint {
  const roll = random.below(100);
  if (roll < 25) return BOX | random.pick(EDGE_VALUES.f32);
  if (roll < 35) return BOX | (random.next() & 0xffff_ffffn);
  if (roll < 45) return BOX | nearOne(random, 32);
  if (roll < 70) return random.pick(EDGE_VALUES.f64);
  if (roll < 80) return random.next();
  if (roll < 95) return nearOne(random, 64);
  // Not boxed, with a single's bits below.
  return (random.next() & BOX) | random.pick(EDGE_VALUES.f32);
}

/** A float whose exponent is within 32 of that of 1, so that sums and products round rather than vanish or overflow. */
function nearOne(random: Random, width: 32 | 64): bigint {
  const [fraction, bias] = width === 32 ? [23n, 127] : [52n, 1023];
  const exponent = BigInt(bias - 32 + random.below(65));
  const bits = random.next() & ((1n << fraction) - 1n);
  // Few significant bits half of the time: exact results and ties.
  const significant = random.chance(50) ? bits : bits & ~((1n << (fraction - BigInt(random.below(8)))) - 1n);
  return (random.chance(50) ? 1n << BigInt(width - 1) : 0n) | (exponent << fraction) | significant;
}
