import { STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind, StateOffset } from '../layout/state.ts';
import { type Mmu, WITHHELD } from '../memory/mmu.ts';
import { SlowAccess } from './runtime.ts';
import { behindSecondLevel, type TlbImports } from './second-level.ts';

/** Keeps stores from code: where `isCode` says so (linear address and length) nothing is stored, and `withheld` is called. */
export interface CodeGuard {
  readonly isCode: (linear: number, length: number) => boolean;
  readonly withheld: () => void;
}

/**
 * The slow path: whatever the inline probe refuses and `Mmu.serveMiss` does not serve, done by the MMU of the vCPU whose state lies in `memory`. A store that a guard has withheld leaves
 * the generated code like one that faults, before its instruction.
 */
export function tlbImports(memory: WebAssembly.Memory, mmu: Mmu, guard?: CodeGuard): TlbImports {
  const state = new DataView(memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
  const fault = (kind: number, low: number, high: number, bytes: number): ExitReason => {
    state.setInt32(StateOffset.cause, kind, true);
    state.setInt32(StateOffset.value, low, true);
    state.setInt32(StateOffset.value + 4, high, true);
    state.setInt32(StateOffset.faultWidth, bytes, true);
    return ExitReason.fault;
  };
  const misaligned = (low: number, bytes: number, flags: number): boolean =>
    (flags & SlowAccess.natural) !== 0 && (low & (bytes - 1)) !== 0;
  return behindSecondLevel(memory, mmu.serveMiss, {
    tlbLoad: (low, high, bytes, flags) => {
      const update = (flags & SlowAccess.update) !== 0;
      if (misaligned(low, bytes, flags)) {
        return fault(update ? FaultKind.storeMisaligned : FaultKind.loadMisaligned, low, high, bytes);
      }
      const kind = mmu.load(low, high, bytes, update, STATE + StateOffset.arguments);
      return kind === 0 ? 0 : fault(kind, mmu.faultLow, mmu.faultHigh, bytes);
    },
    tlbStore: (low, high, bytes, flags) => {
      if (misaligned(low, bytes, flags)) return fault(FaultKind.storeMisaligned, low, high, bytes);
      const source = STATE + StateOffset.arguments;
      const kind =
        guard === undefined
          ? mmu.store(low, high, bytes, source)
          : mmu.storeUnlessCode(low, high, bytes, source, guard.isCode);
      if (kind === WITHHELD) {
        guard!.withheld();
        return ExitReason.fault;
      }
      return kind === 0 ? 0 : fault(kind, mmu.faultLow, mmu.faultHigh, bytes);
    },
  });
}
