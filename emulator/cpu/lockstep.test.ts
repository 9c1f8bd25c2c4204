import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { insertField } from '../bits/pattern.ts';
import { Builder } from '../ir/builder.ts';
import { evaluate } from '../ir/evaluate.ts';
import { LinearMemory } from '../ir/evaluator-memory.ts';
import { Random, randomBits } from '../ir/random.ts';
import type { RegisterFile } from '../ir/type.ts';
import type { HelperContext } from '../isa/instruction.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { F, PRIVILEGE, Privilege, X } from '../isa/riscv/registers.ts';
import type { TableRow } from '../isa/table.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind, REGISTERS, StateOffset } from '../layout/state.ts';
import { COMMON_PAIRS } from '../tier/interpreter/pairs.ts';
import { Vcpu } from './vcpu.ts';

const GUEST_SIZE = 65536;
/** Two pages of code, the second one writable too, then two of data and one to read only; nothing else is mapped. */
const CODE = 0x1000;
const CODE_SIZE = 2 * PAGE_SIZE;
const DATA = 0x4000;
const { read, write, execute } = Permission;
const PAGES = [0, read | execute, read | write | execute, 0, read | write, read | write, read, 0];
const RESULT_OFFSETS = [
  StateOffset.floatFlags,
  StateOffset.floatRounding,
  StateOffset.reservation,
  StateOffset.reserved,
];

class Image {
  readonly memory = new WebAssembly.Memory({ initial: (GUEST + GUEST_SIZE) / 65536 });
  readonly state = new DataView(this.memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
  readonly guest = new Uint8Array(this.memory.buffer, GUEST, GUEST_SIZE);

  load(other: { readonly state: Uint8Array; readonly guest: Uint8Array }): void {
    new Uint8Array(this.memory.buffer, STATE, STATE_SIZE).set(other.state);
    this.guest.set(other.guest);
    const permission = new Uint8Array(this.memory.buffer, PERMISSION, GUEST_SIZE / PAGE_SIZE);
    permission.fill(0);
    permission.set(PAGES);
  }
}

const oracle = new Image();
const subject = new Image();
const rows = riscv64.rows as readonly TableRow[];

/** Rows by the interpreter's name for what they execute as: `addi.2` is any compressed form of ADDI. */
const rowsByKey = new Map<string, TableRow[]>();
for (const row of rows) {
  const operands = Object.fromEntries(
    Object.entries(row.operands).map(([name, { samples, decode }]) => [name, decode(samples.at(-1)!)]),
  );
  const key = `${row.expandsTo?.(operands).row.name ?? row.name}.${row.length}`;
  const known = rowsByKey.get(key);
  if (known === undefined) rowsByKey.set(key, [row]);
  else known.push(row);
}

/** Two neighbours that the interpreter runs as a pair, or one instruction of any kind. */
function randomInstructions(random: Random): { word: number; length: number }[] {
  if (random.chance(40)) return [randomInstruction(random, random.pick(rows))];
  const pair = random.pick(COMMON_PAIRS.riscv64!);
  return pair.split(' ').map((key) => {
    const [, name] = /^(.*\.[24])(?:\..*)?$/.exec(key)!;
    return randomInstruction(random, random.pick(rowsByKey.get(name!)!));
  });
}

function randomInstruction(random: Random, row: TableRow): { word: number; length: number } {
  let word = row.match;
  for (const [name, field] of Object.entries(row.fields)) {
    const kind = row.operands[name]!;
    let raw = random.chance(60)
      ? random.pick(kind.samples)
      : Number(random.next() % 2n ** BigInt(Math.min(field.width, 31)));
    // Jumps that stay near, and few registers, so that values meet.
    if (kind.kind === 'target') raw = Number(BigInt.asUintN(field.width, BigInt(2 * (random.below(60) - 20))));
    if (kind.file === X && field.width === 5) raw = random.pick([0, 1, 2, 3, 10, 11, 12, 13, 14, 15]);
    if (kind.legal?.(raw) === false) raw = kind.samples[0]!;
    word = insertField(word, field, raw);
  }
  return { word: word >>> 0, length: row.length };
}

/** A register value that often is a useful address. */
function randomRegister(random: Random): bigint {
  if (random.chance(60)) return BigInt(DATA + random.below(3 * PAGE_SIZE));
  if (random.chance(30)) return BigInt(CODE + random.below(CODE_SIZE));
  if (random.chance(20))
    return BigInt(
      random.pick([DATA, DATA + PAGE_SIZE, DATA + 2 * PAGE_SIZE, DATA + 3 * PAGE_SIZE, CODE + CODE_SIZE]) -
        random.below(9),
    );
  return randomBits(random, 'i64');
}

function randomImage(random: Random) {
  const guest = new Uint8Array(GUEST_SIZE);
  for (let at = CODE; at < CODE + CODE_SIZE;) {
    for (const { word, length } of randomInstructions(random)) {
      for (let byte = 0; byte < length && at < CODE + CODE_SIZE; byte++) guest[at++] = word >>> (8 * byte);
    }
  }
  for (let at = DATA; at < DATA + 3 * PAGE_SIZE; at++) guest[at] = random.chance(70) ? random.below(256) : 0;
  const state = new Uint8Array(STATE_SIZE);
  const view = new DataView(state.buffer);
  for (let index = 1; index < 32; index++) view.setBigUint64(X.offset + 8 * index, randomRegister(random), true);
  for (let index = 0; index < 32; index++) {
    const single = 0xffff_ffff_0000_0000n | randomBits(random, 'f32');
    view.setBigUint64(F.offset + 8 * index, random.chance(50) ? single : randomBits(random, 'f64'), true);
  }
  view.setUint32(StateOffset.floatRounding, random.chance(70) ? 0 : random.below(8), true);
  view.setUint32(StateOffset.floatFlags, random.chance(50) ? 1 : random.below(32), true);
  view.setBigInt64(StateOffset.reservation, -1n, true);
  view.setUint32(PRIVILEGE.offset, random.chance(50) ? Privilege.user : Privilege.machine, true);
  return { guest, state };
}

type End = readonly [kind: string, cause?: number, value?: bigint];

/** One instruction of the oracle: pc moves on, or an exit is given. */
function oracleStep(retired: number): End {
  const { state } = oracle;
  const pc = state.getBigUint64(StateOffset.pc, true);
  // No RISC-V instruction sets an odd pc; whoever else does gets a fetch fault.
  if (pc % 2n === 1n) return ['fault', FaultKind.fetch, pc];
  const bytes = fetchable(pc);
  const decoded = riscv64.decode(bytes, 0);
  if (decoded === undefined) {
    if (bytes.length < riscv64.maximumLength) return ['fault', FaultKind.fetch, pc + BigInt(bytes.length)];
    const short = (bytes[0]! & 3) !== 3;
    return [
      'trap',
      riscv64.illegalInstruction,
      BigInt(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)) & (short ? 0xffffn : 0xffff_ffffn),
    ];
  }
  const builder = new Builder(riscv64.name);
  const { row, operands } = riscv64.canonical(decoded);
  builder.beginInstruction(pc, decoded.length);
  row.lift(builder, operands);
  const count = () => BigInt(retired);
  const context: HelperContext = { state, retired: count, time: count, flushCode: () => {} };
  const outcome = evaluate(builder.block, {
    state,
    memory: new LinearMemory(oracle.memory.buffer, GUEST_SIZE),
    helper: (name, args) => riscv64.helpers[name]!.call(context, args),
  });
  if (outcome.kind === 'trap') return ['trap', outcome.cause, outcome.value];
  if (outcome.kind === 'fault') return ['fault', outcome.fault, outcome.address];
  state.setBigUint64(StateOffset.pc, outcome.pc, true);
  return ['on'];
}

