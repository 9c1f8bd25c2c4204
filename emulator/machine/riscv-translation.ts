import type { SystemHooks } from '../isa/instruction.ts';
import { readPmp, readRegime } from '../isa/riscv/regime.ts';
import type { Mmu } from '../memory/mmu.ts';

/**
 * Lets a RISC-V hart's control registers govern an MMU: the hooks are for the hart's helpers, and `translationChanged` is also to be called
 * after a trap was delivered or the state was changed from outside.
 */
export function governTranslation(state: DataView, mmu: Mmu): SystemHooks {
  const hooks: SystemHooks = {
    translationChanged: () => {
      readRegime(state, mmu.regime);
      mmu.regimeChanged();
    },
    protectionChanged: () => {
      const { configuration, address } = readPmp(state);
      mmu.pmp.configure(configuration, address);
      mmu.protectionChanged();
    },
    fence: (address, asid) => {
      if (address === undefined) return mmu.fence(asid);
      mmu.fenceAddress(Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n)), asid);
    },
    fenceAddress: (low, high, asid) => mmu.fenceAddress(low, high, asid),
  };
  hooks.protectionChanged();
  hooks.translationChanged();
  return hooks;
}
