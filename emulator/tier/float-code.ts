import { BranchHint, type FunctionBuilder } from '../wasm/function.ts';
import { STATE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import { FloatFlag } from '../bits/float-format.ts';
import { addFlags, sumError } from './error-free-code.ts';
import type { Lowering } from './lower.ts';

export type Float = 'f32' | 'f64';

const FLAGS = STATE + StateOffset.floatFlags;

/** The least normal magnitude: results at or below it may be tiny before rounding. */
const LEAST_NORMAL: Readonly<Record<Float, number>> = { f32: 2 ** -126, f64: 2 ** -1022 };

/** The exponent in the highest 32 bits less the sign: where it begins, and what it is at most. */
const EXPONENT: Readonly<Record<Float, { readonly shift: number; readonly mask: number }>> = {
  f32: { shift: 24, mask: 0xff },
  f64: { shift: 21, mask: 0x7ff },
};

/** Results in a run of instructions whose checks others save. */
const MUCH_ARITHMETIC = 2;

/** Pieces of floating-point fast paths in one format. `refuse` pops a condition and, when it holds, gives the operation to a slower path. */
export class FloatCode {
  readonly lowering: Lowering;
  readonly fn: FunctionBuilder;
  readonly type: Float;
  readonly refuse: () => void;
  /** The rounding mode when it is known. */
  readonly mode: bigint | undefined;

  constructor(lowering: Lowering, type: Float, refuse: () => void, mode: bigint | undefined) {
    this.lowering = lowering;
    this.fn = lowering.fn;
    this.type = type;
    this.refuse = refuse;
    this.mode = mode;
  }

  /** A scratch local of the format. */
  scratch(body: (local: number) => void): void {
    this.lowering.scratch([this.type], body);
  }

  constant(value: number): void {
    if (this.type === 'f32') this.fn.f32Const(value);
    else this.fn.f64Const(value);
  }

  binary(instruction: 'add' | 'sub' | 'mul' | 'div', a: number, b: number): void {
    this.fn.localGet(a);
    this.fn.localGet(b);
    this.fn.op(`${this.type}.${instruction}`);
  }

  refuseNan(local: number): void {
    this.fn.localGet(local);
    this.fn.localGet(local);
    this.fn.op(`${this.type}.ne`);
    this.refuse();
  }

  /**
   * An infinity less itself is a NaN, as a NaN is: one instruction and a comparison, where the exponent takes five. But both wait for the result in
   * the host's floating-point queue, which is full where there is much arithmetic: nbody takes 0.96 of the time with exponents, fmatmul 1.2 times.
   */
  refuseUnlessFinite(result: number): void {
    if ((this.lowering.site.covered?.size ?? 0) >= MUCH_ARITHMETIC) {
      const { shift, mask } = EXPONENT[this.type];
      this.#magnitude(result);
      this.fn.i32Const((mask << shift) | 0);
      this.fn.op('i32.ge_u');
      this.refuse();
      return;
    }
    this.scratch((difference) => {
      this.binary('sub', result, result);
      this.fn.localSet(difference);
      this.refuseNan(difference);
    });
  }

  /**
   * Refuses infinite and NaN results, unless those are found out otherwise, and those that may be tiny (IEEE 754, "Underflow": tininess after
   * rounding) unless the pushed condition says that a small one is exact.
   */
  refuseUnlessNormalOr(result: number, isCovered: boolean, pushExact: () => void): void {
    const { fn } = this;
    const { shift, mask } = EXPONENT[this.type];
    // The least normal number is left out too: it may have been rounded up to.
    if (isCovered) {
      this.#highBits(result);
      fn.i32Const(((mask - 1) << (shift - 1)) | 0);
      fn.op('i32.and');
      fn.op('i32.eqz');
    } else {
      this.#magnitude(result);
      fn.i32Const(2 << shift);
      fn.op('i32.sub');
      fn.i32Const(((mask - 2) << shift) | 0);
      fn.op('i32.ge_u');
    }
    const odd = fn.if(undefined, BranchHint.unlikely);
    if (!isCovered) this.refuseUnlessFinite(result);
    fn.localGet(result);
    fn.op(`${this.type}.abs`);
    this.constant(LEAST_NORMAL[this.type]);
    fn.op(`${this.type}.gt`);
    fn.op('i32.eqz');
    const small = fn.if();
    pushExact();
    fn.op('i32.eqz');
    this.refuse();
    fn.end(small);
    fn.end(odd);
  }

  /** Pushes the highest 32 bits without the sign, one place to the left: as unsigned numbers they are in the order of magnitudes. */
  #magnitude(local: number): void {
    this.#highBits(local);
    this.fn.i32Const(1);
    this.fn.op('i32.shl');
  }

  #highBits(local: number): void {
    const { fn } = this;
    fn.localGet(local);
    if (this.type === 'f64') {
      fn.op('i64.reinterpret_f64');
      // V8 takes a shift by 32 for the upper half, without masking it again.
      fn.i64Const(32);
      fn.op('i64.shr_u');
      fn.op('i32.wrap_i64');
    } else {
      fn.op('i32.reinterpret_f32');
    }
  }

  /** Pushes whether it is neither infinite nor a NaN. */
  isFinite(local: number): void {
    this.fn.localGet(local);
    this.fn.op(`${this.type}.abs`);
    this.constant(Infinity);
    this.fn.op(`${this.type}.lt`);
  }

  isZero(local: number): void {
    this.fn.localGet(local);
    this.constant(0);
    this.fn.op(`${this.type}.eq`);
  }

  eitherZero(a: number, b: number): void {
    this.isZero(a);
    this.isZero(b);
    this.fn.op('i32.or');
  }

  /** The rounding error of result = a ± b. */
  sumError(instruction: 'add' | 'sub', a: number, b: number, result: number): void {
    this.lowering.scratch([this.type, this.type], (second, virtual) => {
      this.fn.localGet(b);
      if (instruction === 'sub') this.fn.op(`${this.type}.neg`);
      this.fn.localSet(second);
      sumError(this.fn, this.type, a, second, result, virtual);
    });
  }

  /**
   * When `inexact` has not accrued, finds out whether the result is: `body` pushes the rounding error (which is a NaN when it could not be
   * computed) or a truth value. Inline code refuses an inexact result, so that its twin sets the flag; it is set here otherwise.
   */
  unlessInexactAccrued(body: () => void, pushed: 'error' | 'truth'): void {
    const { fn, type } = this;
    if (this.lowering.site.inexactAccrued) return;
    fn.i32Const(0);
    fn.load('i32.load8_u', { offset: FLAGS });
    fn.i32Const(FloatFlag.inexact);
    fn.op('i32.and');
    fn.op('i32.eqz');
    const fresh = fn.if();
    body();
    if (this.lowering.site.inline) {
      if (pushed === 'error') {
        this.constant(0);
        fn.op(`${type}.ne`);
      }
      this.refuse();
    } else if (pushed === 'error') {
      this.scratch((error) => {
        fn.localSet(error);
        this.refuseNan(error);
        addFlags(fn, () => {
          fn.localGet(error);
          this.constant(0);
          fn.op(`${type}.ne`);
        });
      });
    } else {
      this.lowering.scratch(['i32'], (inexact) => {
        fn.localSet(inexact);
        addFlags(fn, () => fn.localGet(inexact));
      });
    }
    fn.end(fresh);
  }

  /** Pushes whether a * b, whose rounded value is the normal number or exact zero `result`, was rounded. */
  productInexact(a: number, b: number, result: number): void {
    const { fn } = this;
    if (this.type === 'f32') {
      // 24 + 24 significant bits fit the 53 of an f64, and so does the exponent.
      fn.localGet(result);
      fn.op('f64.promote_f32');
      this.#promotedProduct(a, b);
      fn.op('f64.ne');
    } else if (this.lowering.site.inline) {
      fn.i32Const(1);
    } else {
      fn.localGet(a);
      fn.localGet(b);
      fn.call(this.lowering.runtime.productInexact);
    }
  }

  /** Pushes whether the exact product a * b is another number than c; for f64 refuses the small c that rounding could hide. */
  productDiffers(a: number, b: number, c: number): void {
    const { fn } = this;
    if (this.type === 'f32') {
      this.#promotedProduct(a, b);
      fn.localGet(c);
      fn.op('f64.promote_f32');
      fn.op('f64.ne');
    } else if (this.lowering.site.inline) {
      fn.i32Const(1);
    } else {
      fn.localGet(c);
      fn.op('f64.abs');
      fn.f64Const(LEAST_NORMAL.f64);
      fn.op('f64.le');
      fn.localGet(c);
      fn.f64Const(0);
      fn.op('f64.ne');
      fn.op('i32.and');
      this.refuse();
      this.binary('mul', a, b);
      fn.localGet(c);
      fn.op('f64.ne');
      fn.localGet(a);
      fn.localGet(b);
      fn.call(this.lowering.runtime.productInexact);
      fn.op('i32.or');
    }
  }

  /** a * b + c by the host's own instruction: for results that are normal, or exact for a factor is zero, where inexact has accrued. */
  hostMultiplyAdd(a: number, b: number, c: number, isCovered: boolean): void {
    const { fn, type } = this;
    const shape = type === 'f64' ? 'f64x2' : 'f32x4';
    this.scratch((result) => {
      for (const local of [a, b, c]) {
        fn.localGet(local);
        fn.op(`${shape}.splat`);
      }
      fn.op(`${shape}.relaxed_madd`);
      fn.laneOp(`${shape}.extract_lane`, 0);
      fn.localSet(result);
      this.refuseUnlessNormalOr(result, isCovered, () => this.eitherZero(a, b));
      fn.localGet(result);
    });
  }

  /** a * b + c by the runtime's function, which sets `inexact` itself and gives a NaN for what it does not do. */
  fusedMultiplyAdd(a: number, b: number, c: number): void {
    const { fn, lowering } = this;
    this.scratch((result) => {
      for (const local of [a, b, c]) fn.localGet(local);
      fn.call(this.type === 'f64' ? lowering.runtime.fusedMultiplyAdd64 : lowering.runtime.fusedMultiplyAdd32);
      fn.localSet(result);
      this.refuseNan(result);
      fn.localGet(result);
    });
  }

  #promotedProduct(a: number, b: number): void {
    this.fn.localGet(a);
    this.fn.op('f64.promote_f32');
    this.fn.localGet(b);
    this.fn.op('f64.promote_f32');
    this.fn.op('f64.mul');
  }
}
