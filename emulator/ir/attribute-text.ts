import { ALIGNMENTS, type Attributes, JUMP_HINTS, ORDERS, RMWS } from './attributes.ts';
import { type Field, isField, SHAPES, type Shape, type Type, WIDTH } from './type.ts';

/** How an attribute is written as `key=value`, and read back. */
interface AttributeText<Value> {
  readonly show: (value: Value) => string;
  /** Undefined when the text is no such value. */
  readonly read: (text: string) => Value | undefined;
  /** What is left out when printing, and assumed when the row wants the attribute and the text lacks it. */
  readonly assumed?: Value;
  /** What the text should have been, for messages. */
  readonly expected: string;
}

/** Attributes that stand among the operands or in the op's suffix instead. */
type PositionalAttribute = 'bits' | 'field' | 'slot' | 'helper' | 'shape';
export type KeyedAttribute = Exclude<keyof Attributes, PositionalAttribute>;

function oneOf<Value extends string>(values: readonly Value[], assumed?: Value): AttributeText<Value> {
  return {
    show: (value) => value,
    read: (text) => values.find((value) => value === text),
    ...(assumed === undefined ? {} : { assumed }),
    expected: values.join(', '),
  };
}

const COUNT: AttributeText<number> = {
  show: String,
  read: (text) => (/^\d{1,9}$/.test(text) ? Number(text) : undefined),
  expected: 'a number',
};

/** `signed` alone stands for `signed=true`. */
export const ATTRIBUTE_TEXT: { readonly [Key in KeyedAttribute]: AttributeText<NonNullable<Attributes[Key]>> } = {
  width: COUNT,
  signed: {
    show: String,
    read: (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
    assumed: false,
    expected: 'true, false',
  },
  order: oneOf(ORDERS, 'none'),
  rmw: oneOf(RMWS),
  alignment: oneOf(ALIGNMENTS, 'any'),
  from: oneOf(Object.keys(WIDTH) as Type[]),
  lane: COUNT,
  lanes: {
    show: (lanes) => `[${lanes.join(' ')}]`,
    read: (text) => (/^\[[\d ]*\]$/.test(text) ? (text.match(/\d+/g) ?? []).map(Number) : undefined),
    expected: 'lane numbers in brackets',
  },
  cause: COUNT,
  displacement: {
    show: (displacement) => (isField(displacement) ? showField(displacement) : String(displacement)),
    read: (text) => readField(text) ?? (/^-?\d{1,15}$/.test(text) ? Number(text) : undefined),
    expected: 'a number or a {field}',
  },
  hint: oneOf(JUMP_HINTS, 'none'),
  pc: {
    // Behind address translation engines count addresses of the upper half from its end.
    show: (pc) => `0x${BigInt.asUintN(64, pc).toString(16)}`,
    read: (text) => (/^0x[\da-f]{1,16}$/i.test(text) ? BigInt(text) : undefined),
    expected: 'an address such as 0x1000',
  },
  length: COUNT,
};

export function isKeyedAttribute(key: string): key is KeyedAttribute {
  return Object.hasOwn(ATTRIBUTE_TEXT, key);
}

export function isShape(text: string): text is Shape {
  return Object.hasOwn(SHAPES, text);
}

export function isType(text: string): text is Type {
  return Object.hasOwn(WIDTH, text);
}

export function showField(field: Field): string {
  return `{${field.field}}`;
}

export function readField(text: string): Field | undefined {
  const name = /^\{(\w+)\}$/.exec(text)?.[1];
  return name === undefined ? undefined : { field: name };
}
