import type { Op } from '../../ir/block.ts';
import { BranchHint, type FunctionBuilder, type Label } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import { Frame } from '../interpreter/frame.ts';
import { Lowering } from '../lower.ts';
import type { Runtime } from '../runtime.ts';
import { RegionTlbPath, type TlbFrame } from './region-tlb-path.ts';
import type { FlowGraph } from './flow-graph.ts';
import { inlineOps } from './mode.ts';
import { instructionsOf, type RegionNode } from './node.ts';
import { RegisterLocals, SETTLED } from './register-locals.ts';
import { type RegionFrame, RegionSite } from './region-site.ts';
import { type Charges, chargeNodes, chargeTurns } from './turn-charges.ts';
import { EdgeCode, type EdgeFrame } from './edge-code.ts';
import { leaveWhenChanged, neededOf, writeEntryCheck } from './entry-check.ts';
import { type GuardedFrame, GuardedLoops } from './guarded-loops.ts';
import type { Count } from './counted-loops.ts';
import type { LoopGuard } from './loop-guard.ts';
import { planAccesses, type AccessKnowledge, type AccessPlan, type Assumption } from './access-plan.ts';
import { type Moves, movesOf } from './block-values.ts';
import { copiesOf, plannedChecks } from './byte-copies.ts';
import { RegionMemoryPath } from './region-memory-path.ts';
import type { RegionAccess } from './shared-access.ts';
import { Status } from './status.ts';
import type { Circumstances, Exit, Present, Refused } from './translate.ts';

const NO_MOVES: Moves = new Map();
const NO_NODES: readonly number[] = [];

/** What is done to a region's checks. */
export interface RegionPlans {
  /** By the loop's header. */
  readonly guards: ReadonlyMap<number, LoopGuard>;
  /** Whether floating-point results may be checked by way of others (float-window.ts). */
  readonly floatWindows: boolean;
  /** Whether bytes that are copied one by one may be copied together (byte-copies.ts). */
  readonly byteCopies: boolean;
  /** The region is little more than a loop. */
  readonly isSmall: boolean;
}

/**
 * Writes the function: registers into locals, a dispatch on the entry, the nodes as structured control flow by their dominator tree
 * (Ramsey, "Beyond Relooper", 2022), and one way out where registers go back to the state.
 */
export class RegionEmitter implements EdgeFrame, GuardedFrame, TlbFrame, RegionFrame {
  readonly exits: Exit[] = [];
  readonly assumptions = new Set<Assumption>();
  readonly circumstances: Circumstances;
  readonly fn: FunctionBuilder;
  readonly nodes: readonly RegionNode[];
  readonly graph: FlowGraph;
  readonly registers: RegisterLocals;
  readonly refused: Refused;
  readonly guarded: GuardedLoops;
  readonly charges: Charges;
  readonly loops = new Map<number, Label>();
  readonly labels = new Map<number, Label>();
  readonly resume = 0;
  readonly budget: number;
  readonly status: number;
  readonly target: number;
  readonly table: number | undefined;
  /** Behind address translation accesses have their slow paths in line. */
  readonly slowPaths: boolean;
  /** The most instructions that run between two looks at the budget. */
  readonly longest: number;
  readonly #memory: RegionMemoryPath | RegionTlbPath;
  /** Guest addresses of the pages that its code is in, behind address translation, and the globals with the addresses of their records. */
  readonly #pages: readonly number[];
  readonly #records: readonly number[];
  readonly #knowledge: AccessKnowledge;
  readonly #runtime: Runtime;
  /** Whether a dispatch may look at the entry wished for again, behind the first one. */
  readonly #isResumed: boolean;
  readonly #plans: RegionPlans;
  /** The node that is being written. */
  #node = 0;
  readonly #edges: EdgeCode;
  readonly #site: RegionSite;
  #exit: Label = 0;
  /** Headers of loops with others in them; found when first asked for. */
  #outer: ReadonlySet<number> | undefined = undefined;

