import type { Block, Op } from '../../ir/block.ts';
import type { Type } from '../../ir/type.ts';
import { PAGE_SIZE, STATE, TlbEntry } from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import { BranchHint, type FunctionBuilder } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import type { Lowering } from '../lower.ts';
import { loadInstruction, type MemoryPath, storeInstruction } from '../memory-path.ts';
import { SlowAccess } from '../runtime.ts';
import {
  type AccessKind,
  addEntryOffset,
  compareEntry,
  compareTag,
  loadKindForUpdate,
  type Probe,
  storeKindForUpdate,
} from '../tlb-path.ts';
import { loadGuarded, storeGuarded } from './guarded-access.ts';
import { type PageCachePlaces, PageCaches } from './page-cache.ts';
import { ByteCopyCode } from './byte-copy-code.ts';
import { copiesOf, mayCopy } from './byte-copies.ts';
import type { AccessKnowledge } from './access-plan.ts';
import { FLAGS_SHIFT, type RegionAccess } from './shared-access.ts';
import { type AccessGroup, groupAccesses } from './tlb-groups.ts';

const { i32 } = ValType;
const NO_MEMBERS: readonly Member[] = [];
/** Among more, a member is looked for in a map; most blocks have fewer, and to make it takes longer then. */
const FEW_MEMBERS = 12;

/** Accesses that one look at a page serves. */
interface Shared {
  readonly group: AccessGroup;
  /** The i32 local of the linear address of the group's lowest byte, 0 when the TLB does not serve them all; set by the first access. */
  local: number;
}

interface Member {
  readonly op: Op;
  readonly shared: Shared;
  /** Bytes from the group's lowest. */
  readonly offset: number;
}

/** What accesses behind the TLB need of the region they are in. */
export interface TlbFrame {
  /** Local, i32: the TLB table for loads and stores. */
  readonly table: number | undefined;
  /** Code that pushes what is left of the budget, as i32. */
  pushBudget(): void;
  /** Code that pops what has become of it. */
  setBudget(): void;
  /** For an access that the guard of a loop has looked up, the i32 local that makes its address linear. */
  addendOf(op: Op): number | undefined;
}

/**
 * Guest memory behind address translation, for regions. The table is looked for once, accesses at known distances from each other are probed for
 * at once, regions of user mode look first where the same instruction went before, and what the TLB does not serve is done by functions that all
 * regions share (shared-access.ts).
 */
export class RegionTlbPath implements MemoryPath {
  readonly #slow: RegionAccess;
  readonly #frame: TlbFrame;
  readonly #caches: PageCaches | undefined;
  readonly #table: number;
  readonly #knowledge: Pick<AccessKnowledge, 'wanders'>;
  #members = NO_MEMBERS;
  #memberByOp: ReadonlyMap<Op, Member> | undefined = undefined;
  readonly #copies = new ByteCopyCode();

  /** `places`: present where all accesses are user mode's. Where instructions wander, remembering the last page is of no use. */
  constructor(
    slow: RegionAccess,
    frame: TlbFrame,
    places: PageCachePlaces | undefined,
    knowledge: Pick<AccessKnowledge, 'wanders'>,
  ) {
    this.#knowledge = knowledge;
    this.#table = frame.table!;
    this.#caches = places && new PageCaches(slow.note!, places);
    this.#slow = slow;
    this.#frame = frame;
  }

