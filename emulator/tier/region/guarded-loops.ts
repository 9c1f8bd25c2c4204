import { BranchHint, type FunctionBuilder, type Label } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import type { FlowGraph } from './flow-graph.ts';
import { writeGuard } from './guard-code.ts';
import type { LoopGuard } from './loop-guard.ts';
import type { RegisterLocals } from './register-locals.ts';

/** What loops with guards need of the function they are in. */
export interface GuardedFrame {
  /** Local: what is left of the budget. */
  readonly budget: number;
  readonly guestSize: number;
  /** Most instructions to the next look at the budget. */
  readonly longest: number;
  /** Code that leaves for a loop's head when the budget may not last to the next look. */
  readonly leaveWhenSpent: (header: number) => void;
  /** Code that pops a condition and gives the first instruction of a loop back when it holds. */
  readonly refuseIf: (header: number) => void;
}

/**
 * The code around loops whose guards check their accesses for many turns (loop-guard.ts). Within one, a part of the budget is put aside, so whoever
 * leaves it takes that back: by `exit` those that leave the region, by `takeRest` those that go elsewhere in it.
 */
export class GuardedLoops {
  readonly #fn: FunctionBuilder;
  readonly #graph: FlowGraph;
  readonly #guards: ReadonlyMap<number, LoopGuard>;
  readonly #frame: GuardedFrame;
  /** Local: what is put aside. */
  readonly #rest: number;
  readonly #labels = new Map<number, { readonly exit: Label; readonly again: Label }>();

  constructor(fn: FunctionBuilder, graph: FlowGraph, guards: ReadonlyMap<number, LoopGuard>, frame: GuardedFrame) {
    this.#fn = fn;
    this.#graph = graph;
    this.#guards = guards;
    this.#frame = frame;
    this.#rest = guards.size === 0 ? frame.budget : fn.local(ValType.i32);
  }

  /** The guard of the loop that has its head at a node. */
  at(header: number): LoopGuard | undefined {
    return this.#guards.get(header);
  }

  /** The guard of the loop around a node. */
  around(node: number): LoopGuard | undefined {
    return this.#guards.get(this.#graph.innermost[node]!);
  }

  /** Where a node in such a loop leaves the region to. */
  exit(node: number): Label | undefined {
    const guard = this.around(node);
    return guard && this.#labels.get(guard.header)!.exit;
  }

  /** Whether an edge leads out of such a loop, or goes back to it by way of a dispatch outside. */
  leaves(from: number, to: number, isDispatched: boolean): boolean {
    const { innermost } = this.#graph;
    return this.around(from) !== undefined && (innermost[to] !== innermost[from] || isDispatched);
  }

  /** What comes before the loop. */
  begin(guard: LoopGuard, registers: RegisterLocals): void {
    const { header } = guard;
    const { budget, longest, guestSize, leaveWhenSpent, refuseIf } = this.#frame;
    const exit = this.#fn.block();
    const again = this.#fn.loop();
    leaveWhenSpent(header);
    const rest = this.#rest;
    writeGuard(this.#fn, guard, registers, guestSize, { budget, rest, longest, refuseIf: () => refuseIf(header) });
    this.#labels.set(header, { exit, again });
  }

  /** At the loop's head: goes back to the guard when what was checked, or the budget, does not last for another turn. */
  check({ header }: LoopGuard): void {
    const fn = this.#fn;
    fn.localGet(this.#frame.budget);
    fn.i32Const(this.#frame.longest);
    fn.op('i32.lt_s');
    const spent = fn.if(undefined, BranchHint.unlikely);
    this.takeRest();
    fn.br(this.#labels.get(header)!.again);
    fn.end(spent);
  }

  /** What comes behind the loop; `leave`: the region's own way out. */
  end({ header }: LoopGuard, leave: Label): void {
    const { exit, again } = this.#labels.get(header)!;
    this.#fn.end(again);
    this.#fn.end(exit);
    this.takeRest();
    this.#fn.br(leave);
    this.#labels.delete(header);
  }

  takeRest(): void {
    const fn = this.#fn;
    fn.localGet(this.#frame.budget);
    fn.localGet(this.#rest);
    fn.op('i32.add');
    fn.localSet(this.#frame.budget);
  }
}
