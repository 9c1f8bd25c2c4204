import { evaluate, type Outcome } from '../ir/evaluate.ts';
import { LinearMemory } from '../ir/evaluator-memory.ts';
import { assert } from '../check/assert.ts';
import { STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import type { BlockProgram, Executor, Program, Stop } from './executor.ts';
import { fetchInstruction, hasLeft, helperContext, isStop } from './fetch.ts';
import { liftInstructions } from './lift.ts';

/** The oracle: decodes, lifts and evaluates one instruction after the other with ir/evaluate.ts. */
export const evaluateExecutor: Executor = { name: 'evaluate', run: runProgram, runBlock };

function runProgram(program: Program): Stop {
  const { isa, memory, guestSize, start, limit } = program;
  const guest = new LinearMemory(memory.buffer, guestSize);
  let pc = start;
  let retired = 0;
  const context = helperContext(memory, () => retired);
  for (; retired < limit; retired++) {
    if (hasLeft(program, pc)) return { kind: 'end', pc, retired };
    const decoded = fetchInstruction(program, pc, retired);
    if (isStop(decoded)) return decoded;
    context.state.setBigUint64(StateOffset.pc, pc, true);
    const outcome = evaluate(liftInstructions(isa, [{ decoded, pc }]), {
      state: context.state,
      memory: guest,
      helper: (name, args) => {
        const helper = isa.helpers[name];
        assert(helper !== undefined, `${isa.name} has the helper ${name}`);
        return helper.call(context, args);
      },
    });
    if (outcome.kind === 'trap' || outcome.kind === 'fault') return { ...stopOf(outcome), retired };
    pc = outcome.pc;
  }
  return { kind: hasLeft(program, pc) ? 'end' : 'limit', pc, retired };
}

function runBlock({ block, memory, guestSize }: BlockProgram): Stop {
  const state = new DataView(memory.buffer, STATE, STATE_SIZE);
  return stopOf(evaluate(block, { state, memory: new LinearMemory(memory.buffer, guestSize) }));
}

function stopOf(outcome: Outcome): Stop {
  const { pc, retired } = outcome;
  switch (outcome.kind) {
    case 'next':
    case 'jump':
      return { kind: 'end', pc, retired };
    case 'trap':
      return { kind: 'trap', cause: outcome.cause, value: outcome.value, pc, retired };
    case 'fault':
      return { kind: 'fault', fault: outcome.fault, address: outcome.address, pc, retired };
  }
}
