import type { Op } from '../ir/block.ts';
import { argumentType, rowOf, resultType } from '../ir/op.ts';
import { WIDTH } from '../ir/type.ts';
import { StateOffset } from '../layout/state.ts';
import { assert } from '../check/assert.ts';
import { type HelperContext, type Isa, QuickOutcome } from '../isa/instruction.ts';

/**
 * The slow path of floating point: computes operation `index` of a module by its row's exact meaning, from and to the argument slots.
 * `state` begins at the vCPU state.
 */
export function exactFloat(state: DataView, floatOps: readonly Op[]): (index: number) => void {
  return (index) => {
    const op = floatOps[index];
    assert(op !== undefined, 'code asks for a floating-point operation of its module');
    const args = op.args.map((_, argument) => readArgument(state, argument, WIDTH[argumentType(op, argument)!]));
    const { evaluateFloat } = rowOf(op);
    assert(evaluateFloat !== undefined, 'the operation is a floating-point one');
    const { bits, flags } = evaluateFloat(args, op);
    const offset = StateOffset.floatFlags;
    state.setUint32(offset, state.getUint32(offset, true) | flags, true);
    if (WIDTH[resultType(op)!] === 32) state.setUint32(StateOffset.arguments, Number(bits), true);
    else state.setBigUint64(StateOffset.arguments, bits, true);
  };
}

function readArgument(state: DataView, index: number, width: number): bigint {
  const offset = StateOffset.arguments + 8 * index;
  return width === 32 ? BigInt(state.getUint32(offset, true)) : state.getBigUint64(offset, true);
}

/**
 * Calls helper `index` of the ISA with arguments from the state; 1 when it trapped, with cause and value in the state. `stop` is called
 * when the helper wants control to come back after its instruction.
 */
export function helperCaller(isa: Isa, context: HelperContext, stop = () => {}): (index: number) => number {
  const helpers = Object.values(isa.helpers);
  const { state } = context;
  return (index) => {
    const helper = helpers[index];
    assert(helper !== undefined, 'code asks for a helper of its ISA');
    const quick = helper.quick === undefined ? QuickOutcome.declined : helper.quick(context);
    if (quick !== QuickOutcome.declined) {
      if (quick === QuickOutcome.stop) stop();
      return 0;
    }
    const args: bigint[] = [];
    for (let argument = 0; argument < helper.parameters; argument++) args.push(readArgument(state, argument, 64));
    const outcome = helper.call(context, args);
    if ('trap' in outcome) {
      state.setInt32(StateOffset.cause, outcome.trap, true);
      state.setBigUint64(StateOffset.value, BigInt.asUintN(64, outcome.value), true);
      return 1;
    }
    if (outcome.stop === true) stop();
    state.setBigUint64(StateOffset.arguments, BigInt.asUintN(64, outcome.result), true);
    return 0;
  };
}
