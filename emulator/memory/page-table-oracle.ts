import { Access, PrivilegeMode, type Regime } from './regime.ts';

/**
 * Page walks in plain BigInt arithmetic, written from the text of the Privileged ISA ("Virtual Address Translation Process") and sharing
 * nothing with sv.ts: what the tests hold it against.
 */
export interface OracleRegime {
  readonly levels: number;
  readonly root: bigint;
  readonly sum: boolean;
  readonly mxr: boolean;
  readonly adue: boolean;
  readonly pbmte: boolean;
}

export type OracleOutcome =
  | {
      readonly kind: 'translated';
      readonly gpa: bigint;
      readonly update?: { readonly gpa: bigint; readonly pte: bigint };
    }
  | { readonly kind: 'page fault' }
  | { readonly kind: 'access fault' };

/** `readPte` gives undefined where there is no memory; `access` is 'r', 'w' or 'x'. */
export function walkByTheBook(
  va: bigint,
  access: 'r' | 'w' | 'x',
  userMode: boolean,
  regime: OracleRegime,
  readPte: (gpa: bigint) => bigint | undefined,
): OracleOutcome {
  const bit = (pte: bigint, n: number): boolean => ((pte >> BigInt(n)) & 1n) === 1n;
  const pageFault: OracleOutcome = { kind: 'page fault' };
  const vaBits = 12 + 9 * regime.levels;
  if (BigInt.asUintN(64, BigInt.asIntN(vaBits, va)) !== va) return pageFault;
  let a = regime.root * 4096n;
  for (let i = regime.levels - 1; i >= 0; i--) {
    const vpn = (va >> BigInt(12 + 9 * i)) & 511n;
    const pteAddress = a + vpn * 8n;
    const pte = readPte(pteAddress);
    if (pte === undefined) return { kind: 'access fault' };
    const [v, r, w, x, u] = [bit(pte, 0), bit(pte, 1), bit(pte, 2), bit(pte, 3), bit(pte, 4)];
    if (!v || (!r && w)) return pageFault;
    if (((pte >> 54n) & 0x7fn) !== 0n) return pageFault;
    const ppn = (pte >> 10n) & ((1n << 44n) - 1n);
    const pbmt = (pte >> 61n) & 3n;
    const n = bit(pte, 63);
    if (!r && !x) {
      // A pointer: D, A and U are reserved, and so are PBMT and N.
      if (u || bit(pte, 6) || bit(pte, 7) || pbmt !== 0n || n) return pageFault;
      a = ppn * 4096n;
      continue;
    }
    if (pbmt === 3n || (pbmt !== 0n && !regime.pbmte)) return pageFault;
    if (n && (i !== 0 || (ppn & 15n) !== 8n)) return pageFault;
    if (access === 'r' && !(r || (regime.mxr && x))) return pageFault;
    if (access === 'w' && !w) return pageFault;
    if (access === 'x' && !x) return pageFault;
    if (userMode && !u) return pageFault;
    if (!userMode && u && (access === 'x' || !regime.sum)) return pageFault;
    const pageBits = 12n + 9n * BigInt(i);
    if (((ppn * 4096n) & ((1n << pageBits) - 1n)) !== 0n) return pageFault;
    const wanted = pte | 64n | (access === 'w' ? 128n : 0n);
    if (wanted !== pte && !regime.adue) return pageFault;
    const offsetBits = n ? 16n : pageBits;
    const base = n ? (ppn >> 4n) << 16n : ppn * 4096n;
    const gpa = base + (va & ((1n << offsetBits) - 1n));
    return wanted === pte
      ? { kind: 'translated', gpa }
      : { kind: 'translated', gpa, update: { gpa: pteAddress, pte: wanted } };
  }
  return pageFault;
}

/** The same for an access under a regime of the MMU's, without Svpbmt. */
export function walkUnder(
  regime: Regime,
  va: bigint,
  access: Access,
  readPte: (gpa: bigint) => bigint | undefined,
): OracleOutcome {
  const fetch = access === Access.execute;
  const privilege = fetch ? regime.fetchPrivilege : regime.dataPrivilege;
  const oracle = {
    levels: regime.levels,
    root: BigInt(regime.rootPage),
    sum: regime.supervisorUserMemory,
    mxr: regime.makeExecutableReadable,
    adue: regime.updateAccessedDirty,
    pbmte: false,
  };
  const letter = access === Access.read ? 'r' : fetch ? 'x' : 'w';
  return walkByTheBook(va, letter, privilege === PrivilegeMode.user, oracle, readPte);
}
