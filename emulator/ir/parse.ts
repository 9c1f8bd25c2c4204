import { UserFacingError } from '../check/errors.ts';
import { ATTRIBUTE_TEXT, isKeyedAttribute, isShape, isType, readField } from './attribute-text.ts';
import type { Attributes } from './attributes.ts';
import type { Block, Op, Value } from './block.ts';
import { makeOp } from './make-op.ts';
import { OPS, type OpName, type OpRow, opRow, resultType } from './op.ts';
import type { RegisterFile, Slot, Type } from './type.ts';

/** IR text that cannot be read; `where` is `line:column`, both from 1. */
export class IrSyntaxError extends UserFacingError {
  readonly row: number;
  readonly column: number;

  constructor(message: string, row: number, column: number) {
    super(message, { where: `${row}:${column}` });
    this.row = row;
    this.column = column;
  }
}

export interface ParseOptions {
  readonly isa: string;
  /** The register files whose names the text uses. */
  readonly files: readonly RegisterFile[];
}

/**
 * Reads the text form: one op a line, values by any name (`%sum`), `;` comments to the end of the line. Attributes left out take their
 * usual value where there is one. Only what the text alone shows is checked here; `verify` checks the rest.
 * @throws IrSyntaxError at the first mistake.
 */
export function parseBlock(text: string, options: ParseOptions): Block {
  const block: Block = { isa: options.isa, ops: [] };
  const values = new Map<string, Value>();
  text.split('\n').forEach((line, index) => {
    const tokens = tokenize(line, index + 1);
    if (tokens.length > 0) block.ops.push(new LineParser(tokens, options.files, values, block.ops.length).op());
  });
  return block;
}

interface Token {
  readonly text: string;
  readonly row: number;
  readonly column: number;
}

/** Words, with `lanes=[0 1]` kept whole; commas and blanks only separate, `=` stands alone when it has blanks around it. */
function tokenize(line: string, row: number): Token[] {
  const code = line.replace(/;.*$/, '');
  return [...code.matchAll(/\w+=\[[^\]]*\]?|[^\s,]+/g)].map((match) => ({
    text: match[0],
    row,
    column: match.index + 1,
  }));
}

class LineParser {
  readonly #tokens: readonly Token[];
  readonly #files: readonly RegisterFile[];
  readonly #values: Map<string, Value>;
  readonly #index: Value;

  constructor(tokens: readonly Token[], files: readonly RegisterFile[], values: Map<string, Value>, index: Value) {
    this.#tokens = tokens;
    this.#files = files;
    this.#values = values;
    this.#index = index;
  }

