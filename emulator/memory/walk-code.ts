import { PAGE_SIZE, TLB_CONTROL, TlbControl } from '../layout/memory-map.ts';
import { BranchHint, type FunctionBuilder, type FunctionIndex, type Label } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import { isEntered, writeEntry } from './entry-code.ts';
import { TlbContext } from './l1-tlb.ts';
import { L2_PARTIAL, L2_PARTIAL_SHIFT, type L2TlbOptions, RIGHTS } from './l2-tlb.ts';
import { PARTIAL_BYTES, pushWithin, type WalkLocals, writeLargeEntries, writeSet } from './large-entry-code.ts';
import { defineNote, refuseUnlessNoted } from './note-code.ts';
import { pushIsOpen, pushLinear, refuseUnlessOpen } from './open-ram-code.ts';
import { Access } from './regime.ts';
import { Pte } from './sv.ts';
import {
  increment,
  INDEX_BITS,
  missLocals,
  PAGE_SHIFT,
  pushControl,
  pushMasked,
  pushShifted,
  pushWide,
  writeAllowed,
  writeFill,
  writeGlobal,
  writePage,
  writeTable,
} from './tlb-code.ts';

const { i32, i64 } = ValType;
const ENTRY_SHIFT = 3;
/** Bits 63…54 of an entry: memory types, contiguity, and what is reserved. */
const EXTENSIONS = 54;
const FRAME = 10;
/** What a pointer must not have. */
const LEAF_ONLY = Pte.user | Pte.accessed | Pte.dirty;
const [LOW, HIGH, ACCESS] = [0, 1, 2];

/**
 * A function for what `probe` does not serve (l2-probe.ts): parts of large pages that the second level knows, and walks of page tables
 * in the plainest case. All tables and the page of 4 KiB lie in open RAM, the leaf permits the access, and there is nothing of Svpbmt or Svnapot. It does what JavaScript does then (`AddressTranslation`), and leaves the rest to that before
 * anything has changed, faults among it.
 */
export function defineWalk(module: ModuleBuilder, options: L2TlbOptions, probe: FunctionIndex): FunctionBuilder {
  const note = defineNote(module);
  const fn = module.function('walk', [i32, i32, i32], [i32]);
  const locals: WalkLocals = {
    ...missLocals(fn, LOW),
    access: ACCESS,
    rights: fn.local(i32),
    first: fn.local(i64),
    level: fn.local(i32),
    set: fn.local(i32),
    start: fn.local(i32),
    flags: fn.local(i32),
    way: fn.local(i32),
  };
  for (const parameter of [LOW, HIGH, ACCESS]) fn.localGet(parameter);
  fn.call(probe);
  fn.localTee(locals.linear);
  const known = fn.if();
  fn.localGet(locals.linear);
  fn.return();
  fn.end(known);
  const refused = fn.block();
  // Nothing is translated, or not this access.
  pushControl(fn, TlbControl.rootShift);
  fn.op('i32.eqz');
  fn.brIf(refused);
  writeTable(fn, locals, ACCESS);
  fn.localGet(locals.context);
  fn.i32Const(TlbContext.machine);
  fn.op('i32.eq');
  fn.brIf(refused);
  writePage(fn, locals, HIGH);
  const served = fn.block();
  const absent = fn.block();
  writeLargeEntries(fn, locals, options, note, served, absent, refused);
  fn.end(absent);
  if (isEntered(options.policy)) {
    writeWalk(fn, locals, options, note, refused);
    writeEntry(fn, locals, options);
  } else {
    fn.br(refused);
  }
  fn.end(served);
  writeFill(fn, locals);
  pushMasked(fn, LOW, PAGE_SIZE - 1);
  fn.localGet(locals.linear);
  fn.op('i32.add');
  fn.return();
  fn.end(refused);
  fn.i32Const(0);
  return fn;
}