  /** Code that brings the table in. */
  begin(fn: FunctionBuilder): void {
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.dataTlb });
    fn.localSet(this.#table);
  }

  /** The accesses lowered from now on are this block's. `byteCopies`: whether to copy bytes as one. */
  follow(fn: FunctionBuilder, block: Block, byteCopies: boolean): void {
    const frame = this.#frame;
    this.#members = membersOf(block, frame);
    this.#memberByOp =
      this.#members.length <= FEW_MEMBERS ? undefined : new Map(this.#members.map((member) => [member.op, member]));
    const copies = byteCopies && mayCopy(block) ? copiesOf(block, (op) => this.#checkOf(op), true) : undefined;
    this.#copies.begin(fn, copies);
  }

  #memberOf(op: Op): Member | undefined {
    if (this.#memberByOp !== undefined) return this.#memberByOp.get(op);
    const members = this.#members;
    for (let at = 0; at < members.length; at++) if (members[at]!.op === op) return members[at]!;
    return undefined;
  }

  /** What has checked an access's bytes (byte-copies.ts). */
  #checkOf(op: Op): Op | number | undefined {
    const member = this.#memberOf(op);
    return member === undefined || isAlone(member) ? this.#frame.addendOf(op) : member.shared.group.first;
  }

  /** Frees what the last block needed. */
  end(fn: FunctionBuilder): void {
    this.#copies.begin(fn, undefined);
  }

  load(lowering: Lowering, op: Op): void {
    const kind = kindOf(op, TlbEntry.read);
    const addend = this.#frame.addendOf(op);
    if (addend !== undefined) return loadGuarded(lowering, op, kind, addend, this.#copies);
    const member = this.#memberOf(op);
    if (member !== undefined && !isAlone(member)) return this.#grouped(lowering, op, kind, member, undefined);
    lowering.inLocal(op.args[0]!, 'i64', (address) => {
      const caches = member && this.#cachesFor(member.shared);
      if (caches === undefined) this.#load(lowering, address, kind);
      else this.#cached(caches, lowering, address, kind, member!, undefined);
    });
  }

  store(lowering: Lowering, op: Op): void {
    const kind = kindOf(op, TlbEntry.write);
    const addend = this.#frame.addendOf(op);
    if (addend !== undefined) return storeGuarded(lowering, op, kind, addend, this.#copies);
    const member = this.#memberOf(op);
    const isGrouped = member !== undefined && !isAlone(member);
    if (isGrouped && member.shared.group.first !== op) {
      lowering.inLocal(op.args[1]!, kind.type, (value) => this.#grouped(lowering, op, kind, member, value));
      return;
    }
    lowering.inLocal(op.args[0]!, 'i64', (address) =>
      lowering.inLocal(op.args[1]!, kind.type, (value) => {
        if (isGrouped) return this.#grouped(lowering, op, kind, member, value, address);
        const caches = member && this.#cachesFor(member.shared);
        if (caches === undefined) this.#store(lowering, address, kind, value);
        else this.#cached(caches, lowering, address, kind, member!, value);
      }),
    );
  }

  loadForUpdate(lowering: Lowering, address: number, width: number, access: 'update' | 'reserve'): void {
    this.#load(lowering, address, loadKindForUpdate(width, access));
  }

  storeForUpdate(lowering: Lowering, address: number, width: number, value: number): void {
    this.#store(lowering, address, storeKindForUpdate(width), value);
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

  #cachesFor({ group }: Shared): PageCaches | undefined {
    return this.#caches === undefined || this.#knowledge.wanders(group.pc) ? undefined : this.#caches;
  }

  /** An access on its own, by its cache. `value`: local of a store. */
  #cached(
    caches: PageCaches,
    lowering: Lowering,
    address: number,
    kind: AccessKind,
    { shared }: Member,
    value: number | undefined,
  ): void {
    const { fn } = lowering;
    const { write } = shared.group;
    const bytes = kind.width / 8;
    const cache = caches.take(write);
    const done = fn.block(value === undefined ? ValType[kind.type] : undefined);
    caches.pushTag(fn, cache);
    fn.localGet(address);
    // One comparison for page and alignment, so that what is found does not run on into the next page; misaligned accesses are probed for.
    fn.i64Const(-PAGE_SIZE | (bytes - 1));
    fn.op('i64.and');
    fn.op('i64.ne');
    const missed = fn.if(undefined, BranchHint.unlikely);
    lowering.scratch(['i32'], (entry) => {
      this.#compare(fn, address, entry, kind);
      const refused = fn.if(undefined, BranchHint.unlikely);
      if (value === undefined) this.#slowLoad(lowering, () => fn.localGet(address), kind);
      else this.#slowStore(lowering, () => fn.localGet(address), kind, value);
      fn.br(done);
      fn.end(refused);
      caches.fill(fn, cache, address, entry);
    });
    fn.end(missed);
    caches.pushLinear(fn, cache, address);
    if (value === undefined) loadInstruction(lowering, kind, 0);
    else {
      fn.localGet(value);
      storeInstruction(lowering, kind, 0);
    }
    fn.end(done);
  }

  /** `value` and `address`: locals of a store; `address` is set for the first of its group only. */
  #grouped(lowering: Lowering, op: Op, kind: AccessKind, member: Member, value: number | undefined, address?: number) {
    const { fn } = lowering;
    const { shared, offset } = member;
    const { group } = shared;
    const access = (pushAddress: () => void) => {
      if (this.#copies.begins(op)) this.#copies.read(fn, op, shared.local, offset, false);
      if (this.#copies.writes(op)) this.#copies.writeIf(fn, op, shared.local, offset);
      this.#copies.unlessMade(fn, op, () => probed(pushAddress));
    };
    const probed = (pushAddress: () => void) => {
      fn.localGet(shared.local);
      const served = fn.if(value === undefined ? ValType[kind.type] : undefined, BranchHint.likely);
      fn.localGet(shared.local);
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
      lowering.inLocal(op.args[0]!, 'i64', (own) => {
        this.#findGroup(lowering, shared, own);
        access(() => fn.localGet(own));
      });
    } else {
      this.#findGroup(lowering, shared, address);
      access(() => fn.localGet(address));
    }
    if (group.last === op) fn.freeLocal(shared.local);
  }

  /** Sets the linear address of a group. `address`: the first access's. */
  #findGroup(lowering: Lowering, shared: Shared, address: number): void {
    const { fn } = lowering;
    const { group } = shared;
    const { write } = group;
    const caches = this.#cachesFor(shared);
    const bytes = group.high - group.low;
    shared.local = fn.takeLocal(i32);
    const withLowest = (find: (lowest: number) => void): void => {
      if (group.low === 0) return find(address);
      lowering.scratch(['i64'], (lowest) => {
        fn.localGet(address);
        fn.i64Const(group.low);
        fn.op('i64.add');
        fn.localSet(lowest);
        find(lowest);
      });
    };
    withLowest((lowest) => {
      if (caches === undefined) return this.#probeGroup(lowering, shared, lowest);
      const cache = caches.take(write);
      const done = fn.block();
      const missed = fn.block();
      caches.pushTag(fn, cache);
      fn.localGet(lowest);
      fn.i64Const(-PAGE_SIZE);
      fn.op('i64.and');
      fn.op('i64.ne');
      fn.brIf(missed, BranchHint.unlikely);
      // All of it lies in the page.
      fn.localGet(lowest);
      fn.op('i32.wrap_i64');
      fn.i32Const(PAGE_SIZE - 1);
      fn.op('i32.and');
      fn.i32Const(PAGE_SIZE - bytes);
      fn.op('i32.gt_u');
      fn.brIf(missed, BranchHint.unlikely);
      caches.pushLinear(fn, cache, lowest);
      fn.localSet(shared.local);
      fn.br(done);
      fn.end(missed);
      lowering.scratch(['i32'], (entry) => {
        fn.i32Const(0);
        fn.localSet(shared.local);
        compareTag(fn, lowest, entry, probeOfGroup(group), () => fn.localGet(this.#table));
        fn.brIf(done, BranchHint.unlikely);
        caches.fill(fn, cache, lowest, entry);
        this.#pushLinear(fn, lowest, entry);
        fn.localSet(shared.local);
      });
      fn.end(done);
    });
  }

  #probeGroup(lowering: Lowering, { group, local }: Shared, lowest: number): void {
    const { fn } = lowering;
    lowering.scratch(['i32'], (entry) => {
      fn.i32Const(0);
      // The operands of select are computed first, and a refused entry's sum does no harm.
      fn.localGet(this.#table);
      addEntryOffset(fn, lowest);
      fn.localSet(entry);
      this.#pushLinear(fn, lowest, entry);
      fn.localGet(entry);
      compareEntry(fn, lowest, probeOfGroup(group));
      fn.select();
      fn.localSet(local);
    });
  }

  #compare(fn: FunctionBuilder, address: number, entry: number, { tag, width, flags }: AccessKind): void {
    const probe: Probe = { tag, bytes: width / 8, natural: (flags & SlowAccess.natural) !== 0 };
    compareTag(fn, address, entry, probe, () => fn.localGet(this.#table));
  }

  #pushLinear(fn: FunctionBuilder, address: number, entry: number): void {
    fn.localGet(entry);
    fn.load('i32.load', { offset: TlbEntry.addend });
    fn.localGet(address);
    fn.op('i32.wrap_i64');
    fn.op('i32.add');
  }

  /** Calls out for a load; what the budget has become is the callee's to say: a device may want an interrupt to be taken. */
  #slowLoad(lowering: Lowering, pushAddress: () => void, kind: AccessKind): void {
    const { fn, site } = lowering;
    this.#pushRequest(lowering, pushAddress, kind);
    fn.call(this.#slow.load);
    this.#frame.setBudget();
    site.leaveUnlessZero!();
    takeLoaded(lowering, kind);
  }

  #slowStore(lowering: Lowering, pushAddress: () => void, kind: AccessKind, value: number): void {
    const { fn, site } = lowering;
    this.#pushRequest(lowering, pushAddress, kind);
    pushStored(lowering, kind, value);
    fn.call(this.#slow.store);
    this.#frame.setBudget();
    site.leaveUnlessZero!();
  }

  /** Pushes what loads and stores are called with. */
  #pushRequest({ fn, site }: Lowering, pushAddress: () => void, kind: AccessKind): void {
    pushAddress();
    fn.i32Const((kind.width / 8) | (kind.flags << FLAGS_SHIFT));
    this.#frame.pushBudget();
    fn.i32Const(site.exitFor!(ExitReason.fault));
  }
}

/** Makes what was loaded, an i64 with zeros above that is in the argument slots too, what the access gives. */
function takeLoaded(lowering: Lowering, kind: AccessKind): void {
  const { fn } = lowering;
  const { type, width, signed } = kind;
  if (type === 'v128') {
    fn.drop();
    fn.i32Const(0);
    loadInstruction(lowering, kind, STATE + StateOffset.arguments);
    return;
  }
  if (signed && width < 64) fn.op(width === 8 ? 'i64.extend8_s' : width === 16 ? 'i64.extend16_s' : 'i64.extend32_s');
  if (type === 'f64') fn.op('f64.reinterpret_i64');
  else if (type !== 'i64') fn.op('i32.wrap_i64');
  if (type === 'f32') fn.op('f32.reinterpret_i32');
}

/** Pushes the value of a store, a local, as an i64; what does not fit it goes to the argument slots. */
function pushStored(lowering: Lowering, kind: AccessKind, value: number): void {
  const { fn } = lowering;
  const { type } = kind;
  if (type === 'v128') {
    fn.i32Const(0);
    fn.localGet(value);
    storeInstruction(lowering, kind, STATE + StateOffset.arguments);
    fn.i32Const(0);
    fn.load('i64.load', { offset: STATE + StateOffset.arguments });
    return;
  }
  fn.localGet(value);
  if (type === 'f64') fn.op('i64.reinterpret_f64');
  if (type === 'f32') fn.op('i32.reinterpret_f32');
  if (type === 'i32' || type === 'f32') fn.op('i64.extend_i32_u');
}

function kindOf(op: Op, tag: number): AccessKind {
  const flags = op.alignment === 'natural' ? SlowAccess.natural : 0;
  return { type: op.type as Type, width: op.width!, signed: op.signed === true, flags, tag };
}

function probeOfGroup({ low, high, write }: AccessGroup): Probe {
  return { tag: write ? TlbEntry.write : TlbEntry.read, bytes: high - low, natural: false };
}

function isAlone({ shared }: Member): boolean {
  return shared.group.members.length === 1;
}

function membersOf(block: Block, frame: TlbFrame): readonly Member[] {
  const groups = groupAccesses(block, frame);
  if (groups.length === 0) return NO_MEMBERS;
  const members: Member[] = [];
  for (let at = 0; at < groups.length; at++) {
    const group = groups[at]!;
    const shared: Shared = { group, local: -1 };
    for (let member = 0; member < group.members.length; member++) {
      const { op, offset } = group.members[member]!;
      members.push({ op, shared, offset });
    }
  }
  return members;
}
