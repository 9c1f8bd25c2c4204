import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { X } from '../isa/riscv/registers.ts';
import { PAGE_SIZE, Permission, STATE } from '../layout/memory-map.ts';
import { ExitReason, REGISTERS } from '../layout/state.ts';
import { FlatMemory } from '../memory/flat.ts';
import { createCpu, type Tier } from './tier.ts';

const SIZE = 1 << 22;
const CODE = 0x1_0000;
/** A page of its own for what programs read and write. */
const DATA = SIZE - 16 * PAGE_SIZE;
const ALL = Permission.read | Permission.write | Permission.execute;
/** The evaluator is some thousand times slower. */
const REFERENCE_BUDGET = 3000;
/** A run that takes longer than this is not bounded; the slowest one here takes a tenth of it on an idle machine. */
const SECONDS = 30;
/** Most WebAssembly that live regions and the store of emitted code may have. */
const LIVE_BYTES = 4 << 20;
const STORED_BYTES = 16 << 20;

/** Writes instructions of 4 bytes, or of 2 where a line begins with `c.`. */
class Code {
  readonly bytes: number[] = [];

  get here(): number {
    return CODE + this.bytes.length;
  }

  add(...lines: readonly string[]): this {
    for (const line of lines) {
      const encoded = riscv64.assemble(line, BigInt(this.here));
      if ('error' in encoded) throw new Error(`${line}: ${encoded.error}`);
      this.bytes.push(...encoded);
    }
    return this;
  }

  word(word: number): this {
    for (let byte = 0; byte < 4; byte++) this.bytes.push((word >>> (8 * byte)) & 0xff);
    return this;
  }

  /** A constant of 32 bits in a register, always in two instructions. */
  constant(register: string, value: number): this {
    const low = (value << 20) >> 20;
    return this.add(
      `lui ${register},0x${(((value - low) >>> 12) & 0xfffff).toString(16)}`,
      `addiw ${register},${register},${low}`,
    );
  }
}

const hex = (address: number) => `0x${address.toString(16)}`;

interface End {
  readonly reason: number;
  readonly cause: number;
  readonly value: bigint;
  readonly pc: bigint;
  readonly instructions: number;
  readonly registers: string;
  readonly data: string;
}

function run(tier: Tier, bytes: Uint8Array, budget: number, more: (memory: FlatMemory) => void) {
  const memory = new FlatMemory(SIZE);
  memory.permission.fill(ALL, CODE / PAGE_SIZE);
  memory.bytes.set(bytes, CODE);
  more(memory);
  const cpu = createCpu(tier, riscv64, memory);
  cpu.pc = BigInt(CODE);
  // CPU time of this thread: what others do on a busy machine is no fault of the program's.
  const start = process.threadCpuUsage();
  const reason = cpu.run(budget);
  const { user, system } = process.threadCpuUsage(start);
  const seconds = (user + system) / 1e6;
  const registers = Buffer.from(Buffer.from(memory.memory.buffer, STATE + REGISTERS, 0x1000));
  // What x0 swallows is nobody's business.
  registers.fill(0, X.offset - REGISTERS + 32 * 8, X.offset - REGISTERS + 33 * 8);
  const end: End = {
    reason,
    cause: cpu.cause,
    value: cpu.value,
    pc: cpu.pc,
    instructions: cpu.counters.instructions,
    registers: registers.toString('latin1'),
    data: Buffer.from(memory.bytes.subarray(DATA)).toString('latin1'),
  };
  assert.ok(seconds < SECONDS, `${tier} took ${seconds} s`);
  const engine = 'tiers' in cpu ? cpu.tiers : undefined;
  if (engine !== undefined) {
    engine.checkInvariants();
    assert.ok(engine.liveBytes <= LIVE_BYTES, `${tier} keeps ${engine.liveBytes} bytes of live regions`);
    assert.ok(engine.store.bytes <= STORED_BYTES, `${tier} stores ${engine.store.bytes} bytes`);
  }
  return { end, engine, seconds };
}

