import type { Block, Op } from '../../ir/block.ts';
import { PAGE_SIZE, STATE, TlbEntry } from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import { BranchHint, type FunctionBuilder, type FunctionIndex } from '../../wasm/function.ts';
import type { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { Frame } from '../interpreter/frame.ts';
import type { Lowering } from '../lower.ts';
import { accessOf, loadInstruction, type MemoryPath, storeInstruction } from '../memory-path.ts';
import { SlowAccess } from '../runtime.ts';
import { type AccessKind, compareTag, type Probe, type TlbSlowPaths } from '../tlb-path.ts';
import { accessGroups } from './access-plan.ts';

const { i32, i64 } = ValType;

/** Accesses of a block at known distances from each other, within a page's length. */
interface Group {
  readonly first: Op;
  readonly last: Op;
  /** Bytes [low, high) from the first access's address. */
  readonly low: number;
  readonly high: number;
  readonly write: boolean;
  /** The i32 local of the linear address of byte `low`, 0 when the TLB does not serve them all; set by the first access. */
  local: number;
}

interface Member {
  readonly group: Group;
  /** Bytes from the group's lowest. */
  readonly offset: number;
}

/** Locals of a region that accesses behind the TLB use. */
export interface TlbFrame {
  /** i32: the TLB table for loads and stores. */
  readonly table: number;
  /** i32: what is left of the budget. */
  readonly budget: number;
}

/**
 * Guest memory behind address translation, for regions. The table is looked for once, accesses at known distances from each other are probed for
 * at once, and what the TLB does not serve is done by a function of the module that calls out.
 */
export class RegionTlbPath implements MemoryPath {
  readonly #module: ModuleBuilder;
  readonly #slow: TlbSlowPaths;
  readonly #frame: TlbFrame;
  readonly #outlined = new Map<FunctionIndex, FunctionBuilder>();
  #members: ReadonlyMap<Op, Member> = new Map();

  constructor(module: ModuleBuilder, slow: TlbSlowPaths, frame: TlbFrame) {
    this.#module = module;
    this.#slow = slow;
    this.#frame = frame;
  }

  /** Code that brings the table in. */
  begin(fn: FunctionBuilder): void {
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.dataTlb });
    fn.localSet(this.#frame.table);
  }

  /** The accesses lowered from now on are this block's. */
  follow(block: Block): void {
    this.#members = membersOf(block);
  }

  load(lowering: Lowering, op: Op): void {
    const kind = kindOf(op, TlbEntry.read);
    const member = this.#members.get(op);
    if (member !== undefined) return this.#grouped(lowering, op, kind, member, undefined);
    lowering.scratch(['i64'], (address) => {
      lowering.push(op.args[0]!);
      lowering.fn.localSet(address);
      this.#load(lowering, address, kind);
    });
  }

  store(lowering: Lowering, op: Op): void {
    const kind = kindOf(op, TlbEntry.write);
    const member = this.#members.get(op);
    lowering.scratch(['i64', kind.type], (address, value) => {
      if (member === undefined || member.group.first === op) {
        lowering.push(op.args[0]!);
        lowering.fn.localSet(address);
      }
      lowering.push(op.args[1]!);
      lowering.fn.localSet(value);
      if (member === undefined) this.#store(lowering, address, kind, value);
      else this.#grouped(lowering, op, kind, member, value, address);
    });
  }

  loadForUpdate(lowering: Lowering, address: number, width: number, access: 'update' | 'reserve'): void {
    const update = access === 'update';
    this.#load(lowering, address, {
      type: 'i64',
      width,
      signed: true,
      flags: SlowAccess.natural | (update ? SlowAccess.update : 0),
      // No page may be written but not read.
      tag: update ? TlbEntry.write : TlbEntry.read,
    });
  }

  storeForUpdate(lowering: Lowering, address: number, width: number, value: number): void {
    const kind: AccessKind = { type: 'i64', width, signed: false, flags: SlowAccess.natural, tag: TlbEntry.write };
    this.#store(lowering, address, kind, value);
  }

  #load(lowering: Lowering, address: number, kind: AccessKind): void {
    const { fn } = lowering;
    lowering.scratch(['i32'], (entry) => {
      this.#compare(fn, address, entry, kind);
      const slow = fn.if(ValType[kind.type], BranchHint.unlikely);
      this.#slowLoad(lowering, () => fn.localGet(address), kind);
      fn.else();
      this.#pushLinear(fn, address, entry);
      loadInstruction(lowering, kind, 0);
      fn.end(slow);
    });
  }

  /** Address and value in locals. */
  #store(lowering: Lowering, address: number, kind: AccessKind, value: number): void {
    const { fn } = lowering;
    lowering.scratch(['i32'], (entry) => {
      this.#compare(fn, address, entry, kind);
      const slow = fn.if(undefined, BranchHint.unlikely);
      this.#slowStore(lowering, () => fn.localGet(address), kind, value);
      fn.else();
      this.#pushLinear(fn, address, entry);
      fn.localGet(value);
      storeInstruction(lowering, kind, 0);
      fn.end(slow);
    });
  }

  /** `value` and `address`: locals of a store; `address` is set for the first of its group only. */
  #grouped(lowering: Lowering, op: Op, kind: AccessKind, member: Member, value: number | undefined, address?: number) {
    const { fn } = lowering;
    const { group, offset } = member;
    const access = (pushAddress: () => void) => {
      fn.localGet(group.local);
      const served = fn.if(value === undefined ? ValType[kind.type] : undefined, BranchHint.likely);
      fn.localGet(group.local);
      if (value === undefined) {
        loadInstruction(lowering, kind, offset);
        fn.else();
        this.#slowLoad(lowering, pushAddress, kind);
      } else {
        fn.localGet(value);
        storeInstruction(lowering, kind, offset);
        fn.else();
        this.#slowStore(lowering, pushAddress, kind, value);
      }
      fn.end(served);
    };
    if (group.first !== op) {
      access(() => lowering.push(op.args[0]!));
    } else if (address === undefined) {
      lowering.scratch(['i64'], (own) => {
        lowering.push(op.args[0]!);
        fn.localSet(own);
        this.#probeGroup(lowering, group, own);
        access(() => fn.localGet(own));
      });
    } else {
      this.#probeGroup(lowering, group, address);
      access(() => fn.localGet(address));
    }
    if (group.last === op) fn.freeLocal(group.local);
  }

  #probeGroup(lowering: Lowering, group: Group, address: number): void {
    const { fn } = lowering;
    group.local = fn.takeLocal(i32);
    const probe: Probe = {
      tag: group.write ? TlbEntry.write : TlbEntry.read,
      bytes: group.high - group.low,
      natural: false,
    };
    lowering.scratch(['i64', 'i32'], (lowest, entry) => {
      fn.localGet(address);
      if (group.low !== 0) {
        fn.i64Const(group.low);
        fn.op('i64.add');
      }
      fn.localSet(lowest);
      fn.i32Const(0);
      // The operands of select are computed first, and a refused entry's sum does no harm.
      compareTag(fn, lowest, entry, probe, () => fn.localGet(this.#frame.table));
      const isRefused = lowering.fn.takeLocal(i32);
      fn.localSet(isRefused);
      this.#pushLinear(fn, lowest, entry);
      fn.localGet(isRefused);
      fn.freeLocal(isRefused);
      fn.select();
      fn.localSet(group.local);
    });
  }

  #compare(fn: FunctionBuilder, address: number, entry: number, { tag, width, flags }: AccessKind): void {
    const probe: Probe = { tag, bytes: width / 8, natural: (flags & SlowAccess.natural) !== 0 };
    compareTag(fn, address, entry, probe, () => fn.localGet(this.#frame.table));
  }

  #pushLinear(fn: FunctionBuilder, address: number, entry: number): void {
    fn.localGet(entry);
    fn.load('i32.load', { offset: TlbEntry.addend });
    fn.localGet(address);
    fn.op('i32.wrap_i64');
    fn.op('i32.add');
  }

  #slowLoad(lowering: Lowering, pushAddress: () => void, kind: AccessKind): void {
    this.#callSlow(lowering, this.#slow.load, pushAddress, kind);
    lowering.fn.i32Const(0);
    loadInstruction(lowering, kind, STATE + StateOffset.arguments);
  }

  #slowStore(lowering: Lowering, pushAddress: () => void, kind: AccessKind, value: number): void {
    const { fn } = lowering;
    fn.i32Const(0);
    fn.localGet(value);
    storeInstruction(lowering, kind, STATE + StateOffset.arguments);
    this.#callSlow(lowering, this.#slow.store, pushAddress, kind);
  }

  /** Calls out; leaves when there was a fault. What the budget has become is the callee's to say: a device may want an interrupt to be taken. */
  #callSlow({ fn, site }: Lowering, callee: FunctionIndex, pushAddress: () => void, kind: AccessKind): void {
    pushAddress();
    fn.i32Const((kind.width / 8) | (kind.flags << FLAGS_SHIFT));
    fn.localGet(this.#frame.budget);
    fn.call(this.#outline(callee));
    fn.i32Const(0);
    fn.load('i32.load', { offset: Frame.budget });
    fn.localSet(this.#frame.budget);
    const faulted = fn.if(undefined, BranchHint.unlikely);
    site.leave(ExitReason.fault);
    fn.end(faulted);
  }

  /** `(address, bytes | flags << FLAGS_SHIFT, budget) -> status`. */
  #outline(callee: FunctionIndex): FunctionBuilder {
    const known = this.#outlined.get(callee);
    if (known !== undefined) return known;
    const fn = this.#module.function('slow', [i64, i32, i32], [i32]);
    this.#outlined.set(callee, fn);
    const [address, access, budget] = [0, 1, 2];
    fn.i32Const(0);
    fn.localGet(budget);
    fn.store('i32.store', { offset: Frame.budget });
    fn.localGet(address);
    fn.op('i32.wrap_i64');
    fn.localGet(address);
    fn.i64Const(32);
    fn.op('i64.shr_u');
    fn.op('i32.wrap_i64');
    fn.localGet(access);
    fn.i32Const((1 << FLAGS_SHIFT) - 1);
    fn.op('i32.and');
    fn.localGet(access);
    fn.i32Const(FLAGS_SHIFT);
    fn.op('i32.shr_u');
    fn.call(callee);
    return fn;
  }
}

