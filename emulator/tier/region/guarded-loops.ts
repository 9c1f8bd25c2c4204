import { BranchHint, type FunctionBuilder, type Label } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import type { Op } from '../../ir/block.ts';
import type { FlowGraph } from './flow-graph.ts';
import { putAside, writeGuard } from './guard-code.ts';
import { writeStop } from './counted-loop-code.ts';
import type { LoopGuard } from './loop-guard.ts';
import type { RegisterLocals } from './register-locals.ts';
import { copiesOf } from './unrolled-loops.ts';
import { writeTranslatedGuard } from './translated-guard-code.ts';

/** What loops with guards need of the function they are in. */
export interface GuardedFrame {
  /** Local: what is left of the budget. */
  readonly budget: number;
  readonly guestSize: number;
  /** Most instructions to the next look at the budget. */
  readonly longest: number;
  /** Code that leaves for a loop's head when the budget may not last to the next look. */
  leaveWhenSpent(header: number): void;
  /** Code that pops a condition and gives the first instruction of a loop back when it holds. */
  refuseIf(header: number): void;
  /** Local: the TLB table for loads and stores; undefined where guest addresses are not translated. */
  readonly table: number | undefined;
}

/** Write turns of a loop, each of which another one follows, and what comes before and behind all of them. */
export interface TurnWriters {
  readonly before: () => void;
  readonly turns: (copies: number) => void;
  readonly after: () => void;
}

/**
 * The code around loops whose guards check their accesses for many turns (loop-guard.ts). Within one, a part of the budget is put aside, so whoever
 * leaves it takes that back: by `exit` those that leave the region, by `takeRest` those that go elsewhere in it.
 *
 * Behind address translation such a loop is there twice: once for turns whose accesses lie in pages that the guard knows, and once for those at the
 * ends of pages, whose accesses look for themselves. What comes behind the loop is there once, so it hangs on the loop's head.
 */
export class GuardedLoops {
  readonly #fn: FunctionBuilder;
  readonly #graph: FlowGraph;
  readonly #guards: ReadonlyMap<number, LoopGuard>;
  readonly #frame: GuardedFrame;
  /** Local: what is put aside. */
  readonly #rest: number;
  /** Local: what the budget comes down to by turns that are done without a look at it; of loops that count their turns. */
  readonly #stop: number;
  readonly #labels = new Map<number, { readonly exit: Label; readonly again: Label }>();
  #behind: Set<number> | undefined = undefined;
  /** Behind address translation, of the loop that is being written: the local that leads from guest to linear addresses, by access. */
  #addendOf: ReadonlyMap<Op, number> | undefined = undefined;

  constructor(fn: FunctionBuilder, graph: FlowGraph, guards: ReadonlyMap<number, LoopGuard>, frame: GuardedFrame) {
    this.#fn = fn;
    this.#graph = graph;
    this.#guards = guards;
    this.#frame = frame;
    this.#rest = frame.budget;
    this.#stop = frame.budget;
    if (guards.size === 0) return;
    this.#rest = fn.local(ValType.i32);
    if ([...guards.values()].some(({ count }) => count !== undefined)) this.#stop = fn.local(ValType.i32);
    if (frame.table === undefined) return;
    this.#behind = new Set();
    for (const header of guards.keys()) for (const node of this.behind(header)) this.#behind.add(node);
  }

  /** The nodes that control can only come to through a loop but that are not in it, of those that its nodes dominate at once, in order. */
  behind(header: number): readonly number[] {
    const { innermost, children, order } = this.#graph;
    const nodes: number[] = [];
    children.forEach((below, node) => {
      if (innermost[node] === header) nodes.push(...below.filter((child) => innermost[child] !== header));
    });
    return nodes.sort((a, b) => order[a]! - order[b]!);
  }

  /** Whether a node comes behind a loop that is there twice. */
  isBehind(node: number): boolean {
    return this.#behind?.has(node) === true;
  }

  /** Behind address translation: the local with the addend of an access, where the guard knows its page. */
  addendOf(op: Op): number | undefined {
    return this.#addendOf?.get(op);
  }

  /** The guard of the loop that has its head at a node. */
  at(header: number): LoopGuard | undefined {
    return this.#guards.get(header);
  }