function fetchable(pc: bigint): Uint8Array {
  if (pc >= BigInt(GUEST_SIZE)) return new Uint8Array(0);
  const start = Number(pc);
  let end = start;
  while (end < start + 4 && ((PAGES[Math.floor(end / PAGE_SIZE)] ?? 0) & execute) !== 0) end++;
  return oracle.guest.slice(start, end);
}

function subjectEnd(vcpu: Vcpu, reason: ExitReason): End {
  if (reason === ExitReason.budget) return ['on'];
  return [reason === ExitReason.trap ? 'trap' : 'fault', vcpu.cause, vcpu.value];
}

function registers(state: DataView, file: RegisterFile): bigint[] {
  return Array.from({ length: file.count }, (_, index) =>
    index === file.sink ? 0n : state.getBigUint64(file.offset + file.stride * index, true),
  );
}

function assertSame(what: string): void {
  assert.deepEqual(registers(subject.state, X), registers(oracle.state, X), `integer registers, ${what}`);
  assert.deepEqual(registers(subject.state, F), registers(oracle.state, F), `floating-point registers, ${what}`);
  for (const offset of RESULT_OFFSETS) {
    const width =
      offset === StateOffset.floatFlags || offset === StateOffset.floatRounding ? 'getUint32' : 'getBigUint64';
    assert.equal(subject.state[width](offset, true), oracle.state[width](offset, true), `state at ${offset}, ${what}`);
  }
}

function assertSameMemory(what: string): void {
  assert.ok(Buffer.from(subject.guest).equals(oracle.guest), `memory, ${what}`);
  const rest = (image: Image) => Buffer.from(image.memory.buffer, STATE + F.offset + 256, STATE_SIZE - F.offset - 256);
  assert.ok(rest(subject).equals(rest(oracle)), `control registers, ${what}`);
}

const STEPS = 250;

