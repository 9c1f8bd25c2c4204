import { TLB } from '../../layout/memory-map.ts';
import { Effect, effects } from '../../pass/effects.ts';
import { StateOffset } from '../../layout/state.ts';
import { BranchHint, type FunctionBuilder, type Label } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import { Frame } from '../interpreter/frame.ts';
import { Lowering } from '../lower.ts';
import type { Runtime } from '../runtime.ts';
import { RegionTlbPath } from './region-tlb-path.ts';
import type { FlowGraph } from './flow-graph.ts';
import { inlineOps } from './mode.ts';
import type { RegionNode } from './node.ts';
import { RegisterLocals, SETTLED } from './register-locals.ts';
import { RegionSite } from './region-site.ts';
import { type Charges, chargeNodes, chargeTurns } from './turn-charges.ts';
import { EdgeCode } from './edge-code.ts';
import { leaveWhenChanged, type PageCheck, writeEntryCheck } from './entry-check.ts';
import { GuardedLoops } from './guarded-loops.ts';
import type { Count } from './counted-loops.ts';
import type { LoopGuard } from './loop-guard.ts';
import { planAccesses, type AccessKnowledge, type AccessPlan, type Assumption } from './access-plan.ts';
import { type Moves, movesOf } from './block-values.ts';
import { copiesOf, plannedChecks } from './byte-copies.ts';
import { RegionMemoryPath } from './region-memory-path.ts';
import type { RegionAccess } from './shared-access.ts';
import { Status } from './status.ts';
import type { Circumstances, Exit, Present, Refused } from './translate.ts';

function usesFloat(nodes: readonly RegionNode[]): boolean {
  for (const { block } of nodes) {
    const { ops } = block;
    for (let index = 0; index < ops.length; index++) if ((effects(ops[index]!) & Effect.flags) !== 0) return true;
  }
  return false;
}

const NO_MOVES: Moves = new Map();

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
  /** Guest addresses of the pages that its code is in, behind address translation. */
  readonly pages: readonly number[];
}

/**
 * Writes the function: registers into locals, a dispatch on the entry, the nodes as structured control flow by their dominator tree
 * (Ramsey, "Beyond Relooper", 2022), and one way out where registers go back to the state.
 */
