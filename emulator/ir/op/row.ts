import type { FloatResult } from '../../bits/float-format.ts';
import type { Attributes } from '../attributes.ts';
import type { Shape, Type } from '../type.ts';

/**
 * What an op does beside computing its result. `none`: pure, may be moved, merged or dropped. `flags`: accrues floating-point
 * exception flags. `reads`/`writes`: guest registers. `memory`: may fault. `call`: everything a helper may do. `control`: may leave the block.
 */
type Effect = 'none' | 'flags' | 'reads' | 'writes' | 'memory' | 'call' | 'control' | 'marker';

/**
 * The type of one argument or result: a fixed type, `T` (the op's own), `from` (that attribute), `lane` (one lane of `shape`), or
 * `rm` (an `i32` rounding mode, 0 to 4 in RISC-V frm numbering; the lifter has excluded any other value).
 */
export type Typing = Type | 'T' | 'from' | 'lane' | 'rm';

/** What a reference meaning may look at beside the arguments. */
export type Typed = Attributes & { readonly type: Type | 'none' };

export interface OpRow {
  readonly doc: string;
  /** The types `T` may be; empty when the op has no type. */
  readonly types: readonly Type[];
  readonly args: readonly Typing[] | 'variadic';
  readonly result: Typing | 'none' | 'optional';
  readonly effect: Effect;
  /** Attributes that must be there; no others may. */
  readonly attributes?: readonly (keyof Attributes)[];
  /** What the attribute `from` may be, by `T`. */
  readonly from?: Partial<Readonly<Record<Type, readonly Type[]>>>;
  /** What the attribute `shape` may be. */
  readonly shapes?: readonly Shape[];
  readonly terminator?: true;
  /**
   * The WebAssembly instruction that does exactly this; `wasmInstruction` in op.ts completes it. `T.` (or the shape, for ops that have one)
   * goes in front when it starts with a dot; `{from}` stands for the attribute.
   */
  readonly wasm?: string;
  /** Reference meaning of a pure op: unsigned bit patterns in, unsigned bit pattern out. `width`: the bits of `T`. */
  readonly evaluate?: (args: readonly bigint[], width: number, op: Typed) => bigint;
  /** Reference meaning of a floating-point op: unsigned bit patterns in; result bits and the flags it raises out. */
  readonly evaluateFloat?: (args: readonly bigint[], op: Typed) => FloatResult;
}

export const INTEGER = ['i32', 'i64'] as const;
export const FLOAT = ['f32', 'f64'] as const;
export const ANY = ['i32', 'i64', 'f32', 'f64', 'v128'] as const;

/** Adds the name of the WebAssembly instruction, if there is one. */
export function withWasm(row: OpRow, wasm: string | undefined): OpRow {
  return wasm === undefined ? row : { ...row, wasm };
}
