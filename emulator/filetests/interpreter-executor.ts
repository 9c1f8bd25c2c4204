import { Vcpu } from '../cpu/vcpu.ts';
import type { Isa } from '../isa/instruction.ts';
import { ExitReason } from '../layout/state.ts';
import type { Executor, Program, Stop } from './executor.ts';
import { fetchInstruction, hasLeft, isStop } from './fetch.ts';
import { liftInstructions } from './lift.ts';
import { stopOf } from './wasm-executor.ts';

/** Tier 0: the generated interpreter, through the vCPU that machines use. */
export const interpreterExecutor: Executor = { name: 'interpreter', run: runProgram, runBlock: undefined };

function runProgram(program: Program): Stop {
  const { isa, memory, guestSize, start, limit } = program;
  const vcpu = new Vcpu(isa, memory, { guestSize });
  vcpu.pc = start;
  const retired = () => vcpu.counters.instructions;
  // Behind the code there are zeros. Where they stop, the program runs in one go, so that instructions follow each other inside WebAssembly;
  // else it is stepped.
  const stride = zerosStop(isa) ? limit : 1;
  while (retired() < limit && !hasLeft(program, vcpu.pc)) {
    const reason = vcpu.run(Math.min(stride, limit - retired()));
    if (reason !== ExitReason.trap && reason !== ExitReason.fault) continue;
    if (hasLeft(program, vcpu.pc)) break;
    // The interpreter has made a trap of it already, which the others leave to whoever runs them.
    const found = fetchInstruction(program, vcpu.pc, retired());
    return isStop(found) && found.kind === 'illegal' ? found : stopOf(reason, vcpu.state, retired());
  }
  return { kind: hasLeft(program, vcpu.pc) ? 'end' : 'limit', pc: vcpu.pc, retired: retired() };
}

/** Whether zeros are no instruction or one that traps. */
function zerosStop(isa: Isa): boolean {
  const decoded = isa.decode(new Uint8Array(isa.maximumLength), 0);
  return decoded === undefined || liftInstructions(isa, [{ decoded, pc: 0n }]).ops.at(-1)?.name === 'trap';
}
