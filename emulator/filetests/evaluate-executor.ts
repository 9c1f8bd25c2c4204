import { evaluate, type Outcome } from '../ir/evaluate.ts';
import { LinearMemory } from '../ir/evaluator-memory.ts';
import type { HelperContext, Isa } from '../isa/instruction.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { FaultKind } from '../layout/state.ts';
import type { BlockProgram, Executor, Program, Stop } from './executor.ts';
import { liftInstruction } from './lift.ts';

/** The oracle: decodes, lifts and evaluates one instruction after the other with ir/evaluate.ts. */
export const evaluateExecutor: Executor = { name: 'evaluate', run: runProgram, runBlock };

function runProgram(program: Program): Stop {
  const { isa, memory, guestSize, start, end, limit } = program;
  const state = new DataView(memory.buffer, STATE, STATE_SIZE);
  const guest = new LinearMemory(memory.buffer, guestSize);
  let pc = start;
  for (let retired = 0; retired < limit; retired++) {
    if (pc < start || pc >= end) return { kind: 'end', pc, retired };
    const bytes = fetch(memory, guestSize, pc, isa.maximumLength);
    const decoded = isa.decode(bytes, 0);
    if (decoded === undefined) {
      const address = pc + BigInt(bytes.length);
      if (bytes.length < isa.maximumLength) return { kind: 'fault', fault: FaultKind.fetch, address, pc, retired };
      return { kind: 'illegal', pc, retired };
    }
    const context: HelperContext = {
      state,
      retired: () => BigInt(retired),
      time: () => BigInt(retired),
      flushCode: () => {},
    };
    const outcome = evaluate(liftInstruction(isa, decoded, pc), {
      state,
      memory: guest,
      helper: (name, args) => callHelper(isa, name, context, args),
    });
    if (outcome.kind === 'trap' || outcome.kind === 'fault') return { ...stop(outcome), retired };
    pc = outcome.pc;
  }
  return { kind: pc < start || pc >= end ? 'end' : 'limit', pc, retired: limit };
}

function runBlock({ block, memory, guestSize }: BlockProgram): Stop {
  const state = new DataView(memory.buffer, STATE, STATE_SIZE);
  return stop(evaluate(block, { state, memory: new LinearMemory(memory.buffer, guestSize) }));
}

function stop(outcome: Outcome): Stop {
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

function callHelper(isa: Isa, name: string, context: HelperContext, args: readonly bigint[]) {
  const helper = isa.helpers[name];
  if (helper === undefined) throw new Error(`${isa.name} has no helper ${name}`);
  return helper.call(context, args);
}

/** The bytes from pc that may be executed, at most `length`. */
function fetch(memory: WebAssembly.Memory, guestSize: number, pc: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(memory.buffer);
  let count = 0;
  while (count < length) {
    const address = pc + BigInt(count);
    if (address >= BigInt(guestSize)) break;
    const page = Number(address) / PAGE_SIZE;
    if ((bytes[PERMISSION + Math.floor(page)]! & Permission.execute) === 0) break;
    count++;
  }
  return count === 0 ? new Uint8Array(0) : bytes.slice(GUEST + Number(pc), GUEST + Number(pc) + count);
}
