import { CSR_STORAGE, PRIVILEGE } from './registers.ts';
import { readCsrHighWord, readCsrSlot, readCsrWord, Slot } from './csr-storage.ts';

/** What the MMU has to know (the Regime of memory/regime.ts, which this room does not see). */
interface Regime {
  levels: number;
  rootPage: number;
  asid: number;
  fetchPrivilege: number;
  dataPrivilege: number;
  supervisorUserMemory: boolean;
  makeExecutableReadable: boolean;
  updateAccessedDirty: boolean;
  pageMemoryTypes: boolean;
}

const MSTATUS_MPP_SHIFT = 11;
const MSTATUS_MPRV = 1 << 17;
const MSTATUS_SUM = 1 << 18;
const MSTATUS_MXR = 1 << 19;
/** In the high word of menvcfg. */
const ENVCFG_ADUE = 1 << 29;
const ENVCFG_PBMTE = 1 << 30;
/** Of satp: MODE 8, 9 and 10 are Sv39, Sv48 and Sv57 (Privileged ISA, "Supervisor Address Translation and Protection (satp) Register"). */
const SV39 = 8;

/** Reads how addresses are translated from the control registers and the privilege mode. */
export function readRegime(state: DataView, regime: Regime): void {
  const privilege = state.getInt32(PRIVILEGE.offset, true);
  const status = readCsrWord(state, Slot.mstatus);
  const satpLow = readCsrWord(state, Slot.satp);
  const satpHigh = readCsrHighWord(state, Slot.satp);
  const envcfg = readCsrHighWord(state, Slot.menvcfg);
  const mode = satpHigh >>> 28;
  regime.levels = mode === 0 ? 0 : mode - SV39 + 3;
  regime.asid = (satpHigh >>> 12) & 0xffff;
  regime.rootPage = (satpLow >>> 0) + (satpHigh & 0xfff) * 0x1_0000_0000;
  regime.fetchPrivilege = privilege;
  regime.dataPrivilege = (status & MSTATUS_MPRV) === 0 ? privilege : (status >>> MSTATUS_MPP_SHIFT) & 3;
  regime.supervisorUserMemory = (status & MSTATUS_SUM) !== 0;
  regime.makeExecutableReadable = (status & MSTATUS_MXR) !== 0;
  regime.updateAccessedDirty = (envcfg & ENVCFG_ADUE) !== 0;
  regime.pageMemoryTypes = (envcfg & ENVCFG_PBMTE) !== 0;
}

/** The PMP registers: a byte of configuration and the value of pmpaddr for each of 16 entries. */
export function readPmp(state: DataView): { configuration: number[]; address: bigint[] } {
  const bytes = (entry: number): number =>
    state.getUint8(CSR_STORAGE.offset + CSR_STORAGE.stride * Slot.pmpConfiguration + entry);
  return {
    configuration: Array.from({ length: 16 }, (_, entry) => bytes(entry)),
    address: Array.from({ length: 16 }, (_, entry) => readCsrSlot(state, Slot.pmpAddress + entry)),
  };
}
