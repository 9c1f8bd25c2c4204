import type { Decoded, HelperContext } from '../isa/instruction.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { FaultKind } from '../layout/state.ts';
import type { Program, Stop } from './executor.ts';

/** The instruction at pc, or how the program stops for lack of one. */
export function fetchInstruction({ isa, memory, guestSize }: Program, pc: bigint, retired: number): Decoded | Stop {
  const bytes = new Uint8Array(memory.buffer);
  let count = 0;
  while (count < isa.maximumLength) {
    const address = pc + BigInt(count);
    if (address >= BigInt(guestSize)) break;
    if ((bytes[PERMISSION + Math.floor(Number(address) / PAGE_SIZE)]! & Permission.execute) === 0) break;
    count++;
  }
  const start = count === 0 ? 0 : GUEST + Number(pc);
  const decoded = isa.decode(bytes.subarray(start, start + count), 0);
  if (decoded !== undefined) return decoded;
  if (count === isa.maximumLength) return { kind: 'illegal', pc, retired };
  return { kind: 'fault', fault: FaultKind.fetch, address: pc + BigInt(count), pc, retired };
}

export function isStop(found: Decoded | Stop): found is Stop {
  return 'kind' in found;
}

/** Whether control has left the code under test. */
export function hasLeft({ start, end }: Program, pc: bigint): boolean {
  return pc < start || pc >= end;
}

/** What helpers are given when one instruction takes one nanosecond. */
export function helperContext(memory: WebAssembly.Memory, retired: () => number): HelperContext {
  return {
    state: new DataView(memory.buffer as ArrayBuffer, STATE, STATE_SIZE),
    retired: () => BigInt(retired()),
    time: () => BigInt(retired()),
    flushCode: () => {},
  };
}
