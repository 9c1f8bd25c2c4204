import type { Block } from '../../ir/block.ts';
import { isField } from '../../ir/type.ts';
import type { Isa, OperandKind } from '../../isa/instruction.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { assert } from '../../check/assert.ts';

/** One decoded instruction: 16 bytes, one record for every possible instruction start, so that a guest address gives its record. */
export const RECORD_SIZE = 16;

/** Byte offsets in a record. */
export const RecordField = {
  /** u16: the case to run. */
  op: 0,
  /** u16: from this record to the next instruction's, in bytes. */
  step: 2,
  /** i32, of a record with op CROSSING: the records of the page that its instruction runs on into, 0 while that is not known. */
  following: 4,
} as const;

const FIRST_OPERAND = 4;

/** Cases that are not instructions. */
export const NOT_DECODED = 0;
/** Stands behind a page's last record: control runs on to the next page. */
export const PAGE_END = 1;
/** The bytes are no instruction. */
export const ILLEGAL = 2;
/** The instruction runs on into a page that may lie anywhere: what it was decoded to is kept at `PageLayout.crossing` for one such page. */
export const CROSSING = 3;
export const FIRST_CASE = 4;
/** Set in the op of an instruction where translated code begins: no case has it, so that the main function comes out. */
export const ENTRY_BIT = 0x8000;

/**
 * How an operand stands in a record: a register as the u16 offset of its slot in the state, anything else as an i32 or i64. `signed64` and
 * `unsigned64` are 32-bit values that were extended when decoded.
 */
export interface RecordOperand {
  readonly name: string;
  readonly offset: number;
  readonly format: 'register' | 'i32' | 'signed64' | 'unsigned64' | 'i64' | 'recordDelta';
}

/** How an ISA's decoded pages are laid out. */
export class PageLayout {
  /** log2 of record bytes per byte of guest code. */
  readonly shift: number;
  /** Records of instructions that start in a page. */
  readonly records: number;
  /**
   * Bytes behind the records of a page where that of the instruction stands which runs on into the next page. Instructions may do so in one place only; NaN
   * where there are more.
   */
  readonly crossing: number;
  /** Bytes of a decoded page: its records, and one PAGE_END record for every place where the last instruction may end; then the same for `crossing`. */
  readonly size: number;

  constructor(isa: Isa) {
    this.shift = Math.log2(RECORD_SIZE / isa.alignment);
    assert(Number.isInteger(this.shift), 'instruction alignment is a power of two up to 16');
    this.records = PAGE_SIZE / isa.alignment;
    const longest = isa.maximumLength / isa.alignment;
    this.crossing = longest === 2 ? (this.records + longest) * RECORD_SIZE : NaN;
    this.size = (this.records + 2 * longest + 1) * RECORD_SIZE;
  }
}

/**
 * Gives the operands that a lifted block reads their places in the record. `displacement`: how the jump's displacement is stored.
 * Registers go to u16s from byte 4 up; immediates to the i32 at 12, then 8 and 4 when those are free.
 */
export function layOut(
  block: Block,
  kinds: Readonly<Record<string, OperandKind>>,
  displacement: 'i32' | 'recordDelta',
): readonly RecordOperand[] {
  const registers = new Set<string>();
  const immediates = new Map<string, RecordOperand['format']>();
  // By index: V8 has not compiled this yet, and an iterator gives an object for each op.
  for (let i = 0; i < block.ops.length; i++) {
    const op = block.ops[i]!;
    const index = op.slot?.index;
    if (index !== undefined && isField(index)) registers.add(index.field);
    if (op.field !== undefined) immediates.set(op.field.field, isWide(kinds[op.field.field]) ? 'i64' : 'i32');
  }
  for (let i = 0; i < block.ops.length; i++) {
    const op = block.ops[i]!;
    if (op.displacement === undefined || !isField(op.displacement)) continue;
    const name = op.displacement.field;
    assert(
      displacement === 'i32' || !immediates.has(name),
      'a displacement that is also read as a number is stored as one',
    );
    immediates.set(name, displacement);
  }
  const operands: RecordOperand[] = [];
  let next = FIRST_OPERAND;
  for (const name of registers) {
    assert(!immediates.has(name), 'an operand is a register or an immediate');
    operands.push({ name, offset: next, format: 'register' });
    next += 2;
  }
  const [only] = immediates;
  if (only !== undefined && immediates.size === 1 && only[1] === 'i32' && next <= RECORD_SIZE - 8) {
    // V8 loads twice for a load that extends (the first, dead one cannot be dropped for it may trap); an i64 needs none.
    const reads = new Set(
      block.ops.filter(({ field, type }) => field?.field === only[0] && type === 'i64').map(({ signed }) => signed),
    );
    if (reads.size === 1) immediates.set(only[0], reads.has(true) ? 'signed64' : 'unsigned64');
  }
  let end = RECORD_SIZE;
  for (const [name, format] of immediates) {
    end -= format.endsWith('64') ? 8 : 4;
    operands.push({ name, offset: end, format });
  }
  assert(next <= end, 'the operands fit a record');
  return operands;
}

/** Whether the operand's values need 64 bits, as its samples tell. */
function isWide(kind: OperandKind | undefined): boolean {
  assert(kind !== undefined, 'a field is one of the operands');
  return kind.samples.some((sample) => {
    const value = kind.decode(sample);
    return value < -(2 ** 31) || value >= 2 ** 31;
  });
}
