import { type Random, randomBits } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { PAGE_SIZE } from '../layout/memory-map.ts';
import { CODE, CODE_SIZE, DATA, randomImage } from './random-code.test-support.ts';

/** Registers that bodies compute with; s0 to s3 count loops, s4 and s5 hold addresses, sp saves return addresses. */
const SCRATCH = ['a0', 'a1', 'a2', 'a3', 'a4', 'a5', 't1', 't2'] as const;
const FLOATS = ['fa0', 'fa1', 'fa2', 'fa3'] as const;
const INTEGER = [
  'add',
  'sub',
  'xor',
  'and',
  'or',
  'addw',
  'subw',
  'mul',
  'mulw',
  'slt',
  'sltu',
  'sll',
  'srl',
  'sra',
  'sllw',
  'srlw',
  'div',
  'remu',
];
const IMMEDIATE = ['addi', 'addiw', 'xori', 'andi', 'ori', 'slti'];
const SHIFTS = ['slli', 'srli', 'srai'];
const FLOAT = ['fadd.d', 'fsub.d', 'fmul.d', 'fdiv.d', 'fadd.s', 'fmul.s', 'fmin.d', 'fsgnjn.d'];
const LOADS = ['lb', 'lbu', 'lh', 'lhu', 'lw', 'lwu', 'ld'];
const STORES = ['sb', 'sh', 'sw', 'sd'];
const BRANCHES = ['beq', 'bne', 'blt', 'bge', 'bltu', 'bgeu'];

/** Writes assembly with labels to a buffer; lengths are found by assembling with the addresses known so far until they settle. */
export class Text {
  readonly lines: { readonly label?: string; readonly text?: (at: (label: string) => number, pc: number) => string }[] =
    [];
  #labels = 0;

  add(text: string): void {
    this.lines.push({ text: () => text });
  }

  /** A line that names a label as `@`. */
  to(label: string, text: string): void {
    this.lines.push({ text: (at) => text.replace('@', `0x${at(label).toString(16)}`) });
  }

  label(name = `l${this.#labels++}`): string {
    return name;
  }

  place(label: string): void {
    this.lines.push({ label });
  }

  /** The bytes at `origin`. All instructions are written with 4 bytes, so one pass finds the labels. */
  assemble(origin: number): Uint8Array {
    const at = new Map<string, number>();
    let pc = origin;
    for (const { label } of this.lines) {
      if (label === undefined) pc += 4;
      else at.set(label, pc);
    }
    const bytes: number[] = [];
    pc = origin;
    for (const { text } of this.lines) {
      if (text === undefined) continue;
      const line = text((label) => at.get(label)!, pc);
      const encoded = riscv64.assemble(line, BigInt(pc));
      if ('error' in encoded || encoded.length !== 4) throw new Error(`${line}: ${JSON.stringify(encoded)}`);
      bytes.push(...encoded);
      pc += 4;
    }
    return Uint8Array.from(bytes);
  }
}

/** A program that runs for ever: an endless loop of calls to random functions, some of them recursive. */
export function randomProgram(random: Random): ReturnType<typeof randomImage> {
  const start = randomImage(random);
  const text = new Text();
  const functions = Array.from({ length: 2 + random.below(4) }, (_, index) => `f${index}`);
  const main = text.label('main');
  text.place(main);
  for (let call = 0; call < 1 + random.below(4); call++) {
    body(text, random, 2);
    text.to(random.pick(functions), 'jal ra,@');
  }
  text.to(main, 'jal zero,@');
  functions.forEach((name, index) => functionBody(text, random, name, functions.slice(index + 1), functions[index]!));
  const bytes = text.assemble(CODE);
  if (bytes.length > CODE_SIZE) return randomProgram(random);
  start.guest.fill(0, CODE, CODE + CODE_SIZE);
  start.guest.set(bytes, CODE);
  const state = new DataView(start.state.buffer);
  const x = (index: number, value: bigint) =>
    state.setBigUint64(riscv64.files[0]!.offset + 8 * index, BigInt.asUintN(64, value), true);
  x(2, BigInt(DATA + 2 * PAGE_SIZE - 64));
  x(20, BigInt(DATA + 256 + random.below(64)));
  // Sometimes near the end of what may be written, so that some accesses fault, or in the code itself.
  x(
    21,
    BigInt(random.chance(15) ? DATA + 2 * PAGE_SIZE - 40 : random.chance(10) ? CODE + PAGE_SIZE + 2048 : DATA + 1024),
  );
  for (let index = 0; index < 4; index++)
    state.setBigUint64(riscv64.files[1]!.offset + 8 * (10 + index), randomBits(random, 'f64'), true);
  return start;
}

