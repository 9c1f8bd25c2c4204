import type { Block, Op } from '../../ir/block.ts';
import { CODE_LINE, GUEST, PAGE_SIZE, PERMISSION, Permission } from '../../layout/memory-map.ts';
import { BranchHint, type FunctionBuilder } from '../../wasm/function.ts';
import type { Lowering } from '../lower.ts';
import { accessOf, FlatMemoryPath, loadInstruction, type MemoryPath, storeInstruction } from '../memory-path.ts';
import { codeLine } from '../page-check.ts';
import { EntryBases } from './entry-bases.ts';
import type { RegisterLocals } from './register-locals.ts';
import { type AccessPlan, type Check, pageNeeds } from './access-plan.ts';
import type { Moves } from './block-values.ts';
import type { Copies } from './byte-copies.ts';
import { ByteCopyCode } from './byte-copy-code.ts';

type RangeCheck = Extract<Check, { readonly kind: 'range' }>;

/** The flat memory path with the checks planned for a block; what refuses them leaves the region. */
export class RegionMemoryPath implements MemoryPath {
  readonly #flat: FlatMemoryPath;
  readonly #guestSize: number;
  #plan: AccessPlan = new Map();
  readonly #bases = new EntryBases();
  readonly #copies = new ByteCopyCode();

  constructor(guestSize: number) {
    this.#flat = new FlatMemoryPath(guestSize);
    this.#guestSize = guestSize;
  }

  /** The accesses of a block that is lowered now. Writes code for where it begins. `copies`: what is to be copied as one. */
  follow(
    block: Block,
    plan: AccessPlan,
    moves: Moves,
    fn: FunctionBuilder,
    registers: RegisterLocals,
    copies?: Copies,
  ): void {
    this.#plan = plan;
    this.#copies.begin(fn, copies);
    this.#bases.begin(block, plan, moves, fn, registers);
  }

  /** Accesses of the block whose addresses are not computed, where they have the common course. */
  get forgone(): ReadonlySet<Op> {
    return this.#bases.accesses;
  }

  /** Frees what the last block needed. */
  end(fn: FunctionBuilder): void {
    this.#bases.end(fn);
    this.#copies.begin(fn, undefined);
  }

  load(lowering: Lowering, op: Op): void {
    const check = lowering.site.inline ? this.#plan.get(op) : undefined;
    if (check === undefined) return this.#flat.load(lowering, op);
    const offset = this.#address(lowering, op, check);
    if (this.#copies.begins(op)) {
      lowering.scratch(['i32'], (address) => {
        lowering.fn.localTee(address);
        this.#copies.read(lowering.fn, op, address, GUEST + offset);
      });
    }
    loadInstruction(lowering, accessOf(op), GUEST + offset);
  }

  store(lowering: Lowering, op: Op): void {
    const check = lowering.site.inline ? this.#plan.get(op) : undefined;
    if (check === undefined) return this.#flat.store(lowering, op);
    if (this.#copies.isMade(op) === true) return this.#skip(lowering, op);
    const offset = this.#address(lowering, op, check);
    const isCopy = this.#copies.writes(op);
    if (isCopy) this.#copies.write(lowering.fn, op, GUEST + offset);
    lowering.push(op.args[1]!);
    if (isCopy) lowering.fn.drop();
    else storeInstruction(lowering, accessOf(op), GUEST + offset);
  }

  /** A store whose bytes are written already. Its arguments are pushed for the books of their locals. */
  #skip(lowering: Lowering, op: Op): void {
    for (const argument of this.#bases.accesses.has(op) ? op.args.slice(1) : op.args) {
      lowering.push(argument);
      lowering.fn.drop();
    }
  }

  loadForUpdate(lowering: Lowering, address: number, width: number, access: 'update' | 'reserve'): void {
    this.#flat.loadForUpdate(lowering, address, width, access);
  }

  storeForUpdate(lowering: Lowering, address: number, width: number, value: number): void {
    this.#flat.storeForUpdate(lowering, address, width, value);
  }

