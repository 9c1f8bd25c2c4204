import type { Isa } from '../../isa/instruction.ts';
import { Leaders } from './leaders.ts';
import { successors, type Ending, type RegionNode, type Target } from './node.ts';
import { afterPasses, type CodeView, cut, lift, type LiftedBlock, scan } from './straight-run.ts';

export interface DiscoveryLimits {
  /** Most guest instructions in a region, inlined copies counted. */
  readonly instructions: number;
  /** Most instructions of a function, with all it calls, that is copied into its caller. */
  readonly inlined: number;
}

export const LIMITS: DiscoveryLimits = { instructions: 500, inlined: 120 };
/** Calls in calls that are copied into their callers. */
const INLINE_DEPTH = 2;
/** The block of a node whose shape is all that is asked for. */
const NOTHING: LiftedBlock = { block: { isa: '', ops: [] }, usesModes: false };

/**
 * Walks the control flow from a guest address over code that has been executed, and gives the basic blocks as nodes; the first is the
 * seed's. Small functions are copied into their callers; other callees are nodes that are jumped to. What has been found holds until
 * guest code runs again.
 */
export class Discovery {
  readonly #isa: Isa;
  readonly #code: CodeView;
  readonly #limits: DiscoveryLimits;
  readonly #seed: number;
  #leaders: Leaders | undefined;

  constructor(isa: Isa, code: CodeView, seed: number, limits: DiscoveryLimits = LIMITS) {
    this.#isa = isa;
    this.#code = code;
    this.#limits = limits;
    this.#seed = seed;
  }

  /** The nodes of the region entered at the seed, without their blocks, which is several times faster; empty when there is nothing to translate. */
  shape(): RegionNode[] {
    return this.#make(true);
  }

  /** The nodes of the region entered at the seed; empty when there is nothing to translate. */
  nodes(): RegionNode[] {
    return this.#make(false);
  }

