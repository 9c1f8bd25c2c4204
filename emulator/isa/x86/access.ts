import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import { RIP, type X86Operands } from './encoding.ts';
import { AF, CF, OF, PF, R, SF, ZF } from './registers.ts';

/** Values are held as i64 whose upper bits are zero for narrower operands. */
export function truncate(b: Builder, value: Value, size: number): Value {
  return size === 64 ? value : b.op('and', 'i64', value, b.const('i64', (1n << BigInt(size)) - 1n));
}

/** Which register and how far up its bits stand: ah…bh are bits 8…15 of rax…rbx. */
function placeOf(register: number, size: number, rex: number): { readonly index: number; readonly shift: number } {
  return size === 8 && rex === 0 && register >= 4 && register < 8
    ? { index: register - 4, shift: 8 }
    : { index: register, shift: 0 };
}

export function readRegister(b: Builder, register: number, size: number, rex: number): Value {
  const { index, shift } = placeOf(register, size, rex);
  const whole = b.get(R, index);
  return truncate(b, shift === 0 ? whole : b.op('shr_u', 'i64', whole, b.const('i64', shift)), size);
}

/** 32-bit writes clear the upper half, narrower ones leave the rest (Intel SDM volume 1, "General-Purpose Registers in 64-Bit Mode"). */
export function writeRegister(b: Builder, register: number, size: number, rex: number, value: Value): void {
  if (size >= 32) {
    b.set(R, register, value);
    return;
  }
  const { index, shift } = placeOf(register, size, rex);
  const mask = ((1n << BigInt(size)) - 1n) << BigInt(shift);
  const kept = b.op('and', 'i64', b.get(R, index), b.const('i64', ~mask));
  const placed = shift === 0 ? value : b.op('shl', 'i64', value, b.const('i64', shift));
  b.set(R, index, b.op('or', 'i64', kept, placed));
}

/** base + (index << scale) + displacement; rip is the address of the next instruction. */
export function effectiveAddress(b: Builder, { base, index, scale, displacement }: X86Operands): Value {
  let address: Value | undefined;
  if (base === RIP) address = b.nextPc();
  else if (base >= 0) address = b.get(R, base);
  if (index >= 0) {
    const scaled = scale === 0 ? b.get(R, index) : b.op('shl', 'i64', b.get(R, index), b.const('i64', scale));
    address = address === undefined ? scaled : b.op('add', 'i64', address, scaled);
  }
  if (address === undefined) return b.const('i64', displacement);
  return displacement === 0 ? address : b.op('add', 'i64', address, b.const('i64', displacement));
}

/** The r/m operand: a register, or memory at one address that is computed once. */
export interface Location {
  readonly read: () => Value;
  readonly write: (value: Value) => void;
}

export function locationOf(b: Builder, operands: X86Operands, size: number = operands.size): Location {
  if (operands.direct === 1) {
    return {
      read: () => readRegister(b, operands.rm, size, operands.rex),
      write: (value) => writeRegister(b, operands.rm, size, operands.rex, value),
    };
  }
  const address = effectiveAddress(b, operands);
  return { read: () => b.load('i64', size, address), write: (value) => b.store('i64', size, address, value) };
}

/** The immediate, sign-extended to the operand size. */
export function immediate(b: Builder, { immediateLow, immediateHigh, size }: X86Operands): Value {
  const value = (BigInt(immediateHigh) << 32n) | BigInt(immediateLow >>> 0);
  return b.const('i64', BigInt.asUintN(size, value));
}

function signBit(b: Builder, value: Value, size: number): Value {
  const bit = b.op('and', 'i64', b.op('shr_u', 'i64', value, b.const('i64', size - 1)), b.const('i64', 1n));
  return b.op('wrap', 'i32', bit);
}

/** SF, ZF and PF of a result; PF is the evenness of the low byte. */
export function setResultFlags(b: Builder, result: Value, size: number): void {
  b.set(ZF, 0, b.op('eq', 'i64', result, b.const('i64', 0n)));
  b.set(SF, 0, signBit(b, result, size));
  const ones = b.op('popcnt', 'i64', b.op('and', 'i64', result, b.const('i64', 0xffn)));
  b.set(
    PF,
    0,
    b.op('wrap', 'i32', b.op('and', 'i64', b.op('xor', 'i64', ones, b.const('i64', 1n)), b.const('i64', 1n))),
  );
}

/** AF: the carry or borrow out of bit 3. */
function setAdjust(b: Builder, x: Value, y: Value, result: Value): void {
  const mixed = b.op('xor', 'i64', b.op('xor', 'i64', x, y), result);
  b.set(
    AF,
    0,
    b.op('wrap', 'i32', b.op('and', 'i64', b.op('shr_u', 'i64', mixed, b.const('i64', 4n)), b.const('i64', 1n))),
  );
}

/** x + y with all flags (Intel SDM volume 1, "EFLAGS Register"). */
export function addWithFlags(b: Builder, x: Value, y: Value, size: number): Value {
  const result = truncate(b, b.op('add', 'i64', x, y), size);
  b.set(CF, 0, b.op('lt_u', 'i64', result, x));
  b.set(OF, 0, signBit(b, b.op('and', 'i64', b.op('xor', 'i64', x, result), b.op('xor', 'i64', y, result)), size));
  setAdjust(b, x, y, result);
  setResultFlags(b, result, size);
  return result;
}

/** x − y with all flags. */
export function subtractWithFlags(b: Builder, x: Value, y: Value, size: number): Value {
  const result = truncate(b, b.op('sub', 'i64', x, y), size);
  b.set(CF, 0, b.op('lt_u', 'i64', x, y));
  b.set(OF, 0, signBit(b, b.op('and', 'i64', b.op('xor', 'i64', x, y), b.op('xor', 'i64', x, result)), size));
  setAdjust(b, x, y, result);
  setResultFlags(b, result, size);
  return result;
}

/** Sign-extends a value of `size` bits to 64. */
export function widenSigned(b: Builder, value: Value, size: number): Value {
  switch (size) {
    case 8:
      return b.op('extend8_s', 'i64', value);
    case 16:
      return b.op('extend16_s', 'i64', value);
    case 32:
      return b.op('extend32_s', 'i64', value);
    default:
      return value;
  }
}
