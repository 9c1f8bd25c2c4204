import { FaultKind } from '../layout/state.ts';
import { TlbContext } from './l1-tlb.ts';
import { RIGHTS } from './l2-tlb.ts';
import { Access, PrivilegeMode } from './regime.ts';
import { Pte } from './sv.ts';

/** Rights by table of the first level, RIGHTS bits each: Access bits for user mode, supervisor mode, supervisor mode with SUM. */
export function rightsOf(flags: number, executableReadable: boolean): number {
  const execute = (flags & Pte.execute) !== 0 ? Access.execute : 0;
  const read = (flags & Pte.read) !== 0 || (executableReadable && execute !== 0) ? Access.read : 0;
  // A page that is not dirty yet is not written before a walk has made it so.
  const write = (flags & Pte.write) !== 0 && (flags & Pte.dirty) !== 0 ? Access.write : 0;
  const all = read | write | execute;
  if ((flags & Pte.user) === 0) return (all << RIGHTS) | (all << (2 * RIGHTS));
  return all | ((read | write) << (2 * RIGHTS));
}

/** The table of the first level for a privilege mode, which may be a supervisor mode that may reach user pages. */
export function contextOf(privilege: number, supervisorUserMemory: boolean): TlbContext {
  if (privilege === PrivilegeMode.machine) return TlbContext.machine;
  if (privilege === PrivilegeMode.user) return TlbContext.user;
  return supervisorUserMemory ? TlbContext.supervisorUserMemory : TlbContext.supervisor;
}

/** Of an access that was refused: by the page tables, or by what lies at the physical address. */
export function faultKind(page: boolean, access: Access): FaultKind {
  switch (access) {
    case Access.read:
      return page ? FaultKind.loadPage : FaultKind.load;
    case Access.write:
      return page ? FaultKind.storePage : FaultKind.store;
    default:
      return page ? FaultKind.fetchPage : FaultKind.fetch;
  }
}
