import type { Op } from '../ir/block.ts';
import { PAGE_SIZE, STATE, TLB_ENTRIES, TLB_ENTRY_SIZE, TlbEntry } from '../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../layout/state.ts';
import type { FunctionBuilder, FunctionIndex } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import type { Lowering } from './lower.ts';
import { accessOf, loadInstruction, storeInstruction, type MemoryPath, type Transfer } from './memory-path.ts';
import { SlowAccess } from './runtime.ts';

const { i32 } = ValType;

/** The functions behind the inline probe (tlb-imports.ts), by their place in a module. */
export interface TlbSlowPaths {
  readonly load: FunctionIndex;
  readonly store: FunctionIndex;
}

/** Declares the imports of `TlbMemoryPath`: before the module has a function of its own. */
export function importTlbSlowPaths(module: ModuleBuilder): TlbSlowPaths {
  return {
    load: module.importFunction('env', 'tlbLoad', [i32, i32, i32, i32], [i32]),
    store: module.importFunction('env', 'tlbStore', [i32, i32, i32, i32], [i32]),
  };
}

/** What decides whether an entry serves an access. */
export interface Probe {
  /** Byte offset of the tag to compare: TlbEntry.read, write or execute. */
  readonly tag: number;
  readonly bytes: number;
  /** A misaligned access is refused; else only one that runs on into the next page is. */
  readonly natural: boolean;
}

/**
 * Looks an address (i64 local) up in the first-level TLB and leaves its linear address in an i32 local. `refuse` pops a condition, which
 * is true where the entry does not serve the access. One comparison tests page, right and reach: the last byte's page against the tag, or
 * the address with its low bits that alignment wants clear.
 */
export function probeTlb(fn: FunctionBuilder, address: number, linear: number, probe: Probe, refuse: () => void): void {
  compareTag(fn, address, linear, probe, () => {
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.dataTlb });
  });
  refuse();
  fn.localGet(linear);
  fn.load('i32.load', { offset: TlbEntry.addend });
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  fn.op('i32.add');
  fn.localSet(linear);
}

/** Makes the address of a table, which is on the stack, that of its entry for an address (i64 local). */
export function addEntryOffset(fn: FunctionBuilder, address: number): void {
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  // An entry's place is the page number's low bits; the two shifts of that are one.
  fn.i32Const(Math.log2(PAGE_SIZE / TLB_ENTRY_SIZE));
  fn.op('i32.shr_u');
  fn.i32Const((TLB_ENTRIES - 1) * TLB_ENTRY_SIZE);
  fn.op('i32.and');
  fn.op('i32.add');
}

/** The first half of `probeTlb`: leaves the entry in `entry` and pushes whether it does not serve the access. `pushTable`: the table's address. */
export function compareTag(
  fn: FunctionBuilder,
  address: number,
  entry: number,
  probe: Probe,
  pushTable: () => void,
): void {
  pushTable();
  addEntryOffset(fn, address);
  fn.localTee(entry);
  compareEntry(fn, address, probe);
}

/** Makes the address of an entry, which is on the stack, whether it does not serve the access to an address (i64 local). */
export function compareEntry(fn: FunctionBuilder, address: number, { tag, bytes, natural }: Probe): void {
  fn.load('i64.load', { offset: tag });
  fn.localGet(address);
  if (!natural && bytes > 1) {
    fn.i64Const(bytes - 1);
    fn.op('i64.add');
  }
  fn.i64Const(natural ? -PAGE_SIZE | (bytes - 1) : -PAGE_SIZE);
  fn.op('i64.and');
  fn.op('i64.ne');
}

/** An access behind the TLB. */
export interface AccessKind extends Transfer {
  /** SlowAccess bits. */
  readonly flags: number;
  /** Of the entry: TlbEntry.read or write. */
  readonly tag: number;
}

/** The load of an atomic. */
export function loadKindForUpdate(width: number, access: 'update' | 'reserve'): AccessKind {
  const update = access === 'update';
  return {
    type: 'i64',
    width,
    signed: true,
    flags: SlowAccess.natural | (update ? SlowAccess.update : 0),
    // No page may be written but not read.
    tag: update ? TlbEntry.write : TlbEntry.read,
  };
}

/** The store of an atomic. */
export function storeKindForUpdate(width: number): AccessKind {
  return { type: 'i64', width, signed: false, flags: SlowAccess.natural, tag: TlbEntry.write };
}

/**
 * Guest memory behind address translation: the first-level TLB is probed inline, and JavaScript is called for what it does not serve.
 * The table that is probed is the one whose address is in the state, so one piece of code serves every privilege mode.
 */
