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
import { accessCode } from './access-code.ts';
import type { RegionAccess } from './shared-access.ts';
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
    this.#caches = places && new PageCaches(places, slow.find!);
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
    if (member !== undefined && !isAlone(member)) {
      const { group } = member.shared;
      if (group.first !== op) return this.#grouped(lowering, op, kind, member, undefined);
      return this.#withLowest(lowering, op, group, (lowest) =>
        this.#grouped(lowering, op, kind, member, undefined, lowest),
      );
    }
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
    const withValue = (body: (value: number) => void) => lowering.inLocal(op.args[1]!, kind.type, body);
    if (member !== undefined && !isAlone(member)) {
      const { group } = member.shared;
      if (group.first !== op) return withValue((value) => this.#grouped(lowering, op, kind, member, value));
      return this.#withLowest(lowering, op, group, (lowest) =>
        withValue((value) => this.#grouped(lowering, op, kind, member, value, lowest)),
      );
    }
    lowering.inLocal(op.args[0]!, 'i64', (address) =>
      withValue((value) => {
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
    caches.pushTag(fn, cache);
    fn.localGet(address);
    // One comparison for page and alignment, so that what is found does not run on into the next page.
    fn.i64Const(-PAGE_SIZE | (bytes - 1));
    fn.op('i64.and');
    fn.op('i64.ne');
    const type = value === undefined ? ValType[kind.type] : undefined;
    const access = () => {
      if (value === undefined) return loadInstruction(lowering, kind, 0);
      fn.localGet(value);
      storeInstruction(lowering, kind, 0);
    };
    const missed = fn.if(type, BranchHint.unlikely);
    lowering.scratch(['i32'], (linear) => {
      caches.pushFound(fn, cache, address, bytes, write);
      fn.localTee(linear);
      const found = fn.if(type, BranchHint.likely);
      fn.localGet(linear);
      access();
      fn.else();
      if (value === undefined) this.#slowLoad(lowering, () => fn.localGet(address), kind);
      else this.#slowStore(lowering, () => fn.localGet(address), kind, value);
      fn.end(found);
    });
    fn.else();
    caches.pushLinear(fn, cache, address);
    access();
    fn.end(missed);
  }

  /** `value`: local of a store; `lowest`: of the group's lowest address, for the first of it only. */
  #grouped(lowering: Lowering, op: Op, kind: AccessKind, member: Member, value: number | undefined, lowest?: number) {
    const { fn } = lowering;
    const { shared, offset } = member;
    if (lowest !== undefined) this.#findGroup(lowering, shared, lowest);
    if (this.#copies.begins(op)) this.#copies.read(fn, op, shared.local, offset, false);
    if (this.#copies.writes(op)) this.#copies.writeIf(fn, op, shared.local, offset);
    this.#copies.unlessMade(fn, op, () => {
      fn.localGet(shared.local);
      const served = fn.if(value === undefined ? ValType[kind.type] : undefined, BranchHint.likely);
      fn.localGet(shared.local);
      if (value === undefined) loadInstruction(lowering, kind, offset);
      else {
        fn.localGet(value);
        storeInstruction(lowering, kind, offset);
      }
      fn.else();
      // What is to be added to an address is told, not added here.
      const split = lowest === undefined ? lowering.splitAddress(op.args[0]!) : undefined;
      const pushAddress = () => (split === undefined ? fn.localGet(lowest!) : lowering.push(split.base));
      const distance = split?.displacement ?? offset;
      if (value === undefined) this.#slowLoad(lowering, pushAddress, kind, distance);
      else this.#slowStore(lowering, pushAddress, kind, value, distance);
      fn.end(served);
    });
    if (shared.group.last === op) fn.freeLocal(shared.local);
  }

  /** Runs `body` with a local that holds a group's lowest address. `op`: its first access. */
  #withLowest(lowering: Lowering, op: Op, { low }: AccessGroup, body: (lowest: number) => void): void {
    const { fn } = lowering;
    const { base, displacement } = lowering.splitAddress(op.args[0]!);
    const distance = displacement + low;
    if (distance === 0) return lowering.inLocal(base, 'i64', body);
    lowering.scratch(['i64'], (lowest) => {
      lowering.push(base);
      fn.i64Const(distance);
      fn.op('i64.add');
      fn.localSet(lowest);
      body(lowest);
    });
  }

  /** Sets the linear address of a group. `lowest`: local of its lowest address. */
  #findGroup(lowering: Lowering, shared: Shared, lowest: number): void {
    const { fn } = lowering;
    const { group } = shared;
    const caches = this.#cachesFor(shared);
    const bytes = group.high - group.low;
    shared.local = fn.takeLocal(i32);
    if (caches === undefined) return this.#probeGroup(lowering, shared, lowest);
    const cache = caches.take(group.write);
    const done = fn.block(i32);
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
    fn.br(done);
    fn.end(missed);
    caches.pushFound(fn, cache, lowest, bytes, group.write);
    fn.end(done);
    fn.localSet(shared.local);
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
  #slowLoad(lowering: Lowering, pushAddress: () => void, kind: AccessKind, distance = 0): void {
    const { fn, site } = lowering;
    this.#pushRequest(lowering, pushAddress, kind, distance);
    fn.call(this.#slow.load);
    this.#frame.setBudget();
    site.leaveUnlessZero!();
    takeLoaded(lowering, kind);
  }

  #slowStore(lowering: Lowering, pushAddress: () => void, kind: AccessKind, value: number, distance = 0): void {
    const { fn, site } = lowering;
    this.#pushRequest(lowering, pushAddress, kind, distance);
    pushStored(lowering, kind, value);
    fn.call(this.#slow.store);
    this.#frame.setBudget();
    site.leaveUnlessZero!();
  }

  /** Pushes what loads and stores are called with. `distance`: from the address to that of the access. */
  #pushRequest({ fn, site }: Lowering, pushAddress: () => void, kind: AccessKind, distance: number): void {
    pushAddress();
    fn.i64ConstHalves(accessCode(kind.width / 8, kind.flags, site.exitFor!(ExitReason.fault)), distance);
    this.#frame.pushBudget();
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
