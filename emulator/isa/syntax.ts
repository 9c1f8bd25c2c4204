import { fitsField, insertField } from '../bits/pattern.ts';
import type { Decoded, Instruction } from './instruction.ts';
import type { TableRow } from './table.ts';

/** `mnemonic\toperands`, as objdump lays it out. */
export function showInstruction({ row, operands }: Decoded, pc: bigint): string {
  const text = row.syntax.replaceAll(/\{(\w+)\}/g, (_place, name: string) =>
    row.operands[name]!.show(operands[name]!, pc),
  );
  return text === '' ? row.mnemonic : `${row.mnemonic}\t${text}`;
}

/** The word of a row with these operands, or why there is none. */
export function encodeInstruction(
  row: Instruction,
  operands: Readonly<Record<string, number>>,
): number | { readonly error: string } {
  const { fields } = row as TableRow;
  let word = row.match;
  for (const [name, field] of Object.entries(fields)) {
    const kind = row.operands[name]!;
    const operand = operands[name];
    const raw = operand === undefined ? undefined : kind.encode(operand);
    if (raw === undefined || !fitsField(field, raw) || kind.legal?.(raw) === false)
      return { error: `${row.mnemonic}: ${String(operand)} does not fit operand ${name}` };
    word = insertField(word, field, raw);
  }
  return word;
}

/** Reads lines as `showInstruction` writes them. Spaces around commas and parentheses do not matter. */
export class Assembler {
  readonly #rows = new Map<string, TableRow[]>();
  readonly #templates = new Map<TableRow, { readonly expression: RegExp; readonly names: readonly string[] }>();

  constructor(rows: readonly TableRow[]) {
    for (const row of rows) {
      const list = this.#rows.get(row.mnemonic);
      if (list) list.push(row);
      else this.#rows.set(row.mnemonic, [row]);
      this.#templates.set(row, template(row.syntax));
    }
  }

  /** The word and its length, or what is wrong with the line. */
  assemble(line: string, pc: bigint): { readonly word: number; readonly length: number } | { readonly error: string } {
    const match = /^\s*(\S+)\s*(.*?)\s*$/.exec(line);
    if (!match) return { error: 'an empty line is no instruction' };
    const [, mnemonic, text] = match;
    const rows = this.#rows.get(mnemonic!);
    if (!rows) return { error: `no instruction is called ${mnemonic}` };
    let error = `${mnemonic} does not take '${text}'`;
    for (const row of rows) {
      const { expression, names } = this.#templates.get(row)!;
      const found = expression.exec(text!.replaceAll(/\s*([,()])\s*/g, '$1'));
      if (!found) continue;
      const operands: Record<string, number> = {};
      let complete = true;
      names.forEach((name, i) => {
        const value = row.operands[name]!.parse(found[i + 1]!, pc);
        if (value === undefined) complete = false;
        else operands[name] = value;
      });
      if (!complete) continue;
      const word = encodeInstruction(row, operands);
      if (typeof word === 'number') return { word, length: row.length };
      ({ error } = word);
    }
    return { error };
  }
}

/** The syntax as an expression with a group a place. A place right behind another one is optional and shows its own comma. */
function template(syntax: string): { expression: RegExp; names: string[] } {
  const names: string[] = [];
  let afterPlace = false;
  const expression = syntax
    .split(/(\{\w+\})/)
    .filter((part) => part !== '')
    .map((part) => {
      const place = /^\{(\w+)\}$/.exec(part);
      if (!place) {
        afterPlace = false;
        return part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
      }
      names.push(place[1]!);
      const optional = afterPlace;
      afterPlace = true;
      return optional ? '((?:,[^,()]*)?)' : '([^,()]*)';
    })
    .join('');
  return { expression: new RegExp(`^${expression}$`), names };
}