/** Eager tiers translate whatever is reached, so they show with 3 % of the budget what `auto` shows with all of it. */
const EAGER_PART = 0.03;

/** Runs code in every tier and holds the ends to the interpreter's; the evaluator gets a part of the budget. */
function hold(
  name: string,
  { bytes }: Code,
  budget: number,
  more: (memory: FlatMemory) => void = () => {},
  check: (end: End) => void = () => {},
): void {
  const image = Uint8Array.from(bytes);
  for (const tier of ['auto', 'optimized', 'baseline'] as const) {
    test(`${name}: ${tier} ends like the interpreter, in bounds`, (context) => {
      const most = tier === 'auto' ? budget : Math.ceil(budget * EAGER_PART);
      const expected = run('interpreter', image, most, more).end;
      check(expected);
      const { end, engine, seconds } = run(tier, image, most, more);
      assert.deepEqual(end, expected);
      const { translated, guestInstructions } = engine!.translation;
      context.diagnostic(`${seconds.toFixed(2)} s, ${translated} translations of ${guestInstructions} instructions`);
    });
  }
  test(`${name}: the interpreter ends like the evaluator`, () => {
    const few = Math.min(budget, REFERENCE_BUDGET);
    assert.deepEqual(run('interpreter', image, few, more).end, run('reference', image, few, more).end);
  });
}

const budgetEnds = ({ reason }: End) => assert.equal(reason, ExitReason.budget);
const faults = ({ reason }: End) => assert.equal(reason, ExitReason.fault);

// The upper half of the first word is c.addi a0,1: half of the jumps go there.
hold(
  'jumps into the middle of instructions',
  (() => {
    const code = new Code().add('addi zero,zero,0');
    const loop = code.here;
    code.word(0x0505_0537);
    return code.add('addi a1,a1,1', 'andi a2,a1,1', `beq a2,zero,${hex(loop)}`, `jal zero,${hex(loop + 2)}`);
  })(),
  1_000_000,
  undefined,
  budgetEnds,
);

const noise = (memory: FlatMemory) => {
  const random = new Random(7);
  for (let at = DATA; at < SIZE; at++) memory.bytes[at] = Number(random.next() & 0xffn);
};
hold('jumps into data', new Code().constant('a0', DATA).add('jalr zero,0(a0)'), 100_000, noise);

hold(
  'runs off the end of memory',
  new Code().constant('a0', SIZE - 64).add('jalr zero,0(a0)'),
  1000,
  (memory) => {
    for (let at = SIZE - 64; at < SIZE; at += 4) memory.view.setUint32(at, 0x0015_0513, true);
  },
  (end) => {
    faults(end);
    assert.equal(end.pc, BigInt(SIZE));
  },
);

hold('jumps outside of memory', new Code().add('addi a0,zero,-2', 'jalr ra,0(a0)'), 1000, undefined, faults);

// Stores one of two instructions over one that comes soon after, each time round.
hold(
  'a hot loop that patches its own body',
  (() => {
    const code = new Code().constant('s0', 0x0015_0513).constant('s1', 0x0025_0513);
    const loop = code.here;
    return code.add(
      'auipc t0,0x0',
      'xor s2,s0,s1',
      'xor s0,s0,s2',
      'xor s1,s1,s2',
      'sw s0,24(t0)',
      'fence.i',
      'addi a0,a0,1',
      'addi a1,a1,1',
      `jal zero,${hex(loop)}`,
    );
  })(),
  600_000,
  undefined,
  budgetEnds,
);

hold(
  '100,000 blocks',
  (() => {
    const code = new Code();
    for (let block = 0; block < 100_000; block++)
      code.add(`beq a${block % 8},zero,${hex(code.here + 8)}`, 'addi a0,a0,1');
    return code.constant('t0', CODE).add('addi a1,a1,1', 'jalr zero,0(t0)');
  })(),
  300_000,
  undefined,
  budgetEnds,
);