function lockStep(seed: number): { retired: number; faults: number; traps: number; codeWrites: number } {
  const random = new Random(seed);
  const image = randomImage(random);
  oracle.load(image);
  subject.load(image);
  const vcpu = new Vcpu(riscv64, subject.memory, { guestSize: GUEST_SIZE });
  let [retired, faults, traps] = [0, 0, 0];
  const go = (pc: bigint) => {
    oracle.state.setBigUint64(StateOffset.pc, pc, true);
    vcpu.pc = pc;
  };
  go(BigInt(CODE));
  for (let step = 0; step < STEPS; step++) {
    const pc = vcpu.pc;
    const expected = oracleStep(retired);
    const actual = subjectEnd(vcpu, vcpu.run(1));
    const what = `seed ${seed}, step ${step}, pc 0x${pc.toString(16)}: ${describe(pc)}`;
    assert.deepEqual(actual, expected, what);
    assert.equal(vcpu.pc, oracle.state.getBigUint64(StateOffset.pc, true), `pc after, ${what}`);
    assertSame(what);
    if (expected[0] === 'on') {
      retired++;
      continue;
    }
    if (expected[0] === 'trap') traps++;
    else faults++;
    // Somewhere else: usually in the code, sometimes nowhere.
    go(random.chance(95) ? BigInt(CODE + 2 * random.below(CODE_SIZE / 2)) : randomBits(random, 'i64'));
  }
  assert.equal(vcpu.counters.instructions, retired, `instructions retired, seed ${seed}`);
  assertSameMemory(`seed ${seed}`);
  vcpu.checkInvariants();
  return { retired, faults, traps, codeWrites: vcpu.counters.codeWrites };
}

function describe(pc: bigint): string {
  const bytes = fetchable(pc);
  const decoded = riscv64.decode(bytes, 0);
  return decoded === undefined ? Buffer.from(bytes).toString('hex') : riscv64.disassemble(decoded, pc);
}

const base = testSeed();

test('random RISC-V code does in the interpreter what the evaluator says, step by step', (context) => {
  context.diagnostic(`SEED=${base}`);
  const sum = { retired: 0, faults: 0, traps: 0, codeWrites: 0 };
  for (let seed = base; seed < base + 40; seed++) {
    const one = lockStep(seed);
    for (const key of ['retired', 'faults', 'traps', 'codeWrites'] as const) sum[key] += one[key];
  }
  context.diagnostic(JSON.stringify(sum));
  assert.ok(
    sum.retired > 1000 && sum.faults > 50 && sum.traps > 50 && sum.codeWrites > 0,
    'the code gets somewhere and meets everything',
  );
});

/** Runs with parts of the budget as `part` says; after an exit goes on at an address that depends on what has been done so far only. */
function runInParts(seed: number, image: ReturnType<typeof randomImage>, part: () => number) {
  subject.load(image);
  const vcpu = new Vcpu(riscv64, subject.memory, { guestSize: GUEST_SIZE });
  const exits: string[] = [];
  vcpu.pc = BigInt(CODE);
  for (let left = 1500; left > 0 && exits.length < 150;) {
    const asked = Math.min(left, part());
    const before = vcpu.counters.instructions;
    const reason = vcpu.run(asked);
    const done = vcpu.counters.instructions - before;
    left -= done;
    if (reason === ExitReason.budget) {
      assert.equal(done, asked, `a budget is used up, seed ${seed}`);
      continue;
    }
    assert.ok(done < asked, `the instruction that leaves does not retire, seed ${seed}`);
    exits.push(`${reason} ${vcpu.cause} ${vcpu.value} at ${vcpu.pc} after ${vcpu.counters.instructions}`);
    vcpu.pc = BigInt(CODE + 2 * ((vcpu.counters.instructions * 4057 + exits.length * 773) % (CODE_SIZE / 2)));
  }
  vcpu.checkInvariants();
  const registers = Buffer.from(Buffer.from(subject.memory.buffer, STATE + REGISTERS, 0x1000));
  // The sink's content is nobody's business.
  registers.fill(0, X.offset - REGISTERS + 32 * 8, X.offset - REGISTERS + 33 * 8);
  const { instructions } = vcpu.counters;
  return {
    exits,
    pc: vcpu.pc,
    instructions,
    registers,
    flags: vcpu.state.getUint32(StateOffset.floatFlags, true),
    guest: Buffer.from(subject.guest),
  };
}

test('any way to split a budget gives the same end state, pairs and all', (context) => {
  context.diagnostic(`SEED=${base}`);
  let instructions = 0;
  for (let seed = base; seed < base + 40; seed++) {
    const random = new Random(seed);
    const image = randomImage(random);
    const whole = runInParts(seed, image, () => 1500);
    instructions += whole.instructions;
    for (const part of [() => 1, () => 7, () => 1 + random.below(20)]) {
      assert.deepEqual(runInParts(seed, image, part), whole, `seed ${seed}`);
    }
  }
  context.diagnostic(`${instructions} instructions`);
  assert.ok(instructions > 4000, 'the code gets somewhere');
});