  constructor(
    fn: FunctionBuilder,
    nodes: readonly RegionNode[],
    graph: FlowGraph,
    memory: RegionMemoryPath | RegionAccess,
    knowledge: AccessKnowledge,
    runtime: Runtime,
    refused: Refused,
    circumstances: Present,
    pages: readonly number[],
    records: readonly number[],
    plans: RegionPlans,
  ) {
    const isFlat = memory instanceof RegionMemoryPath;
    this.#plans = plans;
    // Slow paths behind translation may reach devices, and these the clock, which counts what has been paid for.
    this.charges = isFlat ? chargeTurns(nodes, graph) : chargeNodes(nodes);
    this.#pages = pages;
    this.#records = records;
    this.circumstances = neededOf(circumstances, nodes);
    this.fn = fn;
    this.nodes = nodes;
    this.graph = graph;
    this.budget = fn.local(ValType.i32);
    this.slowPaths = !isFlat;
    this.table = isFlat ? undefined : fn.local(ValType.i32);
    this.#knowledge = knowledge;
    this.#runtime = runtime;
    this.refused = refused;
    this.#isResumed = graph.dispatched.size > 0 || graph.hops.size > 1;
    this.status = fn.local(ValType.i32);
    this.target = fn.local(ValType.i64);
    this.registers = new RegisterLocals(fn, nodes, plans.isSmall);
    this.longest = instructionsOf(nodes);
    this.guarded = new GuardedLoops(fn, graph, plans.guards, this);
    this.#memory = isFlat ? memory : new RegionTlbPath(memory, this, circumstances.pageCaches, knowledge);
    this.#edges = new EdgeCode(fn, this);
    this.#site = new RegionSite(fn, this);
    for (const { pointers } of plans.guards.values())
      for (const { range } of pointers) if (range !== undefined) this.assumptions.add(range);
  }

