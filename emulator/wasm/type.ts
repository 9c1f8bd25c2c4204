/** Value types by their binary code (Core specification 2.0, Binary Format, "Types"). */
export const ValType = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  funcref: 0x70,
  externref: 0x6f,
} as const;
export type ValTypeName = keyof typeof ValType;
export type ValType = (typeof ValType)[ValTypeName];
export type RefType = typeof ValType.funcref | typeof ValType.externref;

const nameByCode: ReadonlyMap<number, ValTypeName> = new Map(
  Object.entries(ValType).map(([name, code]) => [code, name as ValTypeName]),
);

/** The text-format name of a value type, or undefined when `code` is none. */
export function valTypeName(code: number): ValTypeName | undefined {
  return nameByCode.get(code);
}

export interface FunctionType {
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
}

/** `(func (param i32 i64) (result i32))` without the wrapping: `i32 i64 -> i32`. */
export function formatFunctionType(type: FunctionType): string {
  return [...type.params.map(valTypeName), '->', ...type.results.map(valTypeName)].join(' ');
}

/** Size limits of a memory (in 64 KiB pages) or of a table (in elements). */
export interface Limits {
  readonly initial: number;
  readonly maximum?: number | undefined;
}

export interface MemoryType extends Limits {
  /** Threads proposal: a shared memory must state its maximum. */
  readonly shared?: boolean | undefined;
}

export interface TableType extends Limits {
  /** `funcref` unless given. */
  readonly element?: RefType | undefined;
}

export interface GlobalType {
  readonly type: ValType;
  readonly mutable: boolean;
}

/** What a block takes and gives: nothing, one result, or a function type by its index. */
export type BlockType = ValType | { readonly type: number };
