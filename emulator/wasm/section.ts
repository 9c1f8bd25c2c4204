import { fail } from './error.ts';
import { ByteBuffer, u32Length } from './leb128.ts';
import { opcode } from './opcode.ts';
import { ValType, valTypeName } from './type.ts';
import type { Limits, MemoryType, TableType } from './type.ts';

/** A global's initial value: an f64 or f32 number, an i32 number, an i64 bigint or number, or an imported global to copy. */
export type GlobalInit = number | bigint | { readonly global: number };

/** The entries of one section, counted. */
export class Entries {
  readonly bytes = new ByteBuffer(0);
  count = 0;
}

export function openSection(out: ByteBuffer, id: number): number {
  out.byte(id);
  return out.slot();
}

export function writeSection(out: ByteBuffer, id: number, entries: Entries | undefined): void {
  if (entries === undefined) return;
  out.byte(id);
  out.u32(u32Length(entries.count) + entries.bytes.length);
  out.u32(entries.count);
  out.appendBuffer(entries.bytes);
}

export function writeValTypes(out: ByteBuffer, types: readonly ValType[]): void {
  out.u32(types.length);
  for (const type of types) out.byte(type);
}

export function writeMemoryType(out: ByteBuffer, type: MemoryType): void {
  const shared = type.shared === true;
  if (shared && type.maximum === undefined) fail('a shared memory must state its maximum');
  writeLimits(out, type, shared ? 2 : 0);
}

export function writeTableType(out: ByteBuffer, type: TableType): void {
  out.byte(type.element ?? ValType.funcref);
  writeLimits(out, type, 0);
}

function writeLimits(out: ByteBuffer, limits: Limits, flags: number): void {
  const { initial, maximum } = limits;
  if (maximum !== undefined && maximum < initial) fail(`limits: maximum ${maximum} is below initial ${initial}`);
  out.byte(flags | (maximum === undefined ? 0 : 1));
  out.u32(initial);
  if (maximum !== undefined) out.u32(maximum);
}

export function writeInit(out: ByteBuffer, type: ValType, init: GlobalInit): void {
  if (typeof init === 'object') {
    out.byte(opcode['global.get'].code);
    out.u32(init.global);
  } else {
    writeConstant(out, type, init);
  }
  out.byte(opcode.end.code);
}

function writeConstant(out: ByteBuffer, type: ValType, value: number | bigint): void {
  switch (type) {
    case ValType.i32:
      out.byte(opcode['i32.const'].code);
      out.s32(Number(value));
      break;
    case ValType.i64:
      out.byte(opcode['i64.const'].code);
      out.s64(BigInt(value));
      break;
    case ValType.f32:
      out.byte(opcode['f32.const'].code);
      out.f32(Number(value));
      break;
    case ValType.f64:
      out.byte(opcode['f64.const'].code);
      out.f64(Number(value));
      break;
    default:
      fail(`a global of type ${valTypeName(type)} takes no initial number`);
  }
}