/** Blocks that jump to any other: graphs that are not reducible, with loops entered in the middle. */
export function randomSpaghetti(random: Random): ReturnType<typeof randomImage> {
  const start = randomImage(random);
  const text = new Text();
  const blocks = Array.from({ length: 2 + random.below(random.chance(20) ? 120 : 20) }, (_, index) => `b${index}`);
  for (const name of blocks) {
    text.place(name);
    text.add(`addi ${random.pick(SCRATCH)},${random.pick(SCRATCH)},${random.below(64) - 32}`);
    text.add(`${random.pick(INTEGER)} ${random.pick(SCRATCH)},${random.pick(SCRATCH)},${random.pick(SCRATCH)}`);
    if (random.chance(80))
      text.to(random.pick(blocks), `${random.pick(BRANCHES)} ${random.pick(SCRATCH)},${random.pick(SCRATCH)},@`);
    if (random.chance(60)) text.to(random.pick(blocks), 'jal zero,@');
    else if (random.chance(30)) text.to(random.pick(blocks), 'jal ra,@');
    else if (random.chance(10)) text.add('jalr zero,0(ra)');
  }
  text.to(blocks[0]!, 'jal zero,@');
  start.guest.fill(0, CODE, CODE + CODE_SIZE);
  start.guest.set(text.assemble(CODE), CODE);
  const state = new DataView(start.state.buffer);
  state.setBigUint64(riscv64.files[0]!.offset + 8, BigInt(CODE), true);
  return start;
}

function functionBody(text: Text, random: Random, name: string, callees: readonly string[], self: string): void {
  text.place(name);
  const leaf = random.chance(40) || callees.length === 0;
  if (!leaf) {
    text.add('addi sp,sp,-16');
    text.add('sd ra,0(sp)');
    text.add('sd s0,8(sp)');
  }
  loop(text, random, leaf ? undefined : random.pick(callees), 0);
  if (!leaf && random.chance(30)) {
    // Recursion as deep as a counter that only this spends.
    const done = text.label();
    text.add('addi s3,s3,-1');
    text.to(done, 'bge zero,s3,@');
    text.to(self, 'jal ra,@');
    text.place(done);
    text.add(`addi s3,zero,${random.below(4)}`);
  }
  if (random.chance(30)) dispatch(text, random);
  body(text, random, 3);
  if (!leaf) {
    text.add('ld s0,8(sp)');
    text.add('ld ra,0(sp)');
    text.add('addi sp,sp,16');
  }
  text.add('jalr zero,0(ra)');
}

function loop(text: Text, random: Random, callee: string | undefined, depth: number): void {
  const counter = `s${depth}`;
  const head = text.label();
  text.add(`addi ${counter},zero,${1 + random.below(6)}`);
  text.place(head);
  body(text, random, 4);
  if (depth < 2 && random.chance(40)) loop(text, random, undefined, depth + 1);
  const skip = text.label();
  if (random.chance(50)) {
    text.to(skip, `${random.pick(BRANCHES)} ${random.pick(SCRATCH)},${random.pick(SCRATCH)},@`);
    body(text, random, 3);
    if (random.chance(20)) text.to(head, `${random.pick(BRANCHES)} zero,${counter},@`);
    text.place(skip);
  }
  if (callee !== undefined && random.chance(50)) text.to(callee, 'jal ra,@');
  text.add(`addi ${counter},${counter},-1`);
  text.to(head, `blt zero,${counter},@`);
}

/** An indirect jump to one of several blocks, 16 bytes each. */
function dispatch(text: Text, random: Random): void {
  const cases = 2 ** (1 + random.below(3));
  const out = text.label();
  text.add(`andi t0,${random.pick(SCRATCH)},${cases - 1}`);
  text.add('slli t0,t0,4');
  text.add('auipc t1,0x0');
  text.add('add t1,t1,t0');
  text.add('jalr zero,12(t1)');
  for (let index = 0; index < cases; index++) {
    for (let line = 0; line < 3; line++) body(text, random, 1, true);
    text.to(out, 'jal zero,@');
  }
  text.place(out);
}

/** `exactly`: one line for each. */
function body(text: Text, random: Random, most: number, exactly = false): void {
  for (let line = exactly ? most : 1 + random.below(most); line > 0; line--) {
    const [rd, rs1, rs2] = [random.pick(SCRATCH), random.pick(SCRATCH), random.pick(SCRATCH)];
    const [fd, fs1, fs2] = [random.pick(FLOATS), random.pick(FLOATS), random.pick(FLOATS)];
    const base = random.pick(['s4', 's5']);
    const offset = random.below(120) - 20;
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2:
        text.add(`${random.pick(INTEGER)} ${rd},${rs1},${rs2}`);
        break;
      case 3:
      case 4:
        text.add(`${random.pick(IMMEDIATE)} ${rd},${rs1},${random.below(4096) - 2048}`);
        break;
      case 5:
        text.add(`${random.pick(SHIFTS)} ${rd},${rs1},${random.below(64)}`);
        break;
      case 6:
        text.add(`${random.pick(LOADS)} ${rd},${offset}(${base})`);
        break;
      case 7:
        text.add(`${random.pick(STORES)} ${rs1},${offset}(${base})`);
        break;
      case 8:
        if (random.chance(20)) text.add(`fmadd.d ${fd},${fs1},${fs2},${random.pick(FLOATS)}`);
        else text.add(`${random.pick(FLOAT)} ${fd},${fs1},${fs2}`);
        break;
      case 9:
        text.add(
          random.pick([
            `fcvt.d.l ${fd},${rs1}`,
            `fcvt.d.l ${fd},${rs1}`,
            `fld ${fd},${offset & ~7}(${base})`,
            `flt.d ${rd},${fs1},${fs2}`,
          ]),
        );
        break;
    }
  }
}
