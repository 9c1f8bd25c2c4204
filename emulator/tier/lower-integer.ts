import type { Op } from '../ir/block.ts';
import type { OpName } from '../ir/op.ts';
import { WIDTH } from '../ir/type.ts';
import { ValType } from '../wasm/type.ts';
import type { Lowering, OpLowering } from './lower.ts';

type Integer = 'i32' | 'i64';

function integerConst(lowering: Lowering, type: Integer, value: bigint): void {
  if (type === 'i32') lowering.fn.i32Const(Number(BigInt.asIntN(32, value)));
  else lowering.fn.i64Const(value);
}

/** High half by 64-bit multiplication for i32, and by four 32-bit products for i64 (Knuth, "Multiple-precision arithmetic"). */
function multiplyHigh(signs: 'ss' | 'su' | 'uu'): OpLowering {
  return (lowering, op) => {
    if (op.type === 'i32') multiplyHigh32(lowering, op, signs);
    else multiplyHigh64(lowering, op, signs);
  };
}

function multiplyHigh32(lowering: Lowering, op: Op, signs: string): void {
  const { fn } = lowering;
  lowering.push(op.args[0]!);
  fn.op(signs[0] === 's' ? 'i64.extend_i32_s' : 'i64.extend_i32_u');
  lowering.push(op.args[1]!);
  fn.op(signs[1] === 's' ? 'i64.extend_i32_s' : 'i64.extend_i32_u');
  fn.op('i64.mul');
  fn.i64Const(32);
  fn.op('i64.shr_u');
  fn.op('i32.wrap_i64');
}

function multiplyHigh64(lowering: Lowering, op: Op, signs: string): void {
  const { fn } = lowering;
  const MASK = 0xffff_ffffn;
  lowering.argumentsInLocals(op, ['i64', 'i64'], (a, b) => {
    lowering.scratch(['i64', 'i64'], (low, middle) => {
      const half = (local: number, high: boolean): void => {
        fn.localGet(local);
        if (high) {
          fn.i64Const(32);
          fn.op('i64.shr_u');
        } else {
          fn.i64Const(MASK);
          fn.op('i64.and');
        }
      };
      const product = (aHigh: boolean, bHigh: boolean): void => {
        half(a, aHigh);
        half(b, bHigh);
        fn.op('i64.mul');
      };
      // middle = aHigh*bLow + (aLow*bLow >> 32), which cannot overflow
      product(true, false);
      product(false, false);
      fn.i64Const(32);
      fn.op('i64.shr_u');
      fn.op('i64.add');
      fn.localSet(middle);
      // low = aLow*bHigh + low half of middle, which cannot either
      product(false, true);
      half(middle, false);
      fn.op('i64.add');
      fn.localSet(low);
      product(true, true);
      half(middle, true);
      fn.op('i64.add');
      half(low, true);
      fn.op('i64.add');
    });
    // A negative signed factor counts 2^64 too much times the other factor.
    const correct = (negative: number, other: number): void => {
      fn.localGet(negative);
      fn.i64Const(63);
      fn.op('i64.shr_s');
      fn.localGet(other);
      fn.op('i64.and');
      fn.op('i64.sub');
    };
    if (signs[0] === 's') correct(a, b);
    if (signs[1] === 's') correct(b, a);
  });
}

/** Division without WebAssembly's traps: on a zero divisor `zero` says the result, on -1 the signed forms avoid the overflow. */
function divide(kind: 'div' | 'rem', sign: 's' | 'u'): OpLowering {
  return (lowering, op) => {
    const { fn } = lowering;
    const type = op.type as Integer;
    const divisor = lowering.constant(op.args[1]!);
    const allOnes = (1n << BigInt(WIDTH[type])) - 1n;
    if (divisor !== undefined && divisor !== 0n && !(sign === 's' && divisor === allOnes)) {
      lowering.pushArguments(op);
      fn.op(`${type}.${kind}_${sign}`);
      return;
    }
    lowering.argumentsInLocals(op, [type, type], (a, b) => {
      fn.localGet(b);
      fn.op(`${type}.eqz`);
      const whenZero = fn.if(ValType[type]);
      if (kind === 'div') integerConst(lowering, type, 0n);
      else fn.localGet(a);
      fn.else();
      // rem_s of the least value by -1 is 0 in WebAssembly; only the quotient traps.
      const guarded = kind === 'div' && sign === 's';
      if (guarded) {
        fn.localGet(b);
        integerConst(lowering, type, -1n);
        fn.op(`${type}.eq`);
        const whenMinusOne = fn.if(ValType[type]);
        integerConst(lowering, type, 0n);
        fn.localGet(a);
        fn.op(`${type}.sub`);
        fn.else();
        fn.localGet(a);
        fn.localGet(b);
        fn.op(`${type}.div_s`);
        fn.end(whenMinusOne);
      } else {
        fn.localGet(a);
        fn.localGet(b);
        fn.op(`${type}.${kind}_${sign}`);
      }
      fn.end(whenZero);
    });
  };
}

/** Swaps neighbouring groups of bits, from `first` bits wide up to half the width. */
function reverse(first: 1 | 8): OpLowering {
  return (lowering, op) => {
    const { fn } = lowering;
    const type = op.type as Integer;
    const width = WIDTH[type];
    lowering.argumentsInLocals(op, [type], (x) => {
      for (let group = first as number; group < width / 2; group *= 2) {
        let mask = 0n;
        for (let bit = 0; bit < width; bit += 2 * group) mask |= ((1n << BigInt(group)) - 1n) << BigInt(bit);
        fn.localGet(x);
        integerConst(lowering, type, BigInt(group));
        fn.op(`${type}.shr_u`);
        integerConst(lowering, type, mask);
        fn.op(`${type}.and`);
        fn.localGet(x);
        integerConst(lowering, type, mask);
        fn.op(`${type}.and`);
        integerConst(lowering, type, BigInt(group));
        fn.op(`${type}.shl`);
        fn.op(`${type}.or`);
        fn.localSet(x);
      }
      fn.localGet(x);
      integerConst(lowering, type, BigInt(width / 2));
      fn.op(`${type}.rotl`);
    });
  };
}

export const INTEGER_LOWERING: Partial<Record<OpName, OpLowering>> = {
  mulh_s: multiplyHigh('ss'),
  mulh_u: multiplyHigh('uu'),
  mulh_su: multiplyHigh('su'),
  div_s: divide('div', 's'),
  div_u: divide('div', 'u'),
  rem_s: divide('rem', 's'),
  rem_u: divide('rem', 'u'),
  byte_reverse: reverse(8),
  bit_reverse: reverse(1),
};