  #make(shapeOnly: boolean): RegionNode[] {
    const leaders = (this.#leaders ??= this.#findLeaders());
    const first = leaders.at(this.#seed);
    if (first === undefined) return [];
    for (const candidate of leaders.queue) {
      candidate.node = -1;
      candidate.copies = undefined;
    }
    return new NodeMaker(this.#isa, this.#code, this.#limits, leaders, shapeOnly).make(this.#seed);
  }

  /** Breadth first, so that when the limit stops it the nearest code is in. */
  #findLeaders(): Leaders {
    const leaders = new Leaders(this.#seed);
    const { queue } = leaders;
    leaders.visit(this.#seed);
    let instructions = 0;
    for (let next = 0; next < queue.length && instructions < this.#limits.instructions; next++) {
      const candidate = queue[next]!;
      if (next > 0 && this.#isElsewhere(candidate.pc)) continue;
      const run = scan(candidate.pc, this.#code);
      if (run.instructions === 0) continue;
      leaders.lead(candidate, run);
      instructions += run.instructions;
      const { terminator } = run;
      switch (terminator.kind) {
        case 'none':
          leaders.visit(run.end);
          break;
        case 'relative':
          leaders.visit(terminator.target);
          if (terminator.call) leaders.visit(run.end);
          break;
        case 'branch':
          leaders.visit(run.end);
          leaders.visit(terminator.target);
          break;
        case 'indirect':
          if (terminator.hint === 'call') leaders.visit(run.end);
          if (terminator.hint !== 'return') for (const pc of this.#code.jumpTargets(run.last)) leaders.visit(pc);
          break;
        case 'stop':
          break;
      }
    }
    const isLeader = (pc: number) => leaders.has(pc);
    for (const candidate of queue) if (candidate.run) candidate.run = cut(candidate.run, this.#code, isLeader);
    return leaders;
  }

  #isElsewhere(pc: number): boolean {
    const part = this.#code.partAt(pc);
    return part.isElsewhere((pc - part.pc) | 0);
  }
}

/** Makes nodes of runs, copying inlined callees. */
class NodeMaker {
  readonly #isa: Isa;
  readonly #code: CodeView;
  readonly #limits: DiscoveryLimits;
  readonly #leaders: Leaders;
  readonly #nodes: RegionNode[] = [];
  readonly #shapeOnly: boolean;
  #instructions = 0;

  constructor(isa: Isa, code: CodeView, limits: DiscoveryLimits, leaders: Leaders, shapeOnly: boolean) {
    this.#shapeOnly = shapeOnly;
    this.#isa = isa;
    this.#code = code;
    this.#limits = limits;
    this.#leaders = leaders;
  }

  make(seed: number): RegionNode[] {
    this.#node(seed, undefined);
    return withReturns(this.#nodes);
  }

  /** `context`: the node that an inlined callee returns to. */
  #target(pc: number, context: number | undefined): Target {
    const node = this.#node(pc, context);
    return node === undefined ? { exit: pc } : { node };
  }

  #node(pc: number, context: number | undefined): number | undefined {
    const leader = this.#leaders.at(pc);
    if (leader === undefined) return undefined;
    const made = context === undefined ? leader.node : (leader.copies?.get(context) ?? -1);
    if (made >= 0) return made;
    if (this.#instructions >= 2 * this.#limits.instructions) return undefined;
    const { run } = leader;
    this.#instructions += run.instructions;
    const index = this.#nodes.length;
    if (context === undefined) leader.node = index;
    else (leader.copies ??= new Map()).set(context, index);
    // Its place is taken before its successors are made, which may come back to it.
    this.#nodes.push(undefined as unknown as RegionNode);
    let continuation: number | undefined;
    let ending: Ending;
    const { block, usesModes } = this.#shapeOnly
      ? NOTHING
      : this.#code.blockOf(run.pc, run.end, () => lift(this.#isa, run, this.#code));
    const terminator = this.#shapeOnly ? run.terminator : afterPasses(run, block);
    switch (terminator.kind) {
      case 'none':
        ending = { kind: 'goto', to: this.#target(run.end, context) };
        break;
      case 'stop':
        ending = { kind: 'leave', pc: run.end };
        break;
      case 'branch':
        ending = {
          kind: 'branch',
          fallThrough: this.#target(run.end, context),
          taken: this.#target(terminator.target, context),
        };
        break;
      case 'relative':
        if (terminator.call) {
          const inlined = this.#inlinedSize(terminator.target, INLINE_DEPTH) <= this.#limits.inlined;
          const back = inlined ? this.#node(run.end, context) : undefined;
          // What is not inlined returns by address, and so to code that is not inlined either.
          if (back === undefined && context === undefined) continuation = this.#node(run.end, undefined);
          ending = { kind: 'goto', to: this.#target(terminator.target, back) };
        } else {
          ending = { kind: 'goto', to: this.#target(terminator.target, context) };
        }
        break;
      case 'indirect': {
        const isReturn = terminator.hint === 'return';
        if (terminator.hint === 'call' && context === undefined) continuation = this.#node(run.end, undefined);
        const expected: number[] = [];
        if (!isReturn) {
          for (const target of this.#code.jumpTargets(run.last)) {
            const node = this.#node(target, terminator.hint === 'call' ? undefined : context);
            if (node !== undefined) expected.push(node);
          }
        }
        ending = { kind: 'jump', isReturn, expected: isReturn ? context : undefined, known: expected };
        break;
      }
    }
    this.#nodes[index] = {
      index,
      pc,
      end: run.end,
      instructions: run.instructions,
      block,
      usesModes,
      ending,
      continuation,
      inlined: context !== undefined,
    };
    return index;
  }

  /** Instructions of the function at `entry` with all it calls; infinite when that cannot be copied into its caller. */
  #inlinedSize(entry: number, depth: number): number {
    const leader = this.#leaders.at(entry);
    // Code that has not been executed does not return.
    if (leader === undefined) return Infinity;
    const sizes = (leader.sizes ??= []);
    return (sizes[depth] ??= this.#sizeOf(entry, depth));
  }

  #sizeOf(entry: number, depth: number): number {
    const queue = [entry];
    const seen = new Set(queue);
    let instructions = 0;
    let returns = false;
    const add = (pc: number) => {
      if (seen.has(pc)) return;
      seen.add(pc);
      queue.push(pc);
    };
    for (let next = 0; next < queue.length; next++) {
      const run = this.#leaders.at(queue[next]!)?.run;
      // Code that has not been executed is left through an exit.
      if (run === undefined) continue;
      instructions += run.instructions;
      if (instructions > this.#limits.inlined) return Infinity;
      const { terminator } = run;
      switch (terminator.kind) {
        case 'none':
          add(run.end);
          break;
        case 'branch':
          add(run.end);
          add(terminator.target);
          break;
        case 'relative':
          if (terminator.call) {
            if (depth === 0) return Infinity;
            instructions += this.#inlinedSize(terminator.target, depth - 1);
            add(run.end);
          } else {
            add(terminator.target);
          }
          break;
        case 'indirect':
          if (terminator.hint !== 'return') return Infinity;
          returns = true;
          break;
        case 'stop':
          break;
      }
    }
    return returns ? instructions : Infinity;
  }
}

/** Gives the returns of functions that are called in the region the places they may go back to. */
function withReturns(nodes: RegionNode[]): RegionNode[] {
  const continuations = new Map<number, Set<number>>();
  for (const { ending, continuation } of nodes) {
    if (continuation === undefined) continue;
    const callees =
      ending.kind === 'goto' && 'node' in ending.to ? [ending.to.node] : ending.kind === 'jump' ? ending.known : [];
    for (const callee of callees) {
      const known = continuations.get(callee);
      if (known === undefined) continuations.set(callee, new Set([continuation]));
      else known.add(continuation);
    }
  }
  if (continuations.size === 0) return nodes;
  const returnsTo = new Map<number, Set<number>>();
  for (const [callee, targets] of continuations) {
    for (const node of functionNodes(nodes, callee)) {
      const { ending } = nodes[node]!;
      if (ending.kind !== 'jump' || !ending.isReturn || ending.expected !== undefined) continue;
      const all = returnsTo.get(node) ?? new Set();
      for (const target of targets) all.add(target);
      returnsTo.set(node, all);
    }
  }
  return nodes.map((node) => {
    const targets = returnsTo.get(node.index);
    if (targets === undefined || node.ending.kind !== 'jump') return node;
    return { ...node, ending: { ...node.ending, known: [...targets].sort((a, b) => a - b) } };
  });
}

/** The nodes of the function at `entry`, those it calls left out. */
function functionNodes(nodes: readonly RegionNode[], entry: number): Set<number> {
  const seen = new Set([entry]);
  for (const index of seen) {
    const node = nodes[index]!;
    const next = node.continuation === undefined ? successors(node) : [node.continuation];
    for (const to of next) seen.add(to);
  }
  return seen;
}