export class RegionEmitter {
  readonly exits: Exit[] = [];
  readonly assumptions = new Set<Assumption>();
  readonly circumstances: Circumstances;
  readonly fn: FunctionBuilder;
  readonly #nodes: readonly RegionNode[];
  readonly #graph: FlowGraph;
  readonly #memory: RegionMemoryPath | RegionTlbPath;
  readonly #slowPaths: boolean;
  readonly #pageChecks: readonly PageCheck[];
  readonly #knowledge: AccessKnowledge;
  readonly #runtime: Runtime;
  readonly #registers: RegisterLocals;
  readonly #refused: Refused;
  readonly #resume: number;
  /** Whether a dispatch may look at the entry wished for again, behind the first one. */
  readonly #isResumed: boolean;
  readonly #budget: number;
  readonly #status: number;
  /** The most instructions that run between two looks at the budget. */
  readonly longest: number;
  readonly #loops = new Map<number, Label>();
  readonly #labels = new Map<number, Label>();
  readonly #guarded: GuardedLoops;
  readonly #floatWindows: boolean;
  readonly #byteCopies: boolean;
  /** The node that is being written. */
  #node = 0;
  readonly #charges: Charges;
  readonly #edges: EdgeCode;
  #exit: Label = 0;
  readonly #outer: ReadonlySet<number>;
  constructor(
    fn: FunctionBuilder,
    nodes: readonly RegionNode[],
    graph: FlowGraph,
    memory: RegionMemoryPath | RegionAccess,
    knowledge: AccessKnowledge,
    runtime: Runtime,
    refused: Refused,
    circumstances: Present,
    pageChecks: readonly PageCheck[],
    { guards, floatWindows, byteCopies, isSmall, pages }: RegionPlans,
  ) {
    this.#floatWindows = floatWindows;
    this.#byteCopies = byteCopies;
    // Slow paths behind translation may reach devices, and these the clock, which counts what has been paid for.
    this.#charges = memory instanceof RegionMemoryPath ? chargeTurns(nodes, graph) : chargeNodes(nodes);
    this.#pageChecks = pageChecks;
    this.#outer = new Set(graph.parent.values());
    const { pageCaches } = circumstances;
    this.circumstances = {
      modes: [
        ...(nodes.some(({ usesModes }) => usesModes) ? circumstances.modes : []),
        ...(pageCaches === undefined ? [] : [[StateOffset.dataTlb, TLB] as const]),
      ],
      inexactAccrued: circumstances.inexactAccrued && usesFloat(nodes),
    };
    this.fn = fn;
    this.#nodes = nodes;
    this.#graph = graph;
    this.#budget = fn.local(ValType.i32);
    this.#slowPaths = !(memory instanceof RegionMemoryPath);
    const table = this.#slowPaths ? fn.local(ValType.i32) : undefined;
    this.#knowledge = knowledge;
    this.#runtime = runtime;
    this.#refused = refused;
    this.#resume = 0;
    this.#isResumed = graph.dispatched.size > 0 || graph.hops.size > 1;
    this.#status = fn.local(ValType.i32);
    const target = fn.local(ValType.i64);
    this.#registers = new RegisterLocals(fn, nodes, isSmall);
    this.longest = nodes.reduce((sum, { instructions }) => sum + instructions, 0);
    this.#guarded = new GuardedLoops(fn, graph, guards, {
      budget: this.#budget,
      guestSize: runtime.options.guestSize,
      longest: this.longest,
      leaveWhenSpent: (header) => this.#leaveWhenSpent(graph.entryOf[header]!),
      refuseIf: (header) => {
        fn.i32Const(this.#newExit({ pc: nodes[header]!.pc, refund: 0, kind: 'interpret' }));
        fn.localSet(this.#status);
        fn.brIf(this.#exit, BranchHint.unlikely);
      },
      table,
    });
    this.#memory =
      memory instanceof RegionMemoryPath
        ? memory
        : new RegionTlbPath(
            runtime.module,
            memory,
            {
              table: table!,
              pushBudget: () => this.#guarded.pushBudget(this.#node),
              setBudget: () => this.#guarded.setBudget(this.#node),
            },
            pageCaches,
            (pc) => knowledge.wanders(pc),
          );
    this.#edges = new EdgeCode(fn, {
      nodes,
      registers: this.#registers,
      graph,
      guarded: this.#guarded,
      charges: this.#charges,
      loops: this.#loops,
      labels: this.#labels,
      resume: this.#resume,
      status: this.#status,
      target,
      budget: this.#budget,
      leavesQuietly: this.#slowPaths,
      exitOf: (index) => this.#exitOf(index),
      newExit: (exit) => this.#newExit(exit),
      writeNode: (index) => this.#writeNode(index),
      leaveWhenChanged: ({ block, end }) => {
        const places = { budget: this.#budget, status: this.#status, exit: this.#exit };
        const fenced = runtime.fences(block.ops) ? pages : [];
        leaveWhenChanged(fn, this.circumstances, fenced, end, places);
      },
    });
    for (const { pointers } of guards.values())
      for (const { range } of pointers) if (range !== undefined) this.assumptions.add(range);
  }