/** Walks from the root to a leaf that permits the access, sets all locals for it, and counts. */
function writeWalk(
  fn: FunctionBuilder,
  locals: WalkLocals,
  { sets }: L2TlbOptions,
  note: FunctionBuilder,
  refused: Label,
): void {
  const { access, page, first, level, set, start, flags, linear, rights } = locals;
  const table = fn.local(i64);
  const frame = fn.local(i64);
  const entry = fn.local(i64);
  const address = fn.local(i64);
  const shift = fn.local(i64);
  const steps = fn.local(i32);
  const refuse = (): void => fn.brIf(refused, BranchHint.unlikely);
  pushControl(fn, TlbControl.rootShift);
  fn.op('i64.extend_i32_u');
  fn.localSet(shift);
  // All bits above the root's index equal its highest one.
  fn.localGet(page);
  for (const op of ['i64.shl', 'i64.shr_s'] as const) {
    fn.i64Const(64 + PAGE_SHIFT - INDEX_BITS);
    fn.localGet(shift);
    fn.op('i64.sub');
    fn.op(op);
  }
  fn.localGet(page);
  fn.op('i64.ne');
  refuse();
  pushWide(fn, TlbControl.root);
  fn.localSet(table);
  const leaf = fn.block();
  const nextTable = fn.loop();
  fn.localGet(page);
  fn.localGet(shift);
  fn.i64Const(PAGE_SHIFT);
  fn.op('i64.sub');
  fn.op('i64.shr_u');
  fn.i64Const(2 ** INDEX_BITS - 1);
  fn.op('i64.and');
  fn.i64Const(ENTRY_SHIFT);
  fn.op('i64.shl');
  fn.localGet(table);
  fn.op('i64.add');
  fn.localSet(table);
  refuseUnlessOpen(fn, table, refuse);
  pushLinear(fn, table);
  fn.load('i64.load');
  fn.localTee(entry);
  fn.i64Const(EXTENSIONS);
  fn.op('i64.shr_u');
  fn.op('i64.eqz');
  fn.op('i32.eqz');
  refuse();
  fn.localGet(entry);
  fn.op('i32.wrap_i64');
  fn.localSet(flags);
  pushMasked(fn, flags, Pte.valid);
  fn.op('i32.eqz');
  refuse();
  pushMasked(fn, flags, Pte.read | Pte.write);
  fn.i32Const(Pte.write);
  fn.op('i32.eq');
  refuse();
  fn.localGet(steps);
  fn.i32Const(1);
  fn.op('i32.add');
  fn.localSet(steps);
  fn.localGet(entry);
  fn.i64Const(FRAME);
  fn.op('i64.shr_u');
  fn.i64Const(PAGE_SHIFT);
  fn.op('i64.shl');
  fn.localSet(frame);
  pushMasked(fn, flags, Pte.read | Pte.execute);
  fn.brIf(leaf);
  pushMasked(fn, flags, LEAF_ONLY);
  refuse();
  fn.localGet(frame);
  fn.localSet(table);
  fn.localGet(shift);
  fn.i64Const(INDEX_BITS);
  fn.op('i64.sub');
  fn.localTee(shift);
  fn.i64Const(PAGE_SHIFT);
  fn.op('i64.ge_s');
  fn.brIf(nextTable);
  fn.br(refused);
  fn.end(nextTable);
  fn.end(leaf);
  // Accessed, for a store dirty too: as they are, or where the walk may set them.
  pushMasked(fn, access, Access.write);
  fn.i32Const(Math.log2(Pte.dirty / Access.write));
  fn.op('i32.shl');
  fn.i32Const(Pte.accessed);
  fn.op('i32.or');
  pushControl(fn, TlbControl.updates);
  fn.op('i32.and');
  fn.localGet(flags);
  fn.op('i32.or');
  fn.localTee(flags);
  fn.i32Const(Pte.accessed);
  fn.op('i32.and');
  fn.op('i32.eqz');
  refuse();
  fn.localGet(page);
  fn.i64Const(-1);
  fn.localGet(shift);
  fn.i64Const(PAGE_SHIFT);
  fn.op('i64.sub');
  fn.op('i64.shl');
  fn.op('i64.and');
  fn.localSet(first);
  // Of the page of 4 KiB: a larger one may lie in RAM in part.
  fn.localGet(frame);
  pushWithin(fn, locals);
  fn.op('i64.add');
  fn.localSet(address);
  refuseUnlessOpen(fn, address, refuse);
  pushLinear(fn, address);
  fn.localTee(linear);
  fn.localSet(start);
  fn.localGet(flags);
  writeGlobal(fn, locals, Pte.global);
  writeRights(fn, locals);
  fn.localGet(rights);
  writeAllowed(fn, locals, access);
  refuse();
  fn.localGet(shift);
  fn.op('i32.wrap_i64');
  fn.i32Const(PAGE_SHIFT);
  fn.op('i32.sub');
  fn.i32Const(INDEX_BITS);
  fn.op('i32.div_u');
  fn.localTee(level);
  const large = fn.if();
  writeLargeStart(fn, locals, frame, shift, refuse);
  refuseUnlessNoted(fn, note, locals, refused);
  writeSet(fn, locals, sets);
  fn.else();
  fn.localGet(first);
  fn.op('i32.wrap_i64');
  fn.i32Const(sets - 1);
  fn.op('i32.and');
  fn.localSet(set);
  fn.end(large);
  fn.localGet(flags);
  fn.localGet(entry);
  fn.op('i32.wrap_i64');
  fn.op('i32.ne');
  const updated = fn.if(undefined, BranchHint.unlikely);
  pushLinear(fn, table);
  fn.localGet(flags);
  fn.store('i32.store');
  fn.end(updated);
  increment(fn, TlbControl.walks);
  fn.i32Const(0);
  fn.i32Const(0);
  fn.load('f64.load', { offset: TLB_CONTROL + TlbControl.walkSteps });
  fn.localGet(steps);
  fn.op('f64.convert_i32_u');
  fn.op('f64.add');
  fn.store('f64.store', { offset: TLB_CONTROL + TlbControl.walkSteps });
}

