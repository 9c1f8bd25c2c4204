import { insertField } from '../bits/pattern.ts';
import { type Random, randomBits } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { F, PRIVILEGE, Privilege, X } from '../isa/riscv/registers.ts';
import type { TableRow } from '../isa/table.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import { MACHINE_SEQUENCES } from '../tier/interpreter/machine-sequences.ts';
import { PROGRAM_SEQUENCES } from '../tier/interpreter/sequences.ts';

export const GUEST_SIZE = 65536;
/** Two pages of code, the second one writable too, then two of data and one to read only; nothing else is mapped. */
export const CODE = 0x1000;
export const CODE_SIZE = 2 * PAGE_SIZE;
export const DATA = 0x4000;
const { read, write, execute } = Permission;
export const PAGES = [0, read | execute, read | write | execute, 0, read | write, read | write, read, 0];

export class Image {
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

const SEQUENCES = [...PROGRAM_SEQUENCES.riscv64!, ...MACHINE_SEQUENCES.riscv64!];

/** Neighbours that the interpreter runs as a sequence, or one instruction of any kind. */
function randomInstructions(random: Random): { word: number; length: number }[] {
  if (random.chance(40)) return [randomInstruction(random, random.pick(rows))];
  const sequence = random.pick(SEQUENCES);
  return sequence.split(' ').map((key) => {
    const [, name] = /^(.*\.[24])(?:\..*)?$/.exec(key)!;
    return randomInstruction(random, random.pick(rowsByKey.get(name!)!));
  });
}

export function randomInstruction(random: Random, row: TableRow): { word: number; length: number } {
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
export function randomRegister(random: Random): bigint {
  if (random.chance(60)) return BigInt(DATA + random.below(3 * PAGE_SIZE));
  if (random.chance(30)) return BigInt(CODE + random.below(CODE_SIZE));
  if (random.chance(20))
    return BigInt(
      random.pick([DATA, DATA + PAGE_SIZE, DATA + 2 * PAGE_SIZE, DATA + 3 * PAGE_SIZE, CODE + CODE_SIZE]) -
        random.below(9),
    );
  return randomBits(random, 'i64');
}

export function randomImage(random: Random) {
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