  write(): void {
    const { fn } = this;
    const { root } = this.#graph;
    writeEntryCheck(fn, this.circumstances, this.#pageChecks, this.#status);
    this.#registers.load();
    fn.i32Const(0);
    fn.load('i32.load', { offset: Frame.budget });
    fn.localSet(this.#budget);
    if (this.#memory instanceof RegionTlbPath) this.#memory.begin(fn);
    this.#exit = fn.block();
    // Whoever goes by way of the root comes back to it.
    const loop = this.#isResumed ? fn.loop() : undefined;
    if (loop !== undefined) this.#loops.set(root, loop);
    const first = this.#graph.children[root]!;
    // A loop that begins the region, and is its only entry, looks at the budget itself.
    const looksItself = !this.#isResumed && first.length === 1 && this.#graph.loopHeaders[first[0]!] === 1;
    if (!looksItself) this.#leaveWhenSpent(undefined);
    if (first.length === 1) this.#writeNode(first[0]!);
    else this.#writeRoot(root);
    this.#memory.end(fn);
    if (loop !== undefined) fn.end(loop);
    fn.end(this.#exit);
    this.#registers.store();
    this.#storeBudget();
    fn.localGet(this.#status);
  }

  /** Goes to where the entry wished for is. */
  #writeRoot(root: number): void {
    const { fn } = this;
    const labels = this.#openMerges(root);
    const hops = this.#graph.hops.get(root)!;
    const table = this.#graph.entries.map((_, position) => this.#labels.get(hops.get(position + 1)!)!);
    fn.localGet(this.#resume);
    fn.i32Const(1);
    fn.op('i32.sub');
    fn.brTable(table, table[0]!);
    this.#closeMerges(labels);
  }

  /** Leaves for an entry, that wished for unless given, when the budget may not last to the next look. */
  #leaveWhenSpent(entry: number | undefined): void {
    const { fn } = this;
    fn.localGet(this.#budget);
    fn.i32Const(this.longest);
    fn.op('i32.lt_s');
    const spent = fn.if(undefined, BranchHint.unlikely);
    if (entry === undefined) {
      fn.localGet(this.#resume);
      fn.i32Const(Status.spent);
      fn.op('i32.or');
    } else {
      fn.i32Const(Status.spent | entry);
    }
    fn.localSet(this.#status);
    fn.br(this.#exit);
    fn.end(spent);
  }

  #storeBudget(): void {
    const { fn } = this;
    fn.i32Const(0);
    fn.localGet(this.#budget);
    fn.store('i32.store', { offset: Frame.budget });
  }

  /** A helper may have withheld the budget, and chosen another TLB table. */
  #afterCall(): void {
    const { fn } = this;
    fn.i32Const(0);
    fn.load('i32.load', { offset: Frame.budget });
    fn.localSet(this.#budget);
    if (this.#memory instanceof RegionTlbPath) this.#memory.begin(fn);
  }

  /** Opens a block for each child of `node` in the dominator tree that needs a label; the first one's is innermost. */
  #openMerges(node: number): readonly number[] {
    return this.#openBlocks(
      this.#graph.children[node]!.filter((child) => this.#graph.merges[child] === 1 && !this.#guarded.isBehind(child)),
    );
  }

  #openBlocks(nodes: readonly number[]): readonly number[] {
    for (const node of nodes.toReversed()) this.#labels.set(node, this.fn.block());
    return nodes;
  }

  #closeMerges(merges: readonly number[]): void {
    for (const child of merges) {
      this.fn.end(this.#labels.get(child)!);
      this.#labels.delete(child);
      this.#registers.deferred = SETTLED;
      this.#writeNode(child);
    }
  }

  /** Writes a node and what hangs on it. */
  #writeNode(index: number): void {
    if (!this.#defers(index) || this.#graph.loopHeaders[index] === 1) this.#registers.flush();
    const guard = this.#guarded.at(index);
    if (guard === undefined) return this.#writeTree(index);
    const behind = this.#slowPaths ? this.#openBlocks(this.#guarded.behind(index)) : [];
    this.#guarded.write(guard, this.#registers, this.#exit, () => this.#writeTree(index));
    this.#closeMerges(behind);
  }

  #writeTree(index: number): void {
    const { fn } = this;
    const { loopHeaders, hops, entryOf } = this.#graph;
    const node = this.#nodes[index]!;
    const isLoop = loopHeaders[index] === 1;
    const guard = this.#guarded.at(index);
    if (isLoop) this.#loops.set(index, fn.loop());
    const merges = this.#openMerges(index);
    const table = hops.get(index);
    if (table !== undefined) this.#dispatch(table, entryOf[index]!);
    if (guard !== undefined) this.#guarded.check(guard);
    else if (isLoop) this.#leaveWhenSpent(entryOf[index]!);
    if (entryOf[index] !== 0 && this.#isResumed) {
      fn.i32Const(0);
      fn.localSet(this.#resume);
    }
    this.#registers.deferring = this.#defers(index);
    if (guard?.count !== undefined) this.#writeTurns(guard, guard.count);
    this.#edges.pay(node);
    this.#writeBlock(node, this.#charges.ahead[index]!, () => this.#edges.end(node));
    this.#closeMerges(merges);
    if (isLoop) {
      fn.end(this.#loops.get(index)!);
      this.#loops.delete(index);
    }
  }

  /** Writes turns of a loop, each of which another one follows. */
  #writeTurns(guard: LoopGuard, { path, last }: Count): void {
    const registers = this.#registers;
    const exits = this.exits.length;
    this.#guarded.writeCounted(guard, {
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

  /** Writes what a node does. `ahead`: instructions behind it that are paid for; `end` writes where it goes. */
  #writeBlock(node: RegionNode, ahead: number, end: () => void): void {
    const { fn } = this;
    const { index } = node;
    const moves = this.#registers.deferring ? movesOf(node.block) : NO_MOVES;
    let plan: AccessPlan | undefined;
    if (this.#memory instanceof RegionMemoryPath) {
      const isInline = inlineOps(node.block, this.#refused, this.circumstances.inexactAccrued);
      plan = planAccesses(node.block, this.#knowledge, isInline, this.#guarded.around(index)?.covered);
      for (const check of plan.values()) if (check.kind === 'range') this.assumptions.add(check.range);
      const copies = this.#byteCopies ? copiesOf(node.block, plannedChecks(plan)) : undefined;
      this.#memory.follow(node.block, plan, moves, fn, this.#registers, copies);
    } else {
      this.#memory.follow(fn, node.block, (op) => this.#guarded.addendOf(op), this.#byteCopies);
    }
    const site = new RegionSite(fn, node, this.#registers, this.#refused, {
      exit: this.#exitOf(index),
      ahead,
      status: this.#status,
      inexactAccrued: this.circumstances.inexactAccrued,
      slowPaths: this.#slowPaths,
      floatWindows: this.#floatWindows && this.circumstances.inexactAccrued,
      isSafe: (load) => plan?.get(load)?.kind === 'covered' || this.#guarded.addendOf(load) !== undefined,
      moves,
      forgone: this.#memory instanceof RegionMemoryPath ? this.#memory.forgone : undefined,
      beforeCall: () => this.#storeBudget(),
      afterCall: () => this.#afterCall(),
      newExit: (exit) => this.#newExit(exit),
      end,
    });
    this.#node = index;
    new Lowering(node.block, site, this.#memory, this.#runtime).run();
  }

  /** Whether writes of registers may be put off in a node: in innermost loops. Behind translation, accesses may leave the region in other ways. */
  #defers(index: number): boolean {
    const header = this.#graph.innermost[index]!;
    return !this.#slowPaths && header !== -1 && !this.#outer.has(header);
  }

  /** Where a node leaves the region to. */
  #exitOf(index: number): Label {
    return this.#guarded.exit(index) ?? this.#exit;
  }

  /** Goes on towards the entry wished for, if there is one and it is not this node. */
  #dispatch(table: ReadonlyMap<number, number>, own: number): void {
    const { fn } = this;
    const normal = fn.block();
    const highest = Math.max(...table.keys());
    const labels = Array.from({ length: highest + 1 }, (_, entry) => {
      const hop = table.get(entry);
      return hop === undefined || entry === own ? normal : this.#labels.get(hop)!;
    });
    fn.localGet(this.#resume);
    fn.brTable(labels, normal);
    fn.end(normal);
  }

  #newExit(exit: Exit): number {
    return this.exits.push(exit);
  }
}