  /** Checks an access and pushes the i32 to which the offset that is returned must be added. */
  #address(lowering: Lowering, op: Op, check: Check): number {
    const { fn } = lowering;
    const entry = check.kind === 'covered' ? this.#bases.push(lowering, op, check) : undefined;
    if (entry !== undefined) return entry;
    const { base, displacement } = lowering.splitAddress(op.args[0]!);
    // The sum of an i32 and an offset does not wrap around, so the base itself must be a guest address.
    const folds = displacement !== 0 && check.base >= displacement;
    const distance = folds ? displacement : 0;
    const address = folds ? base : op.args[0]!;
    let offset = distance;
    if (check.kind === 'covered') lowering.push(address);
    else if (check.kind === 'range' && check.sure && lowering.isOwnSum(address)) {
      lowering.push(address);
      offset = this.#within(lowering, check, distance);
    } else {
      lowering.inLocal(address, 'i64', (local) => {
        this.#checked(lowering, check, distance, local);
        fn.localGet(local);
      });
    }
    fn.op('i32.wrap_i64');
    return offset;
  }

  /**
   * Checks the guest address that is on the stack, less `distance`, and leaves its distance from the range there; returns what must be added for the
   * address. For an address that is computed for this access alone: the host then computes nothing but that distance.
   */
  #within(lowering: Lowering, { low, high, range }: RangeCheck, distance: number): number {
    const { fn, site } = lowering;
    lowering.scratch(['i64'], (from) => {
      this.#add(lowering, low + distance - range.low);
      fn.localTee(from);
      fn.i64Const(range.high - range.low - (high - low));
      fn.op('i64.gt_u');
      site.bailIf();
      fn.localGet(from);
    });
    return range.low - low;
  }

  /** Checks a guest address: `distance` more than an i64 local. */
  #checked(
    lowering: Lowering,
    check: Exclude<Check, { readonly kind: 'covered' }>,
    distance: number,
    address: number,
  ): void {
    const { fn, site } = lowering;
    // address + low >= range.low and address + high <= range.high, as one unsigned comparison.
    const bytes = check.high - check.low;
    const within = (from: number, to: number) => {
      fn.localGet(address);
      this.#add(lowering, check.low + distance - from);
      fn.i64Const(to - from - bytes);
      fn.op('i64.gt_u');
    };
    if (check.kind === 'range' && check.sure) {
      within(check.range.low, check.range.high);
      site.bailIf();
      return;
    }
    const byCall = () => {
      fn.localGet(address);
      this.#add(lowering, check.low + distance);
      fn.i32Const(bytes);
      fn.call(lowering.runtime.pageCheck(check.kind === 'range' ? check.range.write : check.write));
      site.bailIf();
    };
    if (check.kind === 'range') {
      // Memory of another kind than was seen is looked up like that of which nothing is known.
      within(check.range.low, check.range.high);
      const elsewhere = fn.if(undefined, BranchHint.unlikely);
      byCall();
      fn.end(elsewhere);
      return;
    }
    if (!check.inline) return byCall();
    within(0, this.#guestSize);
    site.bailIf();
    const { write } = check;
    const { mask, need } = pageNeeds(write);
    const at = (offset: number) => {
      fn.localGet(address);
      this.#add(lowering, offset + distance);
      fn.op('i32.wrap_i64');
    };
    const page = (offset: number) => {
      lowering.scratch(['i32'], (permission) => {
        at(offset);
        fn.i32Const(Math.log2(PAGE_SIZE));
        fn.op('i32.shr_u');
        fn.load('i32.load8_u', { offset: PERMISSION });
        fn.i32Const(mask);
        fn.op('i32.and');
        fn.localTee(permission);
        fn.i32Const(need);
        fn.op('i32.ne');
        if (!write || bytes > CODE_LINE) {
          site.bailIf();
          return;
        }
        // Perhaps there is code in the page, but not in these lines.
        const other = fn.if(undefined, BranchHint.unlikely);
        fn.localGet(permission);
        fn.i32Const(need | Permission.code);
        fn.op('i32.ne');
        codeLine(fn, () => at(check.low));
        fn.op('i32.or');
        codeLine(fn, () => at(check.high - 1));
        fn.op('i32.or');
        site.bailIf();
        fn.end(other);
      });
    };
    page(check.low);
    if (bytes > 1) page(check.high - 1);
  }

  #add({ fn }: Lowering, amount: number): void {
    if (amount === 0) return;
    fn.i64Const(amount);
    fn.op('i64.add');
  }
}
