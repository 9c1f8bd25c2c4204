import { ValType } from './type.ts';
import type { FunctionType, ValTypeName } from './type.ts';

/**
 * What follows an opcode in the binary, in order. `memory`, `memoryMemory` and `zero` are index bytes that are zero while
 * a module has one memory; `elemTable` and `dataMemory` name the segment first, as the binary does.
 */
export type Immediates =
  | 'none'
  | 'block'
  | 'label'
  | 'brTable'
  | 'func'
  | 'callIndirect'
  | 'local'
  | 'global'
  | 'table'
  | 'tableTable'
  | 'elem'
  | 'elemTable'
  | 'data'
  | 'dataMemory'
  | 'memory'
  | 'memoryMemory'
  | 'zero'
  | 'refType'
  | 'selectTypes'
  | 'memarg'
  | 'memarg+lane'
  | 'lane'
  | 'lanes16'
  | 'i32'
  | 'i64'
  | 'f32'
  | 'f64'
  | 'v128';

export interface Opcode {
  /** One byte, or `prefix << 12 | number` for the instructions behind 0xfc, 0xfd and 0xfe: written 0xfd_00e here. */
  readonly code: number;
  readonly immediates: Immediates;
  /** Operand and result types; undefined where they depend on the operands, the immediates or the context. */
  readonly signature: FunctionType | undefined;
  /** Bytes of memory accessed, which is also the natural alignment; 0 for an instruction without a memarg. */
  readonly bytes: number;
  /** Atomic accesses must state exactly their natural alignment. */
  readonly atomic: boolean;
}

function row(
  code: number,
  immediates: Immediates,
  signature: string | undefined,
  bytes: number,
  atomic: boolean,
): Opcode {
  return { code, immediates, signature: signature === undefined ? undefined : interned(signature), bytes, atomic };
}

export function plain(code: number, signature?: string): Opcode {
  return row(code, 'none', signature, 0, false);
}

export function immediate(code: number, immediates: Immediates, signature?: string): Opcode {
  return row(code, immediates, signature, 0, false);
}

export function access(code: number, bytes: number, signature: string): Opcode {
  return row(code, 'memarg', signature, bytes, false);
}

export function laneAccess(code: number, bytes: number, signature: string): Opcode {
  return row(code, 'memarg+lane', signature, bytes, false);
}

export function atomic(code: number, bytes: number, signature: string): Opcode {
  return row(code, 'memarg', signature, bytes, true);
}

/** Some forty signatures serve the whole table: instructions of one signature share the object. */
const signatures = new Map<string, FunctionType>();

function interned(signature: string): FunctionType {
  let type = signatures.get(signature);
  if (type === undefined) signatures.set(signature, (type = parse(signature)));
  return type;
}

function parse(signature: string): FunctionType {
  const [params, results] = signature.split('->').map((side) => side.trim().split(/\s+/u).filter(Boolean));
  const types = (names: string[] | undefined) => (names ?? []).map((name) => ValType[name as ValTypeName]);
  return { params: types(params), results: types(results) };
}
