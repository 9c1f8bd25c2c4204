import type { Op } from '../ir/block.ts';
import { wasmInstruction, type OpName } from '../ir/op.ts';
import type { OpName as WasmOp } from '../wasm/opcode.ts';
import type { Lowering, OpLowering } from './lower.ts';

function laneInstruction(lowering: Lowering, op: Op): void {
  lowering.pushArguments(op);
  lowering.fn.laneOp(wasmInstruction(op) as WasmOp, op.lane!);
}

/** Host SIMD arithmetic, its NaN results made canonical: the host's own choice of payload is not deterministic. */
function floatArithmetic(suffix: string): OpLowering {
  return (lowering, op) => {
    const { fn } = lowering;
    lowering.pushArguments(op);
    fn.op(`${op.shape}.${suffix}` as WasmOp);
    lowering.scratch(['v128'], (result) => {
      fn.localSet(result);
      fn.localGet(result);
      fn.v128Const(canonicalNan(op.shape!));
      fn.localGet(result);
      fn.localGet(result);
      fn.op(`${op.shape}.eq` as WasmOp);
      fn.op('v128.bitselect');
    });
  };
}

function canonicalNan(shape: string): Uint8Array {
  return shape === 'f32x4'
    ? new Uint8Array(new Uint32Array(4).fill(0x7fc0_0000).buffer)
    : new Uint8Array(new BigUint64Array(2).fill(0x7ff8_0000_0000_0000n).buffer);
}

export const VECTOR_LOWERING: Partial<Record<OpName, OpLowering>> = {
  v_extract: laneInstruction,
  v_replace: laneInstruction,
  v_shuffle: (lowering, op) => {
    lowering.pushArguments(op);
    lowering.fn.shuffle(Uint8Array.from(op.lanes!));
  },
  vf_add: floatArithmetic('add'),
  vf_sub: floatArithmetic('sub'),
  vf_mul: floatArithmetic('mul'),
  vf_div: floatArithmetic('div'),
  vf_sqrt: floatArithmetic('sqrt'),
};
