import type { Random } from '../ir/random.ts';
import { PAGE_SIZE } from '../layout/memory-map.ts';
import { CODE, CODE_SIZE, DATA, randomImage } from './random-code.test-support.ts';
import { Text } from './random-program.test-support.ts';

const POINTERS = ['s4', 's5', 's6', 's7'] as const;
const SCRATCH = ['a0', 'a1', 'a2', 'a3'] as const;
const STRIDES = [0, 1, 2, 4, 8, 8, 8, 16, 24, 64, 520, -1, -8, -16];
const LOADS = ['lb', 'lbu', 'lh', 'lhu', 'lw', 'lwu', 'ld'];
const STORES = ['sb', 'sh', 'sw', 'sd'];
const FLOATS = ['fa0', 'fa1', 'fa2'] as const;
const ARITHMETIC = ['fadd.d', 'fsub.d', 'fmul.d', 'fdiv.d'];
const BRANCHES = ['beq', 'bne', 'blt', 'bgeu'];
/** Bytes kept for the jump back to the first loop. */
const RESERVE = 4;

/** Widths that compilers copy in, where they may not count on more. */
const PIECES = [
  { load: 'lbu', store: 'sb', bytes: 1 },
  { load: 'lb', store: 'sb', bytes: 1 },
  { load: 'lhu', store: 'sh', bytes: 2 },
  { load: 'lw', store: 'sw', bytes: 4 },
];

/** One loop after the other, round and round, whose pointers walk over the data: up and down, over the ends of pages and of what may be used. */
export function randomLoops(random: Random): ReturnType<typeof randomImage> {
  const start = randomImage(random);
  const text = new Text();
  text.place('first');
  for (;;) {
    const before = text.lines.length;
    walk(text, random);
    if (instructions(text) * 4 <= CODE_SIZE - RESERVE) continue;
    text.lines.length = before;
    break;
  }
  text.to('first', 'jal zero,@');
  start.guest.fill(0, CODE, CODE + CODE_SIZE);
  start.guest.set(text.assemble(CODE), CODE);
  return start;
}

function instructions(text: Text): number {
  return text.lines.filter(({ label }) => label === undefined).length;
}

function walk(text: Text, random: Random): void {
  const pointers = POINTERS.slice(0, 1 + random.below(POINTERS.length));
  for (const pointer of pointers) {
    // Few of the code, and more of the two pages that may be written than of the one that may not.
    const page = random.chance(5) ? CODE + PAGE_SIZE : DATA + PAGE_SIZE * random.pick([0, 0, 1, 1, 1, 2]);
    const offset = random.chance(40) ? random.below(48) - 24 : random.below(2048);
    const aligned = random.chance(70) ? offset & ~7 : offset;
    text.add(`lui ${pointer},0x${(page >> 12).toString(16)}`);
    text.add(`addi ${pointer},${pointer},${aligned}`);
  }
  text.add(`addi s0,zero,${1 + random.below(random.chance(70) ? 60 : 900)}`);
  const [head, out] = [text.label(), text.label()];
  text.place(head);
  for (let part = 1 + random.below(4); part > 0; part--) access(text, random, random.pick(pointers));
  if (random.chance(20)) copy(text, random, random.pick(pointers), random.pick(pointers));
  if (random.chance(30)) {
    const skip = text.label();
    text.to(skip, `${random.pick(BRANCHES)} ${random.pick(SCRATCH)},${random.pick(SCRATCH)},@`);
    access(text, random, random.pick(pointers));
    if (random.chance(30)) advance(text, random, random.pick(pointers));
    text.place(skip);
  }
  if (random.chance(15)) text.to(out, `${random.pick(BRANCHES)} zero,${random.pick(SCRATCH)},@`);
  for (const pointer of pointers) advance(text, random, pointer);
  if (random.chance(30)) access(text, random, random.pick(pointers));
  text.add('addi s0,s0,-1');
  text.to(head, 'bne s0,zero,@');
  text.place(out);
}

function advance(text: Text, random: Random, pointer: string): void {
  const stride = random.pick(STRIDES);
  if (stride !== 0) text.add(`addi ${pointer},${pointer},${stride}`);
}

/** A load or store by a pointer, by a register set from it, or by an index from it that a mask holds small. */
function access(text: Text, random: Random, pointer: string): void {
  let base = pointer;
  if (random.chance(20)) {
    base = 's8';
    if (random.chance(50)) text.add(`addi s8,${pointer},${random.below(32)}`);
    else {
      text.add(`andi t0,${random.pick(SCRATCH)},${random.pick([7, 63])}`);
      text.add(`slli t0,t0,${random.below(4)}`);
      text.add(`add s8,t0,${pointer}`);
    }
  }
  const offset = random.below(96) - 32;
  if (random.chance(20)) {
    const [loaded, sum] = [random.pick(FLOATS), random.pick(FLOATS)];
    text.add(`fld ${loaded},${offset}(${base})`);
    text.add(`${random.pick(ARITHMETIC)} ${random.pick(FLOATS)},${loaded},${sum}`);
    if (random.chance(50)) text.add(`${random.pick(ARITHMETIC)} ${sum},${loaded},${sum}`);
    if (random.chance(30)) text.add(`fsd ${sum},${offset + 8}(${base})`);
    return;
  }
  if (random.chance(50)) text.add(`${random.pick(LOADS)} ${random.pick(SCRATCH)},${offset}(${base})`);
  else text.add(`${random.pick(STORES)} ${random.pick(SCRATCH)},${offset}(${base})`);
  if (random.chance(40)) text.add(`add ${random.pick(SCRATCH)},${random.pick(SCRATCH)},${random.pick(SCRATCH)}`);
}

/** Neighbouring pieces, loaded and then stored one by one, now and then with something in between. */
function copy(text: Text, random: Random, from: string, to: string): void {
  const { load, store, bytes } = random.pick(PIECES);
  const count = 2 + random.below(Math.floor(7 / bytes));
  const [source, target] = [random.below(40) - 16, random.below(40) - 16];
  const disturb = () => {
    if (random.chance(6)) access(text, random, random.pick([from, to]));
  };
  // One look at a page serves no more than so many bytes, and perhaps not all of the copy.
  if (random.chance(25)) text.add(`lbu t0,${target + random.below(count * bytes) - 512}(${to})`);
  for (let piece = 0; piece < count; piece++) {
    text.add(`${load} a${piece},${source + bytes * piece}(${from})`);
    disturb();
  }
  const last = random.chance(30) ? count - 1 : 0;
  for (let piece = 0; piece < count; piece++) {
    const at = piece === 0 ? last : piece === last ? 0 : piece;
    disturb();
    text.add(`${store} a${at},${target + bytes * at}(${to})`);
  }
  text.add(`ld a0,${target}(${to})`);
}
