import type { Instruction, Isa, OperandKind } from './instruction.ts';
import type { TableRow } from './table.ts';

/** The rows of one ISA with fixed-width encodings as Markdown: what is implemented, by extension and section of the specification. */
export function isaDocument(isa: Isa, source: string): string {
  const extensions = Map.groupBy(isa.rows as readonly TableRow[], ({ extension }) => extension);
  return [
    `<!-- Generated from ${source}. -->`,
    `# Instructions of ${isa.name}`,
    '',
    'A field of a pattern is `name:width` or `name[bits]` (bits of the operand, most significant first). Encodings not listed here are illegal instructions.',
    'A compressed instruction names the one it stands for.',
    '',
    '| extension | instructions |',
    '| --- | --- |',
    ...[...extensions].map(([extension, rows]) => `| ${extension} | ${rows.length} |`),
    `| all | ${isa.rows.length} |`,
    ...[...extensions].flatMap(([extension, rows]) => [
      '',
      `## ${extension}`,
      ...[...Map.groupBy(rows, ({ spec }) => spec)].flatMap(([spec, section]) => table(spec, section)),
    ]),
    '',
  ].join('\n');
}

function table(spec: string, rows: readonly TableRow[]): string[] {
  const short = rows.some(({ expandsTo }) => expandsTo);
  return [
    '',
    `### ${spec}`,
    '',
    `| instruction | operands | pattern |${short ? ' stands for |' : ''}`,
    `| --- | --- | --- |${short ? ' --- |' : ''}`,
    ...rows.map((row) => {
      const cells = [code(row.name), code(row.syntax), code(row.pattern), ...(short ? [code(expansion(row))] : [])];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
    }),
  ];
}

function code(text: string): string {
  return text === '' ? '' : `\`${text}\``;
}

/** The base instruction's mnemonic of a compressed row. */
function expansion(row: Instruction): string {
  const first = (kind: OperandKind): number => kind.decode(kind.samples[0]!);
  const operands = Object.fromEntries(Object.entries(row.operands).map(([name, kind]) => [name, first(kind)]));
  return row.expandsTo?.(operands).row.mnemonic ?? '';
}