export class TlbMemoryPath implements MemoryPath {
  readonly #slow: TlbSlowPaths;

  constructor(slow: TlbSlowPaths) {
    this.#slow = slow;
  }

  load(lowering: Lowering, op: Op): void {
    lowering.scratch(['i64'], (address) => {
      lowering.push(op.args[0]!);
      lowering.fn.localSet(address);
      this.#load(lowering, address, { ...accessOf(op), flags: flagsOf(op), tag: TlbEntry.read });
    });
  }

  store(lowering: Lowering, op: Op): void {
    const { fn } = lowering;
    const kind = { ...accessOf(op), flags: flagsOf(op), tag: TlbEntry.write };
    lowering.scratch(['i64'], (address) => {
      lowering.push(op.args[0]!);
      fn.localSet(address);
      if (lowering.site.inline) {
        this.#storeInline(lowering, address, kind, () => lowering.push(op.args[1]!));
        return;
      }
      lowering.scratch([kind.type], (value) => {
        lowering.push(op.args[1]!);
        fn.localSet(value);
        this.#storeOrLeave(lowering, address, kind, value);
      });
    });
  }

  loadForUpdate(lowering: Lowering, address: number, width: number, access: 'update' | 'reserve'): void {
    this.#load(lowering, address, loadKindForUpdate(width, access));
  }

  storeForUpdate(lowering: Lowering, address: number, width: number, value: number): void {
    const kind = storeKindForUpdate(width);
    if (lowering.site.inline) this.#storeInline(lowering, address, kind, () => lowering.fn.localGet(value));
    else this.#storeOrLeave(lowering, address, kind, value);
  }

  #load(lowering: Lowering, address: number, kind: AccessKind): void {
    const { fn, site } = lowering;
    lowering.scratch(['i32'], (linear) => {
      if (site.inline) {
        probeTlb(fn, address, linear, probeOf(kind), () => site.bailIf());
        fn.localGet(linear);
        loadInstruction(lowering, kind, 0);
        return;
      }
      const done = fn.block(ValType[kind.type]);
      const slow = fn.block();
      probeTlb(fn, address, linear, probeOf(kind), () => fn.brIf(slow));
      fn.localGet(linear);
      loadInstruction(lowering, kind, 0);
      fn.br(done);
      fn.end(slow);
      this.#callSlow(lowering, this.#slow.load, address, kind);
      fn.i32Const(0);
      loadInstruction(lowering, kind, STATE + StateOffset.arguments);
      fn.end(done);
    });
  }

  #storeInline(lowering: Lowering, address: number, kind: AccessKind, pushValue: () => void): void {
    const { fn } = lowering;
    lowering.scratch(['i32'], (linear) => {
      probeTlb(fn, address, linear, probeOf(kind), () => lowering.site.bailIf());
      fn.localGet(linear);
      pushValue();
      storeInstruction(lowering, kind, 0);
    });
  }

  #storeOrLeave(lowering: Lowering, address: number, kind: AccessKind, value: number): void {
    const { fn } = lowering;
    lowering.scratch(['i32'], (linear) => {
      const done = fn.block();
      const slow = fn.block();
      probeTlb(fn, address, linear, probeOf(kind), () => fn.brIf(slow));
      fn.localGet(linear);
      fn.localGet(value);
      storeInstruction(lowering, kind, 0);
      fn.br(done);
      fn.end(slow);
      fn.i32Const(0);
      fn.localGet(value);
      storeInstruction(lowering, kind, STATE + StateOffset.arguments);
      this.#callSlow(lowering, this.#slow.store, address, kind);
      fn.end(done);
    });
  }

  /** Calls out; leaves when there was a fault. */
  #callSlow({ fn, site }: Lowering, callee: FunctionIndex, address: number, kind: AccessKind): void {
    fn.localGet(address);
    fn.op('i32.wrap_i64');
    fn.localGet(address);
    fn.i64Const(32);
    fn.op('i64.shr_u');
    fn.op('i32.wrap_i64');
    fn.i32Const(kind.width / 8);
    fn.i32Const(kind.flags);
    fn.call(callee);
    const faulted = fn.if();
    site.leave(ExitReason.fault);
    fn.end(faulted);
  }
}

function flagsOf(op: Op): number {
  return op.alignment === 'natural' ? SlowAccess.natural : 0;
}

function probeOf({ tag, width, flags }: AccessKind): Probe {
  return { tag, bytes: width / 8, natural: (flags & SlowAccess.natural) !== 0 };
}
