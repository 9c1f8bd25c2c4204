import type { Block, Op } from '../../ir/block.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import type { Lowering } from '../lower.ts';
import type { AccessPlan, Check } from './access-plan.ts';
import type { Moves } from './block-values.ts';
import { type Deferred, type RegisterLocals, SETTLED } from './register-locals.ts';

/** Further from the register it is hardly the same object; and what is added to an i32 must not be negative beside where the guest's memory lies. */
const FARTHEST = 1 << 16;

type CoveredCheck = Extract<Check, { readonly kind: 'covered' }>;

/**
 * Addresses that code moves a register on to, as copying loops do eight times a turn: once checked, they are the register's value at the block's entry
 * with a constant that the host's instruction holds, so that nothing is computed but the register at the end.
 */
export class EntryBases {
  /** The low half of registers as they were at the block's entry, as i32 locals by state offset. */
  readonly #locals = new Map<number, number>();
  #moved: ReadonlySet<Op> = new Set();
  /** Of the block's entry. */
  #registers: Deferred = SETTLED;

  /** Writes code for where the block begins. */
  begin(block: Block, plan: AccessPlan, moves: Moves, fn: FunctionBuilder, registers: RegisterLocals): void {
    this.end(fn);
    const moved = movedAccesses(block, plan, moves, registers);
    this.#moved = new Set(moved.keys());
    this.#registers = registers.deferred;
    for (const register of new Set(moved.values())) {
      const local = fn.takeLocal(ValType.i32);
      registers.baseAt(register);
      fn.op('i32.wrap_i64');
      fn.localSet(local);
      this.#locals.set(register, local);
    }
  }

  /** Accesses whose addresses are not computed, where they have the common course. */
  get accesses(): ReadonlySet<Op> {
    return this.#moved;
  }

  /** Pushes the i32 to which the offset that is returned must be added; undefined when the address is better computed. */
  push(lowering: Lowering, op: Op, { entry }: CoveredCheck): number | undefined {
    if (!this.#moved.has(op)) return undefined;
    lowering.fn.localGet(this.#locals.get(entry!.register)!);
    return entry!.offset + (this.#registers.moved.get(entry!.register) ?? 0);
  }

  end(fn: FunctionBuilder): void {
    for (const local of this.#locals.values()) fn.freeLocal(local);
    this.#locals.clear();
  }
}

/** Accesses with addresses that a register is set to as well, or from registers whose moves are put off, with the register they count from. */
function movedAccesses(
  { ops }: Block,
  plan: AccessPlan,
  moves: Moves,
  registers: RegisterLocals,
): ReadonlyMap<Op, number> {
  const moved = new Map<Op, number>();
  const sums = new Set<number>();
  const late = new Set<number>(registers.deferred.moved.keys());
  for (const { register } of moves.values()) late.add(register);
  for (const [{ args }, check] of plan)
    if (check.kind === 'covered' && check.entry !== undefined && ops[args[0]!]!.name === 'add') sums.add(args[0]!);
  if (sums.size === 0 && late.size === 0) return moved;
  const set = new Set<number>();
  for (const { name, args } of ops) if (name === 'set' && sums.has(args[0]!)) set.add(args[0]!);
  for (const [op, check] of plan) {
    if (check.kind !== 'covered' || check.entry === undefined) continue;
    const { register, offset } = check.entry;
    if (!late.has(register) && !set.has(op.args[0]!)) continue;
    const distance = offset + registers.movedBy(register);
    // The register itself must be an address: the sum of an i32 and a constant does not wrap around.
    if (check.base >= distance && Math.abs(distance) <= FARTHEST) moved.set(op, register);
  }
  return moved;
}
