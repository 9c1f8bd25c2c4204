import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { BinaryReader } from './binary-reader.ts';
import { formatInstruction, readInstruction } from './instruction.ts';
import { ByteBuffer } from './leb128.ts';
import { opcode, opNames } from './opcode.ts';
import type { OpName } from './opcode.ts';
import { ValType } from './type.ts';
import type { ValTypeName } from './type.ts';

/** Assembles one instruction from its text, by the table alone: the reverse of the disassembler. */
function assemble(text: string): Uint8Array {
  const [word, ...rest] = text.split(' ');
  const name = word as OpName;
  const out = new ByteBuffer();
  const { code, immediates, bytes } = opcode[name];
  if (code > 0xff) out.byte(code >>> 12);
  if (code > 0xff) out.u32(code & 0xfff);
  else out.byte(code);
  const numbers = rest.map((each) => Number(each.replace(/\(type (\d+)\)/u, '$1')));
  const parenthesised = /\((result|type) (\w+)\)/u.exec(text);
  switch (immediates) {
    case 'none':
      break;
    case 'memory':
    case 'zero':
      out.byte(0);
      break;
    case 'memoryMemory':
      out.u32(0);
      out.u32(0);
      break;
    case 'dataMemory':
      out.u32(numbers[0]!);
      out.u32(0);
      break;
    case 'tableTable':
      for (const index of numbers) out.u32(index);
      break;
    case 'elemTable':
      out.u32(numbers[1]!);
      out.u32(numbers[0]!);
      break;
    case 'callIndirect':
      out.u32(Number(parenthesised![2]));
      out.u32(numbers[0]!);
      break;
    case 'brTable':
      out.u32(numbers.length - 1);
      for (const depth of numbers) out.u32(depth);
      break;
    case 'block':
      if (parenthesised === null) out.byte(0x40);
      else if (parenthesised[1] === 'type') out.s64(BigInt(parenthesised[2]!));
      else out.byte(ValType[parenthesised[2] as ValTypeName]);
      break;
    case 'selectTypes':
      out.byte(1);
      out.byte(ValType[parenthesised![2] as ValTypeName]);
      break;
    case 'refType':
      out.byte(ValType[`${rest[0]}ref` as ValTypeName]);
      break;
    case 'memarg':
    case 'memarg+lane': {
      const stated = new Map(
        rest.filter((each) => each.includes('=')).map((each) => each.split('=') as [string, string]),
      );
      out.u32(Math.log2(Number(stated.get('align') ?? bytes)));
      out.u32(Number(stated.get('offset') ?? 0));
      if (immediates === 'memarg+lane') out.byte(numbers.at(-1)!);
      break;
    }
    case 'i32':
      out.s32(numbers[0]!);
      break;
    case 'i64':
      out.s64(BigInt(rest[0]!));
      break;
    case 'f32':
      out.u32le(Number(floatBits(rest[0]!, 32)));
      break;
    case 'f64': {
      const bits = floatBits(rest[0]!, 64);
      out.u32le(Number(bits & 0xffff_ffffn));
      out.u32le(Number(bits >> 32n));
      break;
    }
    case 'lanes16':
      out.append(Uint8Array.from(numbers));
      break;
    case 'v128':
      out.append(Uint8Array.from(numbers.slice(1)));
      break;
    default:
      out.u32(numbers[0]!);
  }
  return out.toBytes();
}

function floatBits(text: string, width: 32 | 64): bigint {
  const view = new DataView(new ArrayBuffer(8));
  const [, sign, payload] = /^(-?)nan:(0x[0-9a-f]+)$/u.exec(text) ?? [];
  if (payload !== undefined) {
    const exponent = width === 32 ? 0xffn << 23n : 0x7ffn << 52n;
    return (sign === '-' ? 1n << BigInt(width - 1) : 0n) | exponent | BigInt(payload);
  }
  const value = Number(text.replace('inf', 'Infinity'));
  if (width === 32) view.setFloat32(4, value);
  else view.setFloat64(0, value);
  return view.getBigUint64(0);
}

/** Immediates of an instruction at random, as bytes. */
function immediateBytes(name: OpName): fc.Arbitrary<Uint8Array> {
  const { immediates, bytes } = opcode[name];
  const index = fc.oneof(fc.nat(300), fc.nat(0xffff_ffff)).map((value) => encoded((out) => out.u32(value)));
  const lane = fc.nat(255).map((value) => Uint8Array.of(value));
  const memarg = fc
    .tuple(fc.nat(Math.max(0, Math.log2(bytes))), index)
    .map(([exponent, offset]) => join([Uint8Array.of(exponent), offset]));
  const fixed = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  switch (immediates) {
    case 'none':
      return fc.constant(new Uint8Array(0));
    case 'memory':
    case 'zero':
      return fc.constant(Uint8Array.of(0));
    case 'memoryMemory':
      return fc.constant(Uint8Array.of(0, 0));
    case 'dataMemory':
      return index.map((segment) => join([segment, Uint8Array.of(0)]));
    case 'tableTable':
    case 'elemTable':
    case 'callIndirect':
      return fc.tuple(index, index).map(join);
    case 'brTable':
      return fc
        .array(index, { minLength: 1, maxLength: 9 })
        .map((depths) => join([Uint8Array.of(depths.length - 1), ...depths]));
    case 'block':
      return fc.oneof(
        fc.constantFrom(0x40, ...Object.values(ValType)).map((code) => Uint8Array.of(code)),
        fc.nat(0xffff_ffff).map((type) => encoded((out) => out.s64(BigInt(type)))),
      );
    case 'selectTypes':
      return fc.constantFrom(...Object.values(ValType)).map((code) => Uint8Array.of(1, code));
    case 'refType':
      return fc.constantFrom(ValType.funcref, ValType.externref).map((code) => Uint8Array.of(code));
    case 'memarg':
      return memarg;
    case 'memarg+lane':
      return fc.tuple(memarg, lane).map(join);
    case 'lane':
      return fc.nat(15).map((value) => Uint8Array.of(value));
    case 'i32':
      return fc.integer().map((value) => encoded((out) => out.s32(value)));
    case 'i64':
      return fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }).map((value) => encoded((out) => out.s64(value)));
    case 'f32':
      return fixed(4);
    case 'f64':
      return fc.oneof(
        fixed(8),
        fixed(6).map((low) => join([low, Uint8Array.of(0xf0, 0x7f)])),
      );
    case 'lanes16':
    case 'v128':
      return fixed(16);
    default:
      return index;
  }
}

function encoded(write: (out: ByteBuffer) => void): Uint8Array {
  const out = new ByteBuffer();
  write(out);
  return out.toBytes();
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return encoded((out) => parts.forEach((part) => out.append(part)));
}

test('every instruction reads as text and assembles to the same bytes', () => {
  for (const name of opNames) {
    const { code } = opcode[name];
    const head =
      code > 0xff ? join([Uint8Array.of(code >>> 12), encoded((out) => out.u32(code & 0xfff))]) : Uint8Array.of(code);
    fc.assert(
      fc.property(immediateBytes(name), (immediates) => {
        const bytes = join([head, immediates]);
        const reader = new BinaryReader(bytes);
        const text = formatInstruction(readInstruction(reader));
        assert.ok(reader.done, text);
        assert.deepEqual([...assemble(text)], [...bytes], text);
      }),
      { numRuns: opcode[name].immediates === 'none' ? 1 : 50 },
    );
  }
});
