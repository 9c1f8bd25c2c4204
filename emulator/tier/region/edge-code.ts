import { assert } from '../../check/assert.ts';
import type { Block } from '../../ir/block.ts';
import { STATE } from '../../layout/memory-map.ts';
import { StateOffset } from '../../layout/state.ts';
import type { FunctionBuilder, Label } from '../../wasm/function.ts';
import type { FlowGraph } from './flow-graph.ts';
import type { GuardedLoops } from './guarded-loops.ts';
import { type RegionNode, signedAddress, type Target } from './node.ts';
import type { RegisterLocals } from './register-locals.ts';
import { Status } from './status.ts';
import { emitSwitch } from './switch.ts';
import type { Exit } from './translate.ts';
import type { Charges } from './turn-charges.ts';

/** What the ways from node to node need of the function they are in. */
export interface EdgeFrame {
  readonly nodes: readonly RegionNode[];
  readonly registers: RegisterLocals;
  readonly graph: FlowGraph;
  readonly guarded: GuardedLoops;
  readonly charges: Charges;
  /** Labels of the loops that are open, by header, and of the nodes that come behind open blocks. */
  readonly loops: ReadonlyMap<number, Label>;
  readonly labels: ReadonlyMap<number, Label>;
  /** Locals: the entry that a dispatch looks for, what the region returns, the address of an indirect jump, what is left of the budget. */
  readonly resume: number;
  readonly status: number;
  readonly target: number;
  readonly budget: number;
  /** Accesses have their slow paths in line: behind address translation. */
  readonly slowPaths: boolean;
  /** Where a node leaves the region to. */
  exitOf(node: number): Label;
  newExit(exit: Exit): number;
  /** Writes a node, and what hangs on it, where control arrives. */
  writeNode(node: number): void;
  leaveWhenChanged(node: RegionNode): void;
}

/** Writes how control goes on behind nodes, and how they are paid for. */
export class EdgeCode {
  readonly #fn: FunctionBuilder;
  readonly #frame: EdgeFrame;

  constructor(fn: FunctionBuilder, frame: EdgeFrame) {
    this.#fn = fn;
    this.#frame = frame;
  }

  /** Takes from the budget what is paid where a node begins. */
  pay({ index }: RegionNode): void {
    const charge = this.#frame.charges.charge[index]!;
    if (charge !== 0) this.#add(-charge);
  }

