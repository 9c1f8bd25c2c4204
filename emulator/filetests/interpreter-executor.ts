import { Vcpu } from '../cpu/vcpu.ts';
import { ExitReason, type FaultKind } from '../layout/state.ts';
import { GUEST } from '../layout/memory-map.ts';
import type { Executor, Program, Stop } from './executor.ts';

/** Tier 0, one instruction at a time so that leaving the code under test is seen. */
export const interpreterExecutor: Executor = { name: 'interpreter', run: runProgram, runBlock: undefined };

function runProgram({ isa, memory, guestSize, start, end, limit }: Program): Stop {
  const vcpu = new Vcpu(isa, memory, { guestSize });
  vcpu.pc = start;
  for (let retired = 0; retired < limit; retired++) {
    const { pc } = vcpu;
    if (pc < start || pc >= end) return { kind: 'end', pc, retired };
    const reason = vcpu.run(1);
    if (reason === ExitReason.budget) continue;
    const at = { pc: vcpu.pc, retired };
    if (reason === ExitReason.fault)
      return { kind: 'fault', fault: vcpu.cause as FaultKind, address: vcpu.value, ...at };
    const bytes = new Uint8Array(memory.buffer, GUEST, guestSize);
    // The interpreter has made a trap of it already, which the others leave to whoever runs them.
    if (isa.decode(bytes, Number(at.pc)) === undefined) return { kind: 'illegal', ...at };
    return { kind: 'trap', cause: vcpu.cause, value: vcpu.value, ...at };
  }
  const { pc } = vcpu;
  return { kind: pc < start || pc >= end ? 'end' : 'limit', pc, retired: limit };
}