  op(): Op {
    const first = this.#tokens[0]!;
    const names = first.text.startsWith('%');
    if (names && this.#tokens[1]?.text !== '=') this.#fail('expected = after the value', this.#tokens[1] ?? first);
    const head = this.#tokens[names ? 2 : 0] ?? this.#fail('expected an op after =', first);
    const operands = this.#tokens.slice(names ? 3 : 1);

    const [word, suffix] = splitOnce(head.text, '.');
    if (!Object.hasOwn(OPS, word)) this.#fail(`there is no op '${word}'`, head);
    const name = word as OpName;
    const row = opRow(name);
    const attributes: Mutable<Attributes> = {};
    const type = this.#suffix(name, row, suffix, attributes, head);
    const args: Value[] = [];
    for (const token of operands) this.#operand(name, row, attributes, args, token);
    this.#complete(name, row, attributes, head);

    const op = makeOp({ name, type, args, ...attributes });
    const result = resultType(op);
    if (names && result === undefined) this.#fail(`${word} gives no value`, first);
    if (!names && result !== undefined) this.#fail(`the value of ${word} needs a name, as in %1 = ${word}`, head);
    if (names) this.#define(first);
    return op;
  }

  /** What follows the dot: the shape of a vector op, or the type. */
  #suffix(
    name: OpName,
    row: OpRow,
    suffix: string | undefined,
    attributes: Mutable<Attributes>,
    head: Token,
  ): Type | 'none' {
    if (row.shapes !== undefined) {
      if (suffix === undefined || !isShape(suffix) || !row.shapes.includes(suffix)) {
        return this.#fail(`${name} needs a shape of ${row.shapes.join(', ')}`, head);
      }
      attributes.shape = suffix;
      return 'v128';
    }
    if (suffix === undefined) {
      if (row.types.length === 0 || row.result === 'optional') return 'none';
    } else if (isType(suffix) && row.types.includes(suffix)) {
      return suffix;
    }
    return this.#fail(
      row.types.length === 0 ? `${name} has no type` : `${name} needs a type of ${row.types.join(', ')}`,
      head,
    );
  }

  #operand(name: OpName, row: OpRow, attributes: Mutable<Attributes>, args: Value[], token: Token): void {
    const { text } = token;
    const wants = (key: keyof Attributes) => row.attributes?.includes(key) === true && attributes[key] === undefined;
    if (text.startsWith('%')) {
      args.push(this.#values.get(text) ?? this.#fail(`there is no value ${text} before this op`, token));
      return;
    }
    if (text.startsWith('@') && wants('helper')) {
      attributes.helper = text.slice(1);
      return;
    }
    const [key, value] = splitOnce(text, '=');
    if (isKeyedAttribute(key)) {
      if (!wants(key)) this.#fail(`${name} takes no ${key}, or has it already`, token);
      const codec = ATTRIBUTE_TEXT[key];
      const read = codec.read(value ?? (key === 'signed' ? 'true' : ''));
      if (read === undefined) this.#fail(`${key} is not ${codec.expected}`, token);
      Object.assign(attributes, { [key]: read });
      return;
    }
    if (wants('bits') && /^0x[\da-f]{1,32}$/i.test(text)) {
      attributes.bits = BigInt(text);
      return;
    }
    const field = readField(text);
    if (field !== undefined && wants('field')) {
      attributes.field = field;
      return;
    }
    if (wants('slot')) {
      attributes.slot = readSlot(text, this.#files) ?? this.#fail(`there is no register ${text}`, token);
      return;
    }
    this.#fail(`${name} cannot take '${text}'`, token);
  }

  /** Fills in what was left out. */
  #complete(name: OpName, row: OpRow, attributes: Mutable<Attributes>, head: Token): void {
    for (const key of row.attributes ?? []) {
      if (attributes[key] !== undefined) continue;
      const assumed = isKeyedAttribute(key) ? ATTRIBUTE_TEXT[key].assumed : undefined;
      if (assumed === undefined) this.#fail(`${name} needs ${key === 'slot' ? 'a register' : key}`, head);
      Object.assign(attributes, { [key]: assumed });
    }
  }

  #define(token: Token): void {
    if (!/^%\w+$/.test(token.text)) this.#fail(`'${token.text}' is no name for a value`, token);
    if (this.#values.has(token.text)) this.#fail(`${token.text} is defined twice`, token);
    this.#values.set(token.text, this.#index);
  }

  #fail(message: string, token: Token): never {
    throw new IrSyntaxError(message, token.row, token.column);
  }
}

/** A register by its name in one of the files, `x5` or `x{rd}`; undefined when there is none. */
export function readSlot(text: string, files: readonly RegisterFile[]): Slot | undefined {
  for (const file of files) {
    if (text === file.name && file.count === 1) return { file, index: 0 };
    if (!text.startsWith(file.name)) continue;
    const rest = text.slice(file.name.length);
    const field = readField(rest);
    if (field !== undefined) return { file, index: field };
    if (/^(0|[1-9]\d{0,3})$/.test(rest) && (Number(rest) < file.count || Number(rest) === file.sink)) {
      return { file, index: Number(rest) };
    }
  }
  return undefined;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
