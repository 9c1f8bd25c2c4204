import { assert } from '../../check/assert.ts';
import type { Decoded, Isa } from '../../isa/instruction.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import type { Case, RowCases } from './case.ts';
import type { CaseTable } from './case-table.ts';
import { type PageLayout, RecordField } from './record.ts';
import type { RecordCache } from './record-cache.ts';

/** The record of an instruction, wherever it stands: 32 bits each. */
export interface EncodedRecord {
  readonly which: Case;
  readonly words: readonly number[];
}

/** Makes records of instructions. */
export class RecordEncoder {
  /** What has been made of encodings. */
  readonly cache: RecordCache;
  readonly #isa: Isa;
  readonly #layout: PageLayout;
  readonly #table: CaseTable;

  constructor(isa: Isa, layout: PageLayout, table: CaseTable, cache: RecordCache) {
    this.cache = cache;
    this.#isa = isa;
    this.#layout = layout;
    this.#table = table;
  }

  /** The record of an instruction at an offset of its page; an offset of PAGE_SIZE means that no jump of it is near. It is remembered for `word`. */
  encode(decoded: Decoded, offset: number, word?: number): EncodedRecord {
    const cases = this.#table.casesOf(decoded.row);
    assert(cases !== undefined, 'the interpreter has cases for every row');
    const displacement = cases.displacement === undefined ? undefined : decoded.operands[cases.displacement]!;
    const mayBeNear = displacement !== undefined && displacement % this.#isa.alignment === 0;
    const near = mayBeNear && offset < PAGE_SIZE && offset + displacement >= 0 && offset + displacement < PAGE_SIZE;
    const record = this.#make(decoded, cases, near);
    if (word !== undefined) this.cache.remember(word, mayBeNear ? displacement : undefined, near, record.words);
    return record;
  }

  #make({ row, length, operands }: Decoded, cases: RowCases, near: boolean): EncodedRecord {
    const which = cases.find(operands, length, near);
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
}
