import type { Builder } from '../ir/builder.ts';
import type { Operand } from '../ir/type.ts';
import { literalBits, parsePattern, type Field, type FieldNames } from '../bits/pattern.ts';
import type { Instruction, Lift, OperandKind } from './instruction.ts';

/** How each field name of an ISA's patterns reads; the field gives the width. */
export type OperandKinds<Names extends string> = Readonly<Record<Names, (field: Field) => OperandKind>>;

/** The `{name}` places of an assembly template. */
type Placeholders<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Placeholders<Rest>
  : never;

/** Names the places that no field fills, so that the compiler's message shows them. */
type SyntaxOf<Text extends string, Names extends string> =
  Exclude<Placeholders<Text>, Names> extends never
    ? Text
    : { readonly 'no such field': Exclude<Placeholders<Text>, Names> };

/** What a row says beside encoding, assembly and meaning. */
export interface RowFacts {
  readonly spec: string;
  readonly extension: string;
  readonly cold?: true;
  /** The row's unique name where it is not the mnemonic: a second encoding of the same instruction. */
  readonly name?: string;
}

/** A row with the pattern it was made from. Not to be spread: members may be accessors. */
export interface TableRow extends Instruction {
  readonly pattern: string;
  readonly fields: Readonly<Record<string, Field>>;
}

/**
 * Fields and operands are made when first asked for: programs use a fraction of a table's rows, and it takes most of the time that the table does.
 * [measured: 5 ms of a start]
 */
class LazyRow implements TableRow {
  readonly name: string;
  readonly mnemonic: string;
  readonly pattern: string;
  readonly length: number;
  readonly mask: number;
  readonly match: number;
  readonly syntax: string;
  readonly lift: Lift<string>;
  readonly spec: string;
  readonly extension: string;
  readonly #kinds: OperandKinds<string>;
  #fields: Readonly<Record<string, Field>> | undefined;
  #operands: Readonly<Record<string, OperandKind>> | undefined;

  constructor(
    kinds: OperandKinds<string>,
    mnemonic: string,
    pattern: string,
    syntax: string,
    lift: Lift<string>,
    { name = mnemonic, spec, extension }: RowFacts,
  ) {
    const { width, mask, match } = literalBits(pattern);
    this.name = name;
    this.mnemonic = mnemonic;
    this.pattern = pattern;
    this.length = width / 8;
    this.mask = mask;
    this.match = match;
    this.syntax = syntax;
    this.lift = lift;
    this.spec = spec;
    this.extension = extension;
    this.#kinds = kinds;
  }

  get fields(): Readonly<Record<string, Field>> {
    return (this.#fields ??= parsePattern(this.pattern).fields);
  }

  get operands(): Readonly<Record<string, OperandKind>> {
    return (this.#operands ??= Object.fromEntries(
      Object.entries(this.fields).map(([name, field]) => [name, this.#kinds[name]!(field)]),
    ));
  }
}

/**
 * The row constructors of one ISA with fixed-width encodings. `instruction('addw', '0000000 rs2:5 rs1:5 000 rd:5 0111011', '{rd},{rs1},{rs2}', lift, facts)`:
 * a field name that the ISA does not know, a `{place}` without a field and an operand that the pattern lacks are compile errors.
 */
export function tableOf<KnownNames extends string>(kinds: OperandKinds<KnownNames>) {
  function instruction<const Text extends string, const Syntax extends string>(
    mnemonic: string,
    pattern: Text &
      (Exclude<FieldNames<Text>, KnownNames> extends never
        ? unknown
        : { readonly 'no such operand': Exclude<FieldNames<Text>, KnownNames> }),
    syntax: SyntaxOf<Syntax, FieldNames<Text>> & Syntax,
    lift: (b: Builder, operands: Readonly<Record<FieldNames<Text>, Operand>>) => void,
    facts: RowFacts,
  ): TableRow {
    return rowOf(mnemonic, pattern, syntax, lift as Lift<string>, facts);
  }

  /** A shorter encoding of another row: same meaning, `mapping` gives that row's operands from this one's. */
  function shortForm<const Text extends string, const Syntax extends string>(
    mnemonic: string,
    pattern: Text &
      (Exclude<FieldNames<Text>, KnownNames> extends never
        ? unknown
        : { readonly 'no such operand': Exclude<FieldNames<Text>, KnownNames> }),
    syntax: SyntaxOf<Syntax, FieldNames<Text>> & Syntax,
    row: Instruction,
    mapping: (operands: Readonly<Record<FieldNames<Text>, number>>) => Readonly<Record<string, number>>,
    facts: RowFacts,
  ): TableRow {
    const lift = (b: Builder, operands: Readonly<Record<FieldNames<Text>, Operand>>) =>
      row.lift(b, mapping(operands as Readonly<Record<FieldNames<Text>, number>>));
    const expandsTo = (operands: Readonly<Record<string, number>>) => ({
      row,
      operands: mapping(operands as Readonly<Record<FieldNames<Text>, number>>),
    });
    return Object.assign(instruction(mnemonic, pattern, syntax, lift, facts), { expandsTo });
  }

  /** The same instruction with another meaning. */
  function relift({ mnemonic, pattern, syntax, ...facts }: TableRow, lift: Lift<string>): TableRow {
    return rowOf(mnemonic, pattern, syntax, lift, facts);
  }

  function rowOf(mnemonic: string, pattern: string, syntax: string, lift: Lift<string>, facts: RowFacts): TableRow {
    const row = new LazyRow(kinds, mnemonic, pattern, syntax, lift, facts);
    return facts.cold === undefined ? row : Object.assign(row, { cold: facts.cold });
  }

  return { instruction, shortForm, relift };
}