  /** The guard of the loop around a node. */
  around(node: number): LoopGuard | undefined {
    return this.#guards.size === 0 ? undefined : this.#guards.get(this.#graph.innermost[node]!);
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

  /** Writes a loop with its guard; `writeLoop` writes it without. `leave`: the region's own way out. */
  write(guard: LoopGuard, registers: RegisterLocals, leave: Label, writeLoop: () => void): void {
    const { header } = guard;
    const { budget, longest, guestSize, table } = this.#frame;
    const exit = this.#fn.block();
    const again = this.#fn.loop();
    this.#frame.leaveWhenSpent(header);
    const rest = this.#rest;
    this.#labels.set(header, { exit, again });
    if (table === undefined) {
      writeGuard(this.#fn, guard, registers, guestSize, {
        budget,
        rest,
        longest,
        refuseIf: () => this.#frame.refuseIf(header),
      });
      const { count, least } = guard;
      if (count !== undefined)
        writeStop(this.#fn, count, registers, this.#stop, {
          budget,
          longest,
          instructions: least,
          copies: copiesOf(least),
        });
      writeLoop();
    } else {
      this.#writeTwice(guard, registers, table, writeLoop);
    }
    this.#fn.end(again);
    this.#fn.end(exit);
    this.takeRest();
    this.#fn.br(leave);
    this.#labels.delete(header);
  }

  #writeTwice(guard: LoopGuard, registers: RegisterLocals, table: number, writeLoop: () => void): void {
    const fn = this.#fn;
    const { budget, longest } = this.#frame;
    const rest = this.#rest;
    const [isCovered, turns] = [fn.takeLocal(ValType.i32), fn.takeLocal(ValType.i32)];
    const addends = guard.pointers.map(() => fn.takeLocal(ValType.i32));
    writeTranslatedGuard(fn, guard, registers, { table, addends, isCovered, turns });
    fn.i32Const(0);
    fn.localSet(rest);
    putAside(fn, turns, guard.least, { budget, rest, longest });
    fn.localGet(isCovered);
    fn.freeLocal(turns);
    fn.freeLocal(isCovered);
    const covered = fn.if(undefined, BranchHint.likely);
    this.#addendOf = new Map([...guard.pointerOf].map(([op, position]) => [op, addends[position]!]));
    writeLoop();
    this.#addendOf = undefined;
    for (const local of addends) fn.freeLocal(local);
    fn.end(covered);
    writeLoop();
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

  /** Behind the check at the head of a loop that counts its turns: code that does all turns but the last. */
  writeCounted({ least }: LoopGuard, { before, turns, after }: TurnWriters): void {
    const fn = this.#fn;
    const { budget } = this.#frame;
    const goesOn = () => {
      fn.localGet(budget);
      fn.localGet(this.#stop);
      fn.op('i32.gt_s');
    };
    const copies = copiesOf(least);
    goesOn();
    const some = fn.if();
    before();
    const loop = fn.loop();
    fn.localGet(budget);
    fn.i32Const(copies * least);
    fn.op('i32.sub');
    fn.localSet(budget);
    turns(copies);
    goesOn();
    fn.brIf(loop);
    fn.end(loop);
    after();
    fn.end(some);
  }

  takeRest(): void {
    this.#pushWhole();
    this.#fn.localSet(this.#frame.budget);
  }

  /** Pushes all of the budget, what is put aside included, in the loop at a node or elsewhere. */
  pushBudget(node: number): void {
    if (this.around(node) === undefined) this.#fn.localGet(this.#frame.budget);
    else this.#pushWhole();
  }

  /** Pops what has become of all of the budget; it is no more than it was. */
  setBudget(node: number): void {
    const fn = this.#fn;
    const { budget } = this.#frame;
    if (this.around(node) === undefined) return fn.localSet(budget);
    // What was checked lasts no longer than it did.
    const whole = fn.takeLocal(ValType.i32);
    fn.localTee(whole);
    fn.localGet(budget);
    fn.localGet(whole);
    fn.localGet(budget);
    fn.op('i32.lt_s');
    fn.select();
    fn.localSet(budget);
    fn.localGet(whole);
    fn.localGet(budget);
    fn.op('i32.sub');
    fn.localSet(this.#rest);
    fn.freeLocal(whole);
  }

  #pushWhole(): void {
    const fn = this.#fn;
    fn.localGet(this.#frame.budget);
    fn.localGet(this.#rest);
    fn.op('i32.add');
  }
}
