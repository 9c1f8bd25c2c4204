import type { Op } from '../ir/block.ts';
import { argumentType, resultType, type OpName } from '../ir/op.ts';
import type { Type } from '../ir/type.ts';
import { STATE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import type { OpName as WasmOp } from '../wasm/opcode.ts';
import { ValType } from '../wasm/type.ts';
import { FloatCode, type Float } from './float-code.ts';
import { classify } from './float-class.ts';
import { HOST_FUSES } from './host-fuses.ts';
import type { Lowering, OpLowering } from './lower.ts';

/**
 * Floating point by host arithmetic where that is provably the exact answer, flags included; all else is refused: to the twin where code
 * is inline, to the exact slow path elsewhere. The host rounds to nearest even, never shows flags, and its NaNs are not canonical, so
 * what is done here is: results that are finite and not tiny, with the rounding error computed when `inexact` has not accrued yet.
 */

/** Writes the common course of an op, its result left on the stack. Arguments without the rounding mode are in locals. */
type FastPath = (code: FloatCode, args: readonly number[], op: Op) => void;

const NEAREST_EVEN = 0n;
const LOADS: Readonly<Partial<Record<Type, WasmOp>>> = {
  i32: 'i32.load',
  i64: 'i64.load',
  f32: 'f32.load',
  f64: 'f64.load',
};
const STORES: Readonly<Partial<Record<Type, WasmOp>>> = {
  i32: 'i32.store',
  i64: 'i64.store',
  f32: 'f32.store',
  f64: 'f64.store',
};

/** Rounding modes with a host instruction; their numbers index it. */
const ROUND_INSTRUCTION = ['nearest', 'trunc', 'floor', 'ceil'] as const;

interface Shape {
  /** Whether the last argument is a rounding mode. */
  readonly rounds: boolean;
  /** How the fast path deals with modes: it knows only nearest even; the mode does not matter; constant modes have code of their own. */
  readonly modes: 'nearest' | 'any' | 'directed';
  readonly fast: FastPath;
}

function lowerFloat(shape: Shape): OpLowering {
  return (lowering, op) => {
    const { fn, site } = lowering;
    const count = op.args.length - (shape.rounds ? 1 : 0);
    const types = op.args.map((_, index) => argumentType(op, index)!);
    lowering.argumentsInLocals(op, types, (...locals) => {
      const args = locals.slice(0, count);
      const mode = shape.rounds ? op.args[count]! : undefined;
      const known = mode === undefined ? NEAREST_EVEN : lowering.constant(mode);
      if (site.inline) {
        const code = new FloatCode(lowering, floatType(op), () => site.bailIf(), known);
        refuseMode(code, shape, op, known, locals[count]);
        shape.fast(code, args, op);
        return;
      }
      const result = resultType(op)!;
      const done = fn.block(ValType[result]);
      const slow = fn.block();
      const code = new FloatCode(lowering, floatType(op), () => fn.brIf(slow), known);
      if (hasFastPath(shape, op, known)) {
        refuseMode(code, shape, op, known, locals[count]);
        shape.fast(code, args, op);
        fn.br(done);
      }
      fn.end(slow);
      for (const [index, local] of locals.entries()) {
        fn.i32Const(0);
        fn.localGet(local);
        fn.store(STORES[types[index]!]!, { offset: STATE + StateOffset.arguments + 8 * index });
      }
      fn.i32Const(lowering.runtime.floatIndex(op));
      fn.call(lowering.runtime.float);
      fn.i32Const(0);
      fn.load(LOADS[result]!, { offset: STATE + StateOffset.arguments });
      fn.end(done);
    });
  };
}

/** Whether code for a known rounding mode can be anything but the slow path. */
function hasFastPath(shape: Shape, op: Op, known: bigint | undefined): boolean {
  if (known === undefined || alwaysExact(op) || shape.modes === 'any' || known === NEAREST_EVEN) return true;
  return shape.modes === 'directed' && known < BigInt(ROUND_INSTRUCTION.length);
}

/** Whether an op can be lowered inline at all, given how its rounding mode is known and whether inexact is known to have accrued. */
export function floatInlinable(
  op: Op,
  constant: (value: number) => bigint | undefined,
  inexactAccrued = false,
): boolean {
  const shape = SHAPES[op.name];
  if (shape === undefined) return true;
  // A call of the runtime, which the interpreter's main function is kept free of.
  if (op.name === 'fma' && !(inexactAccrued && HOST_FUSES)) return false;
  return hasFastPath(shape, op, shape.rounds ? constant(op.args.at(-1)!) : NEAREST_EVEN);
}

/** Conversions to a format that holds every number of the other. */
function alwaysExact(op: Op): boolean {
  return op.type === 'f64' && ((op.name === 'int_to_f' && op.from === 'i32') || op.name === 'f_convert');
}

function refuseMode(code: FloatCode, shape: Shape, op: Op, known: bigint | undefined, mode: number | undefined): void {
  if (known !== undefined || shape.modes === 'any' || alwaysExact(op)) return;
  code.fn.localGet(mode!);
  code.refuse();
}

/** The format that the fast path computes in. */
function floatType(op: Op): Float {
  return (op.name === 'f_to_int' ? op.from : op.type) as Float;
}

function isCovered({ lowering }: FloatCode, op: Op): boolean {
  return lowering.site.covered?.has(op) === true;
}

/** Sum or difference: never tiny and inexact at once, so only overflow and the rounding error matter. */
function sum(instruction: 'add' | 'sub'): FastPath {
  return (code, [a, b], op) => {
    code.scratch((result) => {
      code.binary(instruction, a!, b!);
      code.fn.localSet(result);
      if (!isCovered(code, op)) code.refuseUnlessFinite(result);
      code.unlessInexactAccrued(() => code.sumError(instruction, a!, b!, result), 'error');
      code.fn.localGet(result);
    });
  };
}

const product: FastPath = (code, [a, b], op) => {
  code.scratch((result) => {
    code.binary('mul', a!, b!);
    code.fn.localSet(result);
    code.refuseUnlessNormalOr(result, isCovered(code, op), () => code.eitherZero(a!, b!));
    code.unlessInexactAccrued(() => code.productInexact(a!, b!, result), 'truth');
    code.fn.localGet(result);
  });
};

const quotient: FastPath = (code, [a, b], op) => {
  code.scratch((result) => {
    code.binary('div', a!, b!);
    code.fn.localSet(result);
    code.refuseUnlessNormalOr(result, isCovered(code, op), () => {
      // 0 / b is exact; an infinite b is left out because 0 * b, which tests that below, is a NaN.
      code.isZero(a!);
      code.isFinite(b!);
      code.fn.op('i32.and');
    });
    code.unlessInexactAccrued(() => code.productDiffers(result, b!, a!), 'truth');
    code.fn.localGet(result);
  });
};

const squareRoot: FastPath = (code, [a], op) => {
  code.scratch((result) => {
    code.fn.localGet(a!);
    code.fn.op(`${code.type}.sqrt`);
    code.fn.localSet(result);
    if (!isCovered(code, op)) code.refuseUnlessFinite(result);
    code.unlessInexactAccrued(() => code.productDiffers(result, result, a!), 'truth');
    code.fn.localGet(result);
  });
};

const fusedMultiplyAdd: FastPath = (code, [a, b, c], op) => {
  if (code.lowering.site.inexactAccrued && HOST_FUSES) code.hostMultiplyAdd(a!, b!, c!, isCovered(code, op));
  else code.fusedMultiplyAdd(a!, b!, c!);
};

/** Comparisons and selections have the host's meaning when no argument is a NaN. */
function numbersOnly(instruction: 'min' | 'max' | 'eq' | 'lt' | 'le'): FastPath {
  return (code, [a, b]) => {
    code.refuseNan(a!);
    code.refuseNan(b!);
    code.fn.localGet(a!);
    code.fn.localGet(b!);
    code.fn.op(`${code.type}.${instruction}`);
  };
}

const convert: FastPath = (code, [a], op) => {
  const { fn } = code;
  if (op.type === 'f64') {
    fn.localGet(a!);
    fn.localGet(a!);
    fn.op('f32.ne');
    code.refuse();
    fn.localGet(a!);
    fn.op('f64.promote_f32');
    return;
  }
  code.scratch((result) => {
    fn.localGet(a!);
    fn.op('f32.demote_f64');
    fn.localSet(result);
    code.refuseUnlessNormalOr(result, isCovered(code, op), () => {
      fn.localGet(a!);
      fn.f64Const(0);
      fn.op('f64.eq');
    });
    code.unlessInexactAccrued(() => {
      fn.localGet(result);
      fn.op('f64.promote_f32');
      fn.localGet(a!);
      fn.op('f64.ne');
    }, 'truth');
    fn.localGet(result);
  });
};

const toInteger: FastPath = (code, [a], op) => {
  const { fn, type } = code;
  const bits = op.type === 'i32' ? 32 : 64;
  const signed = op.signed === true;
  const below = 2 ** (signed ? bits - 1 : bits);
  const constant = (value: number) => (type === 'f32' ? fn.f32Const(value) : fn.f64Const(value));
  code.scratch((rounded) => {
    fn.localGet(a!);
    fn.op(`${type}.${ROUND_INSTRUCTION[Number(code.mode ?? NEAREST_EVEN)]!}` as WasmOp);
    fn.localTee(rounded);
    constant(signed ? -below : 0);
    fn.op(`${type}.ge`);
    fn.localGet(rounded);
    constant(below);
    fn.op(`${type}.lt`);
    fn.op('i32.and');
    fn.op('i32.eqz');
    code.refuse();
    code.unlessInexactAccrued(() => {
      fn.localGet(rounded);
      fn.localGet(a!);
      fn.op(`${type}.ne`);
    }, 'truth');
    fn.localGet(rounded);
    fn.op(`${op.type as 'i32' | 'i64'}.trunc_sat_${type}_${signed ? 's' : 'u'}`);
  });
};

/** An integer converts exactly when the bits from its first to its last one fit the significand. */
const fromInteger: FastPath = (code, [a], op) => {
  const { fn, lowering, type } = code;
  const from = op.from as 'i32' | 'i64';
  const sign = op.signed === true ? 's' : 'u';
  if (!(type === 'f64' && from === 'i32')) {
    lowering.scratch(['i64'], (magnitude) => {
      fn.localGet(a!);
      if (from === 'i32') fn.op(`i64.extend_i32_${sign}`);
      fn.localSet(magnitude);
      if (sign === 's') {
        for (const op of ['i64.xor', 'i64.sub'] as const) {
          fn.localGet(magnitude);
          fn.localGet(a!);
          if (from === 'i32') fn.op('i64.extend_i32_s');
          fn.i64Const(63);
          fn.op('i64.shr_s');
          fn.op(op);
          fn.localSet(magnitude);
        }
      }
      code.unlessInexactAccrued(() => {
        fn.localGet(magnitude);
        fn.op('i64.clz');
        fn.localGet(magnitude);
        fn.op('i64.ctz');
        fn.op('i64.add');
        fn.i64Const(type === 'f64' ? 64 - 53 : 64 - 24);
        fn.op('i64.lt_u');
      }, 'truth');
    });
  }
  fn.localGet(a!);
  fn.op(`${type}.convert_${from}_${sign}`);
};

const roundToIntegral: FastPath = (code, [a]) => {
  code.refuseNan(a!);
  code.fn.localGet(a!);
  code.fn.op(`${code.type}.${ROUND_INSTRUCTION[Number(code.mode ?? NEAREST_EVEN)]!}` as WasmOp);
};

const SHAPES: Partial<Record<OpName, Shape>> = {
  fadd: { rounds: true, modes: 'nearest', fast: sum('add') },
  fsub: { rounds: true, modes: 'nearest', fast: sum('sub') },
  fmul: { rounds: true, modes: 'nearest', fast: product },
  fdiv: { rounds: true, modes: 'nearest', fast: quotient },
  fsqrt: { rounds: true, modes: 'nearest', fast: squareRoot },
  fma: { rounds: true, modes: 'nearest', fast: fusedMultiplyAdd },
  fmin: { rounds: false, modes: 'any', fast: numbersOnly('min') },
  fmax: { rounds: false, modes: 'any', fast: numbersOnly('max') },
  feq: { rounds: false, modes: 'any', fast: numbersOnly('eq') },
  flt: { rounds: false, modes: 'any', fast: numbersOnly('lt') },
  fle: { rounds: false, modes: 'any', fast: numbersOnly('le') },
  f_convert: { rounds: true, modes: 'nearest', fast: convert },
  f_to_int: { rounds: true, modes: 'directed', fast: toInteger },
  int_to_f: { rounds: true, modes: 'nearest', fast: fromInteger },
  f_round: { rounds: true, modes: 'directed', fast: roundToIntegral },
};

export const FLOAT_LOWERING: Partial<Record<OpName, OpLowering>> = {
  ...Object.fromEntries(Object.entries(SHAPES).map(([name, shape]) => [name, lowerFloat(shape)])),
  fclass: (lowering: Lowering, op: Op) => classify(lowering, op),
};