/** Sets `start` for a large page, which begins at a multiple of its size; perhaps not all of it is open RAM. */
function writeLargeStart(
  fn: FunctionBuilder,
  { start }: WalkLocals,
  frame: number,
  shift: number,
  refuse: () => void,
): void {
  const size = fn.local(i64);
  fn.i64Const(1);
  fn.localGet(shift);
  fn.op('i64.shl');
  fn.localTee(size);
  fn.i64Const(1);
  fn.op('i64.sub');
  fn.localGet(frame);
  fn.op('i64.and');
  fn.op('i64.eqz');
  fn.op('i32.eqz');
  refuse();
  pushIsOpen(fn, frame);
  fn.localGet(frame);
  pushWide(fn, TlbControl.openFrom);
  fn.op('i64.sub');
  fn.localGet(size);
  fn.op('i64.add');
  pushWide(fn, TlbControl.openSpan);
  fn.op('i64.le_u');
  fn.op('i32.and');
  const whole = fn.if(undefined, BranchHint.likely);
  pushLinear(fn, frame);
  fn.localSet(start);
  fn.else();
  fn.localGet(frame);
  fn.i64Const(PARTIAL_BYTES + 32 - L2_PARTIAL_SHIFT);
  fn.op('i64.shr_u');
  fn.op('i64.eqz');
  fn.op('i32.eqz');
  refuse();
  fn.localGet(frame);
  fn.i64Const(PARTIAL_BYTES - L2_PARTIAL_SHIFT);
  fn.op('i64.shr_u');
  fn.op('i32.wrap_i64');
  fn.i32Const(L2_PARTIAL);
  fn.op('i32.or');
  fn.localSet(start);
  fn.end(whole);
}

/** Sets `rights` from the leaf's flags, as `rightsOf` of translation.ts. */
function writeRights(fn: FunctionBuilder, { flags, rights }: WalkLocals): void {
  const all = fn.local(i32);
  // Read, or execute where that is enough.
  pushShifted(fn, flags, 'i32.shr_u', Math.log2(Pte.read / Access.read));
  fn.i32Const(Access.read);
  fn.op('i32.and');
  pushShifted(fn, flags, 'i32.shr_u', Math.log2(Pte.execute));
  pushControl(fn, TlbControl.executableReadable);
  fn.op('i32.and');
  fn.op('i32.or');
  // Write where it is dirty already.
  pushShifted(fn, flags, 'i32.shr_u', Math.log2(Pte.write / Access.write));
  pushShifted(fn, flags, 'i32.shr_u', Math.log2(Pte.dirty / Access.write));
  fn.op('i32.and');
  fn.i32Const(Access.write);
  fn.op('i32.and');
  fn.op('i32.or');
  pushShifted(fn, flags, 'i32.shr_u', Math.log2(Pte.execute / Access.execute));
  fn.i32Const(Access.execute);
  fn.op('i32.and');
  fn.op('i32.or');
  fn.localSet(all);
  // User mode, and supervisor mode with SUM but for fetches; else both of supervisor mode.
  fn.localGet(all);
  pushMasked(fn, all, Access.read | Access.write);
  fn.i32Const(2 * RIGHTS);
  fn.op('i32.shl');
  fn.op('i32.or');
  fn.localGet(all);
  fn.i32Const((1 << RIGHTS) | (1 << (2 * RIGHTS)));
  fn.op('i32.mul');
  pushMasked(fn, flags, Pte.user);
  fn.select();
  fn.localSet(rights);
}
