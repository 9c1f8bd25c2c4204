import { parseBlock } from '../ir/parse.ts';
import type { Block } from '../ir/block.ts';
import { argumentType, opRow, resultType } from '../ir/op.ts';
import type { RegisterFile, Type } from '../ir/type.ts';
import { REGISTERS } from '../layout/state.ts';

/** Registers for IR corpora: whole blocks use x, f and v; single ops take their arguments from a and leave their value in r. */
export const IR_FILES: readonly RegisterFile[] = [
  { name: 'x', offset: REGISTERS, stride: 8, count: 8, type: 'i64' },
  { name: 'f', offset: REGISTERS + 0x40, stride: 8, count: 8, type: 'f64' },
  { name: 'v', offset: REGISTERS + 0x80, stride: 16, count: 8, type: 'v128' },
  { name: 'a', offset: REGISTERS + 0x100, stride: 16, count: 8, type: 'v128' },
  { name: 'r', offset: REGISTERS + 0x180, stride: 16, count: 1, type: 'v128' },
];

/** A single op given in short, `add.i32` or `v_extract.i8x16 lane=3 signed`, made a block. */
export interface OpCase {
  readonly block: Block;
  readonly args: readonly Type[];
  readonly result: Type;
}

/** Undefined when the text is not an op in short but IR lines. @throws IrSyntaxError when the op is no good. */
export function parseOpCase(text: string): OpCase | undefined {
  if (/^(%|insn\b)/.test(text)) return undefined;
  // Parsed twice: first without arguments, which the parser leaves to the verifier, to learn their types.
  const options = { isa: 'none', files: IR_FILES };
  const bare = parseBlock(`%r = ${text}`, options).ops[0]!;
  const row = opRow(bare.name);
  const result = resultType(bare);
  if (row.args === 'variadic' || result === undefined) return undefined;
  const args = row.args.map((_, index) => argumentType(bare, index)!);
  const lines = [
    'insn pc=0x1000 length=4',
    ...args.map((type, index) => `%a${index} = get.${type} a${index}`),
    `%r = ${text} ${args.map((_, index) => `%a${index}`).join(', ')}`,
    `set.${result} r, %r`,
  ];
  return { block: parseBlock(lines.join('\n'), options), args, result };
}
