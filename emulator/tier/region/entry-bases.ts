import type { Block, Op } from '../../ir/block.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import type { Lowering } from '../lower.ts';
import type { AccessPlan, Check } from './access-plan.ts';
import type { RegisterLocals } from './register-locals.ts';

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

  /** Writes code for where the block begins. */
  begin(block: Block, plan: AccessPlan, fn: FunctionBuilder, registers: RegisterLocals): void {
    this.end(fn);
    const moved = movedAccesses(block, plan);
    this.#moved = new Set(moved.keys());
    for (const register of new Set(moved.values())) {
      const local = fn.takeLocal(ValType.i32);
      registers.readAt(register);
      fn.op('i32.wrap_i64');
      fn.localSet(local);
      this.#locals.set(register, local);
    }
  }

  /** Pushes the i32 to which the offset that is returned must be added; undefined when the address is better computed. */
  push(lowering: Lowering, op: Op, { entry }: CoveredCheck): number | undefined {
    if (!this.#moved.has(op)) return undefined;
    lowering.fn.localGet(this.#locals.get(entry!.register)!);
    lowering.forgo(op.args[0]!);
    return entry!.offset;
  }

  end(fn: FunctionBuilder): void {
    for (const local of this.#locals.values()) fn.freeLocal(local);
    this.#locals.clear();
  }
}

/** Accesses with addresses that a register is set to as well, with the register they count from. */
function movedAccesses({ ops }: Block, plan: AccessPlan): ReadonlyMap<Op, number> {
  const moved = new Map<Op, number>();
  const sums = new Set<number>();
  for (const [{ args }, check] of plan)
    if (check.kind === 'covered' && check.entry !== undefined && ops[args[0]!]!.name === 'add') sums.add(args[0]!);
  if (sums.size === 0) return moved;
  const set = new Set<number>();
  for (const { name, args } of ops) if (name === 'set' && sums.has(args[0]!)) set.add(args[0]!);
  for (const [op, check] of plan) {
    if (check.kind !== 'covered' || check.entry === undefined || !set.has(op.args[0]!)) continue;
    const { register, offset } = check.entry;
    // The register itself must be an address: the sum of an i32 and a constant does not wrap around.
    if (check.base >= offset && Math.abs(offset) <= FARTHEST) moved.set(op, register);
  }
  return moved;
}