/** `optimized` translates from each case, with the others it knows by then: 256 take it 9 s. */
const CASES = 64;
hold(
  'a switch of 64 cases',
  (() => {
    const code = new Code().constant('s0', DATA).constant('s1', 0x19660d).constant('s2', 0x3c6ef35f);
    const loop = code.here;
    code.add('mulw a0,a0,s1', 'addw a0,a0,s2', 'srliw a1,a0,12', 'slli a1,a1,58', 'srli a1,a1,55');
    code.add('add a1,a1,s0', 'ld a1,0(a1)', 'jalr zero,0(a1)');
    for (let each = 0; each < CASES; each++) code.add(`addi a2,a2,${each % 2048}`, `jal zero,${hex(loop)}`);
    return code;
  })(),
  3_000_000,
  (memory) => {
    const first = CODE + 24 + 32;
    for (let each = 0; each < CASES; each++) memory.view.setBigUint64(DATA + 8 * each, BigInt(first + 8 * each), true);
  },
  budgetEnds,
);

// Each loop's tail is behind all tails further in; conditions come from a counter, so that loops of every depth repeat.
const DEPTH = 900;
hold(
  '900 loops, one in another',
  (() => {
    const code = new Code().add('addi a3,zero,1');
    const heads: number[] = [];
    for (let depth = 0; depth < DEPTH; depth++) {
      heads.push(code.here);
      code.add('addi a0,a0,1');
    }
    for (let depth = DEPTH - 1; depth >= 0; depth--) {
      code.add('addi a1,a1,1', `andi a2,a1,${(1 << (depth % 11)) - 1}`);
      // A branch reaches 4 KiB; a jump over it further.
      const over = code.here + 8;
      code.add(`bne a2,a3,${hex(over)}`, `jal zero,${hex(heads[depth]!)}`);
    }
    return code.constant('t0', CODE).add('jalr zero,0(t0)');
  })(),
  4_000_000,
  undefined,
  budgetEnds,
);

/** Writes `addi a0,a0,n; ret` further on each time, in a window of 512 KiB, and calls it: n is the low part of the count. */
function generator(): Code {
  const code = new Code()
    .constant('s0', CODE + 0x1_0000)
    .constant('s1', 0x0005_0513)
    .constant('s2', 0x0000_8067);
  code.constant('s3', 0x7_ffc0).add('addi s4,zero,0');
  const loop = code.here;
  return code.add(
    'and t0,s4,s3',
    'add t0,t0,s0',
    'slli t1,s4,20',
    'addw t1,t1,s1',
    'sw t1,0(t0)',
    'sw s2,4(t0)',
    'fence.i',
    'jalr ra,0(t0)',
    'addi s4,s4,0x40',
    'addi s5,s5,1',
    `jal zero,${hex(loop)}`,
  );
}
const GENERATED = 100_000;
for (const tier of ['auto', 'optimized', 'baseline'] as const) {
  // Eager tiers translate every piece: fewer of them show the same.
  const pieces = tier === 'auto' ? GENERATED : GENERATED / 20;
  test(`a program that generates code for ever stays bounded in ${tier}`, (context) => {
    const image = Uint8Array.from(generator().bytes);
    const budget = 13 * pieces;
    const expected = run('interpreter', image, budget, () => {});
    assert.equal(expected.end.reason, ExitReason.budget);
    const { end, engine, seconds } = run(tier, image, budget, () => {});
    assert.deepEqual(end, expected.end);
    const live = [...engine!.regions].length;
    const { translated, reused } = engine!.translation;
    context.diagnostic(
      `${seconds.toFixed(2)} s, ${translated} translations, ${reused} reused, ${live} live, ${engine!.store.bytes} bytes stored`,
    );
    assert.ok(live <= 8192, `${live} live regions`);
  });
}