const FLAGS_SHIFT = 8;

function kindOf(op: Op, tag: number): AccessKind {
  return { ...accessOf(op), flags: op.alignment === 'natural' ? SlowAccess.natural : 0, tag };
}

/** The groups of two accesses and more. */
function membersOf(block: Block): ReadonlyMap<Op, Member> {
  const members = new Map<Op, Member>();
  for (const accesses of accessGroups(block)) {
    for (let start = 0; start < accesses.length;) {
      let low = Infinity;
      let high = -Infinity;
      let end = start;
      for (; end < accesses.length; end++) {
        const { offset, bytes } = accesses[end]!;
        const nextLow = Math.min(low, offset);
        const nextHigh = Math.max(high, offset + bytes);
        if (nextHigh - nextLow > LONGEST_GROUP) break;
        low = nextLow;
        high = nextHigh;
      }
      const part = accesses.slice(start, end);
      start = end;
      if (part.length < 2) continue;
      const first = part[0]!;
      const group: Group = {
        first: first.op,
        last: part.at(-1)!.op,
        low: low - first.offset,
        high: high - first.offset,
        write: part.some(({ write }) => write),
        local: -1,
      };
      for (const { op, offset } of part) members.set(op, { group, offset: offset - low });
    }
  }
  return members;
}

/** Bytes between accesses that are probed for at once: an object's, or a stack frame's. Further apart, they are seldom in one page. */
const LONGEST_GROUP = PAGE_SIZE / 8;