  write(): void {
    const { fn } = this;
    const { root } = this.graph;
    writeEntryCheck(fn, this.circumstances, this.#pages, this.#records, this.status);
    this.registers.load();
    fn.i32Const(0);
    fn.load('i32.load', { offset: Frame.budget });
    fn.localSet(this.budget);
    if (this.#memory instanceof RegionTlbPath) this.#memory.begin(fn);
    this.#exit = fn.block();
    // Whoever goes by way of the root comes back to it.
    const loop = this.#isResumed ? fn.loop() : undefined;
    if (loop !== undefined) this.loops.set(root, loop);
    const first = this.graph.children[root]!;
    // A loop that begins the region, and is its only entry, looks at the budget itself.
    const looksItself = !this.#isResumed && first.length === 1 && this.graph.loopHeaders[first[0]!] === 1;
    if (!looksItself) this.#leaveIfSpent(undefined);
    if (first.length === 1) this.writeNode(first[0]!);
    else this.#writeRoot(root);
    this.#memory.end(fn);
    if (loop !== undefined) fn.end(loop);
    fn.end(this.#exit);
    this.registers.store();
    this.#storeBudget();
    fn.localGet(this.status);
  }

  /** Goes to where the entry wished for is. */
  #writeRoot(root: number): void {
    const { fn } = this;
    const labels = this.#openMerges(root);
    const hops = this.graph.hops.get(root)!;
    const table = this.graph.entries.map((_, position) => this.labels.get(hops.get(position + 1)!)!);
    fn.localGet(this.resume);
    fn.i32Const(1);
    fn.op('i32.sub');
    fn.brTable(table, table[0]!);
    this.#closeMerges(labels);
  }

  /** Leaves for an entry, that wished for unless given, when the budget may not last to the next look. */
  #leaveIfSpent(entry: number | undefined): void {
    const { fn } = this;
    fn.localGet(this.budget);
    fn.i32Const(this.longest);
    fn.op('i32.lt_s');
    const spent = fn.if(undefined, BranchHint.unlikely);
    if (entry === undefined) {
      fn.localGet(this.resume);
      fn.i32Const(Status.spent);
      fn.op('i32.or');
    } else {
      fn.i32Const(Status.spent | entry);
    }
    fn.localSet(this.status);
    fn.br(this.#exit);
    fn.end(spent);
  }

  #storeBudget(): void {
    const { fn } = this;
    fn.i32Const(0);
    fn.localGet(this.budget);
    fn.store('i32.store', { offset: Frame.budget });
  }

  /** A helper may have withheld the budget, and chosen another TLB table. */
  afterCall(): void {
    const { fn } = this;
    fn.i32Const(0);
    fn.load('i32.load', { offset: Frame.budget });
    fn.localSet(this.budget);
    if (this.#memory instanceof RegionTlbPath) this.#memory.begin(fn);
  }

  leaveWhenSpent(header: number): void {
    this.#leaveIfSpent(this.graph.entryOf[header]!);
  }

  refuseIf(header: number): void {
    const { fn } = this;
    fn.i32Const(this.newExit({ pc: this.nodes[header]!.pc, refund: 0, kind: 'interpret' }));
    fn.localSet(this.status);
    fn.brIf(this.#exit, BranchHint.unlikely);
  }

  get guestSize(): number {
    return this.#runtime.options.guestSize;
  }

  pushBudget(): void {
    this.guarded.pushBudget(this.#node);
  }

  setBudget(): void {
    this.guarded.setBudget(this.#node);
  }

  addendOf(op: Op): number | undefined {
    return this.guarded.addendOf(op);
  }

  leaveWhenChanged({ block, end }: RegionNode): void {
    const places = { budget: this.budget, status: this.status, exit: this.#exit };
    const fenced = this.#runtime.fences(block.ops) ? this.#pages : [];
    leaveWhenChanged(this.fn, this.circumstances, fenced, end, places);
  }

  get inexactAccrued(): boolean {
    return this.circumstances.inexactAccrued;
  }

  get floatWindows(): boolean {
    return this.#plans.floatWindows && this.circumstances.inexactAccrued;
  }

  beforeCall(): void {
    this.#storeBudget();
  }

  endNode(node: RegionNode): void {
    this.#edges.end(node);
  }

  /** Opens a block for each child of `node` in the dominator tree that needs a label; the first one's is innermost. */
  #openMerges(node: number): readonly number[] {
    const { children, merges } = this.graph;
    const below = children[node]!;
    let merging: number[] | undefined;
    for (let at = 0; at < below.length; at++) {
      const child = below[at]!;
      if (merges[child] === 1 && !this.guarded.isBehind(child)) (merging ??= []).push(child);
    }
    return merging === undefined ? NO_NODES : this.#openBlocks(merging);
  }

  #openBlocks(nodes: readonly number[]): readonly number[] {
    for (let at = nodes.length - 1; at >= 0; at--) this.labels.set(nodes[at]!, this.fn.block());
    return nodes;
  }

  #closeMerges(merges: readonly number[]): void {
    for (const child of merges) {
      this.fn.end(this.labels.get(child)!);
      this.labels.delete(child);
      this.registers.deferred = SETTLED;
      this.writeNode(child);
    }
  }

  /** Writes a node and what hangs on it. */
  writeNode(index: number): void {
    if (!this.#defers(index) || this.graph.loopHeaders[index] === 1) this.registers.flush();
    const guard = this.guarded.at(index);
    if (guard === undefined) return this.#writeTree(index);
    const behind = this.slowPaths ? this.#openBlocks(this.guarded.behind(index)) : [];
    this.guarded.write(guard, this.registers, this.#exit, () => this.#writeTree(index));
    this.#closeMerges(behind);
  }

  #writeTree(index: number): void {
    const { fn } = this;
    const { loopHeaders, hops, entryOf } = this.graph;
    const node = this.nodes[index]!;
    const isLoop = loopHeaders[index] === 1;
    const guard = this.guarded.at(index);
    if (isLoop) this.loops.set(index, fn.loop());
    const merges = this.#openMerges(index);
    const table = hops.get(index);
    if (table !== undefined) this.#dispatch(table, entryOf[index]!);
    if (guard !== undefined) this.guarded.check(guard);
    else if (isLoop) this.#leaveIfSpent(entryOf[index]!);
    if (entryOf[index] !== 0 && this.#isResumed) {
      fn.i32Const(0);
      fn.localSet(this.resume);
    }
    this.registers.deferring = this.#defers(index);
    if (guard?.count !== undefined) this.#writeTurns(guard, guard.count);
    this.#edges.pay(node);
    this.#writeBlock(node, this.charges.ahead[index]!);
    this.#closeMerges(merges);
    if (isLoop) {
      fn.end(this.loops.get(index)!);
      this.loops.delete(index);
    }
  }

  /** Writes turns of a loop, each of which another one follows. */
  #writeTurns(guard: LoopGuard, { path, last }: Count): void {
    const registers = this.registers;
    const exits = this.exits.length;
    this.guarded.writeCounted(guard, {
      before: () => registers.beginTurns(path),
      turns: (copies) => {
        let ahead = copies * guard.least;
        for (let turn = 0; turn < copies; turn++) {
          path.forEach((node, at) => {
            ahead -= node.instructions;
            this.#writeBlock(node, ahead, () => {
              // Where it goes is known.
              if (at === last) this.fn.drop();
            });
          });
        }
        registers.endTurn();
      },
      after: () => registers.endTurns(this.exits.length > exits ? [] : path.slice(0, last + 1)),
    });
  }

  /** Writes what a node does. `ahead`: instructions behind it that are paid for; `end` writes where it goes, unless its own way is meant. */
  #writeBlock(node: RegionNode, ahead: number, end?: () => void): void {
    const { fn, registers } = this;
    const { index, block } = node;
    const memory = this.#memory;
    const moves = registers.deferring ? movesOf(block) : NO_MOVES;
    let plan: AccessPlan | undefined;
    let forgone: ReadonlySet<Op> | undefined;
    if (memory instanceof RegionMemoryPath) {
      const isInline = inlineOps(block, this.refused, this.circumstances.inexactAccrued);
      plan = planAccesses(block, this.#knowledge, isInline, this.guarded.around(index)?.covered);
      for (const check of plan.values()) if (check.kind === 'range') this.assumptions.add(check.range);
      const copies = this.#plans.byteCopies ? copiesOf(block, plannedChecks(plan)) : undefined;
      memory.follow(block, plan, moves, fn, registers, copies);
      forgone = memory.forgone;
    } else {
      memory.follow(fn, block, this.#plans.byteCopies);
    }
    this.#node = index;
    this.#site.begin(node, { exit: this.exitOf(index), ahead, plan, moves, forgone, end });
    new Lowering(block, this.#site, memory, this.#runtime).run();
  }

  /** Whether writes of registers may be put off in a node: in innermost loops. Behind translation, accesses may leave the region in other ways. */
  #defers(index: number): boolean {
    const header = this.graph.innermost[index]!;
    if (this.slowPaths || header === -1) return false;
    this.#outer ??= new Set(this.graph.parent.values());
    return !this.#outer.has(header);
  }

  /** Where a node leaves the region to. */
  exitOf(index: number): Label {
    return this.guarded.exit(index) ?? this.#exit;
  }

  /** Goes on towards the entry wished for, if there is one and it is not this node. */
  #dispatch(table: ReadonlyMap<number, number>, own: number): void {
    const { fn } = this;
    const normal = fn.block();
    const highest = Math.max(...table.keys());
    const labels = Array.from({ length: highest + 1 }, (_, entry) => {
      const hop = table.get(entry);
      return hop === undefined || entry === own ? normal : this.labels.get(hop)!;
    });
    fn.localGet(this.resume);
    fn.brTable(labels, normal);
    fn.end(normal);
  }

  newExit(exit: Exit): number {
    return this.exits.push(exit);
  }
}