  /** Goes where a node goes; pops a branch's condition or a jump's target. */
  end(node: RegionNode): void {
    const fn = this.#fn;
    const { registers } = this.#frame;
    const { ending } = node;
    switch (ending.kind) {
      case 'goto':
        if (callsHelper(node.block)) {
          registers.flush();
          this.#frame.leaveWhenChanged(node);
        }
        this.#go(node, ending.to);
        break;
      case 'branch':
        this.#branch(node, ending.taken, ending.fallThrough);
        break;
      case 'leave':
        if (this.#frame.slowPaths) {
          // The interpreter does it, and comes back by itself: behind translation such instructions are frequent.
          this.#go(node, { exit: ending.pc });
          break;
        }
        registers.settle();
        fn.i32Const(this.#frame.newExit({ pc: ending.pc, refund: 0, kind: 'unheld' }));
        fn.localSet(this.#frame.status);
        fn.br(this.#frame.exitOf(node.index));
        break;
      case 'jump':
        this.#jump(node);
        break;
    }
  }

  /** Goes to the address on the stack. */
  #jump(node: RegionNode): void {
    const fn = this.#fn;
    const { ending } = node;
    assert(ending.kind === 'jump', 'the node ends in a jump');
    fn.localSet(this.#frame.target);
    this.#frame.registers.flush();
    const to = ending.expected === undefined ? ending.known : [ending.expected];
    if (to.length > 0) {
      const cases: { pc: number; go: () => void }[] = [];
      for (const each of to)
        cases.push({ pc: this.#frame.nodes[each]!.pc, go: () => this.#branchOff(node, { node: each }) });
      emitSwitch(fn, this.#frame.target, cases);
    }
    this.#giveBack(node);
    fn.i32Const(0);
    fn.localGet(this.#frame.target);
    fn.store('i64.store', { offset: STATE + StateOffset.pc });
    const kind = ending.isReturn ? 'return' : 'indirect';
    const flags = ending.isReturn ? Status.dynamic : Status.dynamic | Status.indirect;
    fn.i32Const(flags | this.#frame.newExit({ pc: lastInstruction(node), refund: 0, kind }));
    fn.localSet(this.#frame.status);
    fn.br(this.#frame.exitOf(node.index));
  }

  /** Pops a condition. */
  #branch(node: RegionNode, taken: Target, fallThrough: Target): void {
    const fn = this.#fn;
    const near = this.#label(node, taken);
    const { isSettled } = this.#frame.registers;
    if (near !== undefined && isSettled) {
      fn.brIf(near);
      this.#go(node, fallThrough);
      return;
    }
    const next = this.#label(node, fallThrough);
    if (next !== undefined) {
      fn.op('i32.eqz');
      if (isSettled) {
        fn.brIf(next);
      } else {
        const otherwise = fn.if();
        this.#branchOff(node, fallThrough);
        fn.end(otherwise);
      }
      this.#go(node, taken);
      return;
    }
    const then = fn.if();
    this.#branchOff(node, taken);
    fn.end(then);
    this.#go(node, fallThrough);
  }

  /** Goes there on a way of its own, behind which that of the code that follows begins. */
  #branchOff(from: RegionNode, to: Target): void {
    const { registers } = this.#frame;
    const { deferred } = registers;
    this.#go(from, to);
    registers.deferred = deferred;
  }

  /** The label that going there is a plain branch to, if it is one. */
  #label(from: RegionNode, to: Target): Label | undefined {
    if (!('node' in to)) return undefined;
    const isDispatched = this.#isDispatched(from, to.node);
    if (this.#isAheadOf(from, to.node)) return undefined;
    if (isDispatched || this.#frame.guarded.leaves(from.index, to.node, isDispatched)) return undefined;
    return this.#plainLabel(from, to.node);
  }

  #plainLabel(from: RegionNode, to: number): Label | undefined {
    const { order, merges } = this.#frame.graph;
    if (order[to]! <= order[from.index]!) return this.#frame.loops.get(to)!;
    return merges[to] === 1 || this.#frame.guarded.isBehind(to) ? this.#frame.labels.get(to)! : undefined;
  }

  #go(from: RegionNode, to: Target): void {
    const fn = this.#fn;
    if (!('node' in to)) {
      this.#frame.registers.settle();
      this.#giveBack(from);
      fn.i32Const(0);
      fn.i64Const(to.exit);
      fn.store('i64.store', { offset: STATE + StateOffset.pc });
      fn.i32Const(Status.left);
      fn.localSet(this.#frame.status);
      fn.br(this.#frame.exitOf(from.index));
      return;
    }
    if (this.#isAheadOf(from, to.node)) this.#giveBack(from);
    const isDispatched = this.#isDispatched(from, to.node);
    if (this.#frame.guarded.leaves(from.index, to.node, isDispatched)) this.#frame.guarded.takeRest();
    const label = isDispatched ? undefined : this.#plainLabel(from, to.node);
    if (label === undefined && !isDispatched) return this.#frame.writeNode(to.node);
    this.#frame.registers.settle();
    if (isDispatched) this.#dispatchTo(to.node);
    else fn.br(label!);
  }

  /** Whether the edge leaves a loop of which more has been paid for than was done. */
  #isAheadOf(from: RegionNode, to: number): boolean {
    const { innermost } = this.#frame.graph;
    return this.#frame.charges.ahead[from.index] !== 0 && innermost[to] !== innermost[from.index];
  }

  #isDispatched(from: RegionNode, to: number): boolean {
    return this.#frame.graph.dispatched.has(from.index * this.#frame.nodes.length + to);
  }

  /** Goes by way of the header of the innermost loop around both that leads there, or of the root. */
  #dispatchTo(to: number): void {
    const { innermost, parent, root, entryOf, hops } = this.#frame.graph;
    const entry = entryOf[to]!;
    // A header is entered from outside its own loop's table.
    let header = innermost[to] === to ? parent.get(to) : innermost[to];
    // Loops without a jump back are not written as loops.
    while (header !== undefined && !(this.#frame.loops.has(header) && hops.get(header)?.has(entry) === true))
      header = parent.get(header);
    this.#fn.i32Const(entry);
    this.#fn.localSet(this.#frame.resume);
    this.#fn.br(this.#frame.loops.get(header ?? root)!);
  }

  /** Gives back what is paid for behind a node, where control leaves its loop. */
  #giveBack({ index }: RegionNode): void {
    const ahead = this.#frame.charges.ahead[index]!;
    if (ahead !== 0) this.#add(ahead);
  }

  #add(instructions: number): void {
    const fn = this.#fn;
    fn.localGet(this.#frame.budget);
    fn.i32Const(Math.abs(instructions));
    fn.op(instructions < 0 ? 'i32.sub' : 'i32.add');
    fn.localSet(this.#frame.budget);
  }
}

function lastInstruction({ block }: RegionNode): number {
  const { ops } = block;
  let last = ops.length - 1;
  while (ops[last]!.name !== 'insn') last--;
  return signedAddress(ops[last]!.pc!);
}

function callsHelper({ ops }: Block): boolean {
  for (let index = 0; index < ops.length; index++) if (ops[index]!.name === 'call') return true;
  return false;
}
