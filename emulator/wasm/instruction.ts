import type { BinaryReader } from './binary-reader.ts';
import { opcode, opNameOf } from './opcode.ts';
import type { OpName } from './opcode.ts';
import { valTypeName } from './type.ts';

/** One instruction with its immediates as the text format writes them, in text order. */
export interface Instruction {
  readonly name: OpName;
  readonly immediates: readonly string[];
  /** Offset of its first byte. */
  readonly offset: number;
}

const VOID_BLOCK = 0x40;
const FIRST_PREFIX = 0xfc;
const LAST_PREFIX = 0xfe;

/** Reads one instruction; throws `MalformedModuleError` for a code that the table does not have. */
export function readInstruction(reader: BinaryReader): Instruction {
  const offset = reader.offset;
  const first = reader.byte();
  let code = first;
  if (first >= FIRST_PREFIX && first <= LAST_PREFIX) {
    const number = reader.u32();
    code = number > 0xfff ? -1 : (first << 12) | number;
  }
  const name = opNameOf(code) ?? reader.fail(`unknown instruction 0x${first.toString(16)}`, offset);
  return { name, immediates: readImmediates(reader, name), offset };
}

export function formatInstruction({ name, immediates }: Instruction): string {
  return immediates.length === 0 ? name : `${name} ${immediates.join(' ')}`;
}

function readImmediates(reader: BinaryReader, name: OpName): string[] {
  const row = opcode[name];
  switch (row.immediates) {
    case 'none':
      return [];
    case 'memory':
    case 'zero':
      zeros(reader, 1);
      return [];
    case 'memoryMemory':
      zeros(reader, 2);
      return [];
    case 'local':
    case 'global':
    case 'label':
    case 'func':
    case 'table':
    case 'elem':
    case 'data':
      return [String(reader.u32())];
    case 'dataMemory': {
      const segment = reader.u32();
      zeros(reader, 1);
      return [String(segment)];
    }
    case 'tableTable':
      return [String(reader.u32()), String(reader.u32())];
    case 'callIndirect':
    case 'elemTable': {
      const first = reader.u32();
      const table = reader.u32();
      return row.immediates === 'elemTable' ? [String(table), String(first)] : [String(table), `(type ${first})`];
    }
    case 'brTable': {
      const labels: string[] = [];
      for (let left = reader.count() + 1; left > 0; left--) labels.push(String(reader.u32()));
      return labels;
    }
    case 'block':
      return blockType(reader);
    case 'refType':
      return [reference(reader)];
    case 'selectTypes':
      if (reader.u32() !== 1) reader.fail('select_t states other than one type');
      return [`(result ${typeName(reader)})`];
    case 'memarg':
      return memoryOperand(reader, row.bytes);
    case 'memarg+lane':
      return [...memoryOperand(reader, row.bytes), String(reader.byte())];
    case 'lane':
      return [String(reader.byte())];
    case 'lanes16':
      return Array.from(reader.take(16), String);
    case 'i32':
      return [String(reader.s32())];
    case 'i64':
      return [String(reader.s64())];
    case 'f32':
      return [formatFloat(BigInt(reader.bits32()), 8, 23)];
    case 'f64':
      return [formatFloat(reader.bits64(), 11, 52)];
    case 'v128':
      return ['i8x16', ...Array.from(reader.take(16), String)];
  }
}

function zeros(reader: BinaryReader, count: number): void {
  for (let left = count; left > 0; left--) {
    if (reader.byte() !== 0) reader.fail('a memory other than 0', reader.offset - 1);
  }
}

function blockType(reader: BinaryReader): string[] {
  const start = reader.offset;
  const code = reader.byte();
  if (code === VOID_BLOCK) return [];
  const name = valTypeName(code);
  if (name !== undefined) return [`(result ${name})`];
  reader.offset = start;
  const index = reader.s33();
  if (index < 0) reader.fail('unknown block type', start);
  return [`(type ${index})`];
}

function typeName(reader: BinaryReader): string {
  const code = reader.byte();
  return valTypeName(code) ?? reader.fail(`unknown value type ${code}`, reader.offset - 1);
}

function reference(reader: BinaryReader): string {
  const name = typeName(reader);
  if (!name.endsWith('ref')) reader.fail(`${name} is no reference type`, reader.offset - 1);
  return name.slice(0, -'ref'.length);
}

function memoryOperand(reader: BinaryReader, bytes: number): string[] {
  const start = reader.offset;
  const exponent = reader.u32();
  if (exponent > 4) reader.fail(`alignment of 2^${exponent}`, start);
  const offset = reader.u32();
  const parts: string[] = [];
  if (offset !== 0) parts.push(`offset=${offset}`);
  if (1 << exponent !== bytes) parts.push(`align=${1 << exponent}`);
  return parts;
}

/** The text format's float literals; NaNs with their payload. */
function formatFloat(bits: bigint, exponentBits: number, fractionBits: number): string {
  const fraction = BigInt.asUintN(fractionBits, bits);
  const exponent = BigInt.asUintN(exponentBits, bits >> BigInt(fractionBits));
  const sign = bits >> BigInt(exponentBits + fractionBits) === 0n ? '' : '-';
  if (exponent === (1n << BigInt(exponentBits)) - 1n) {
    return fraction === 0n ? `${sign}inf` : `${sign}nan:0x${fraction.toString(16)}`;
  }
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  const value = exponentBits === 8 ? view.getFloat32(4) : view.getFloat64(0);
  return Object.is(value, -0) ? '-0' : String(value);
}
