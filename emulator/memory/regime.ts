/** What an access is for. Also the bit of a permission mask: read 1, write 2, execute 4. */
export const Access = { read: 1, write: 2, execute: 4 } as const;
export type Access = (typeof Access)[keyof typeof Access];

/** Privilege modes by their RISC-V numbers. */
export const PrivilegeMode = { user: 0, supervisor: 1, machine: 3 } as const;

/**
 * How addresses are translated at the moment: what the control registers say, in the form that the MMU needs. The ISA fills it in
 * (isa/riscv/regime.ts) whenever one of them or the privilege mode has changed, and hands it to `Mmu.regimeChanged`.
 */
export interface Regime {
  /** Levels of the page table: 3 for Sv39, 4 for Sv48, 5 for Sv57, 0 for none. */
  levels: number;
  /** Page number of the root page table. */
  rootPage: number;
  asid: number;
  fetchPrivilege: number;
  /** That of loads and stores: another than that of fetches while mstatus.MPRV is set. */
  dataPrivilege: number;
  /** Supervisor mode may load from and store to user pages. */
  supervisorUserMemory: boolean;
  /** Pages that may be executed may be read. */
  makeExecutableReadable: boolean;
  /** Accessed and dirty bits are set by the walker (Svadu); else their absence is a page fault (Svade). */
  updateAccessedDirty: boolean;
  /** The memory type in a page-table entry is understood (Svpbmt). */
  pageMemoryTypes: boolean;
}

/** Machine mode after a reset. */
export function bareRegime(): Regime {
  return {
    levels: 0,
    rootPage: 0,
    asid: 0,
    fetchPrivilege: PrivilegeMode.machine,
    dataPrivilege: PrivilegeMode.machine,
    supervisorUserMemory: false,
    makeExecutableReadable: false,
    updateAccessedDirty: false,
    pageMemoryTypes: false,
  };
}
