import { assert } from '../../check/assert.ts';
import type { Decoded, Instruction, Isa } from '../../isa/instruction.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import type { Case, RowCases } from './case.ts';
import type { CaseTable } from './case-table.ts';
import { type PageLayout, RecordField } from './record.ts';

/** The record of an instruction, wherever it stands: 32 bits each. */
export interface EncodedRecord {
  readonly which: Case;
  readonly words: readonly number[];
}

/** Makes records of instructions. */
export class RecordEncoder {
  readonly #isa: Isa;
  readonly #layout: PageLayout;
  readonly #table: CaseTable;

  constructor(isa: Isa, layout: PageLayout, table: CaseTable) {
    this.#isa = isa;
    this.#layout = layout;
    this.#table = table;
  }

  /** The record of an instruction at an offset of its page; an offset of PAGE_SIZE means that no jump of it is near. */
  encode(decoded: Decoded, offset: number): EncodedRecord {
    const displacement = this.displacementOf(decoded);
    const target = displacement === undefined ? -1 : offset + displacement;
    return this.record(decoded, offset < PAGE_SIZE && target >= 0 && target < PAGE_SIZE);
  }

  /** How far an instruction jumps, if it has another record where it stays in its page. */
  displacementOf({ row, operands }: Decoded): number | undefined {
    const name = this.#casesOf(row).displacement;
    const displacement = name === undefined ? undefined : operands[name]!;
    return displacement === undefined || displacement % this.#isa.alignment !== 0 ? undefined : displacement;
  }

  /** `near`: of a jump that stays in its page. */
  record({ row, length, operands }: Decoded, near: boolean): EncodedRecord {
    const which = this.#casesOf(row).find(operands, length, near);
    const { shift } = this.#layout;
    const words = [which.op | (length << (shift + 8 * (RecordField.step - RecordField.op))), 0, 0, 0];
    // By index: a program's first few thousand instructions come here before V8 has compiled any of it.
    for (let i = 0; i < which.operands.length; i++) {
      const { name, offset, format } = which.operands[i]!;
      const value = operands[name]!;
      const word = offset >> 2;
      switch (format) {
        case 'register': {
          const file = row.operands[name]!.file!;
          words[word]! |= (file.offset + file.stride * value) << (8 * (offset & 3));
          break;
        }
        case 'i64':
          words[word] = value | 0;
          words[word + 1] = Math.floor(value / 2 ** 32);
          break;
        case 'recordDelta':
          words[word] = value << shift;
          break;
        case 'i32':
          words[word] = value | 0;
          break;
        case 'signed64':
        case 'unsigned64':
          words[word] = value | 0;
          words[word + 1] = format === 'signed64' ? value >> 31 : 0;
          break;
      }
    }
    return { which, words };
  }

  #casesOf(row: Instruction): RowCases {
    const cases = this.#table.casesOf(row);
    assert(cases !== undefined, 'the interpreter has cases for every row');
    return cases;
  }
}
