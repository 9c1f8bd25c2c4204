import { Builder } from '../../ir/builder.ts';
import type { Block } from '../../ir/block.ts';
import { opRow } from '../../ir/op.ts';
import type { Decoded, Instruction, Isa } from '../../isa/instruction.ts';
import { regionMode } from './mode.ts';
import { successors, type Ending, type RegionNode, type Target } from './node.ts';

/** What region discovery may look at. */
export interface CodeView {
  /** The instruction at a guest address that has been executed before, as executed (`Isa.canonical`); undefined stops discovery there. */
  instruction(pc: number): Decoded | undefined;
  /** Guest addresses that the indirect jump at `pc` has been seen to go to. */
  jumpTargets(pc: number): readonly number[];
  /** Whether another region begins there, which is left to it; the seed is never asked for. */
  isElsewhere(pc: number): boolean;
  /** What the ISA's mode registers (by `slotName`) hold. */
  readonly modes: ReadonlyMap<string, bigint>;
  /** Helpers that regions call. */
  holdsCall(helper: string): boolean;
  /** The block of guest bytes [pc, end) after the passes; what `lift` gives is it before them. */
  blockOf(pc: number, end: number, lift: () => Block): LiftedBlock;
}

export interface LiftedBlock {
  readonly block: Block;
  /** It reads mode registers. */
  readonly usesModes: boolean;
}

export interface DiscoveryLimits {
  /** Most guest instructions in a region, inlined copies counted. */
  readonly instructions: number;
  /** Most instructions of a function, with all it calls, that is copied into its caller. */
  readonly inlined: number;
}

export const LIMITS: DiscoveryLimits = { instructions: 500, inlined: 120 };
/** Calls in calls that are copied into their callers. */
const INLINE_DEPTH = 2;
/** Instructions in one block, so that straight-line code of any length stays bounded. */
const LONGEST_BLOCK = 256;

/** The block of a node whose shape is all that is asked for. */
const NOTHING: LiftedBlock = { block: { isa: '', ops: [] }, usesModes: false };

interface Run {
  readonly pc: number;
  readonly end: number;
  readonly instructions: readonly Decoded[];
  /** The terminator, if the last instruction has one. */
  readonly terminator: Terminator;
}

type Terminator =
  | { readonly kind: 'none' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'relative'; readonly target: number; readonly call: boolean }
  | { readonly kind: 'branch'; readonly target: number }
  | { readonly kind: 'indirect'; readonly hint: 'none' | 'call' | 'return' };

interface RowShape {
  readonly held: boolean;
  readonly terminates: boolean;
  /** Helpers that it calls. */
  readonly calls: readonly string[];
}

/** Caches, by row, what can be told of an instruction without its operands. */
const shapes = new WeakMap<Instruction, RowShape>();
const NOT_HELD: RowShape = { held: false, terminates: false, calls: [] };

/**
 * Walks the control flow from a guest address over code that has been executed, and gives the basic blocks as nodes; the first is the
 * seed's. Small functions are copied into their callers; other callees are nodes that are jumped to.
 */
export class Discovery {
  readonly #isa: Isa;
  readonly #code: CodeView;
  readonly #limits: DiscoveryLimits;
  readonly #runs = new Map<number, Run>();
  readonly #instructions = new Map<number, Decoded | undefined>();
  readonly #leaders = new Set<number>();

  constructor(isa: Isa, code: CodeView, limits: DiscoveryLimits = LIMITS) {
    this.#isa = isa;
    this.#code = code;
    this.#limits = limits;
  }

  /**
   * The nodes of the region entered at `seed`; empty when there is nothing to translate. `shapeOnly` leaves their blocks empty, which is
   * several times faster.
   */
  discover(seed: number, shapeOnly = false): RegionNode[] {
    this.#findLeaders(seed);
    if (!this.#leaders.has(seed)) return [];
    return new NodeMaker(this.#isa, this.#code, this.#limits, (pc) => this.#run(pc), shapeOnly).make(seed);
  }

  /** Breadth first, so that when the limit stops it the nearest code is in. */
  #findLeaders(seed: number): void {
    const queue = [seed];
    const seen = new Set(queue);
    let instructions = 0;
    const add = (pc: number) => {
      if (seen.has(pc)) return;
      seen.add(pc);
      queue.push(pc);
    };
    for (let next = 0; next < queue.length && instructions < this.#limits.instructions; next++) {
      const pc = queue[next]!;
      if (next > 0 && this.#code.isElsewhere(pc)) continue;
      const run = this.#scan(pc, undefined);
      if (run.instructions.length === 0) continue;
      this.#leaders.add(pc);
      instructions += run.instructions.length;
      switch (run.terminator.kind) {
        case 'none':
          add(run.end);
          break;
        case 'relative':
          add(run.terminator.target);
          if (run.terminator.call) add(run.end);
          break;
        case 'branch':
          add(run.end);
          add(run.terminator.target);
          break;
        case 'indirect':
          if (run.terminator.hint === 'call') add(run.end);
          if (run.terminator.hint !== 'return') for (const target of this.#code.jumpTargets(lastPc(run))) add(target);
          break;
        case 'stop':
          break;
      }
    }
  }

  #instruction(pc: number): Decoded | undefined {
    if (this.#instructions.has(pc)) return this.#instructions.get(pc);
    const decoded = this.#code.instruction(pc);
    this.#instructions.set(pc, decoded);
    return decoded;
  }

  #run(pc: number): Run | undefined {
    if (!this.#leaders.has(pc)) return undefined;
    let run = this.#runs.get(pc);
    if (run === undefined) {
      run = this.#scan(pc, this.#leaders);
      this.#runs.set(pc, run);
    }
    return run;
  }

  /** The straight-line run from `pc`, ended before the next of `leaders`. */
  #scan(pc: number, leaders: ReadonlySet<number> | undefined): Run {
    const instructions: Decoded[] = [];
    let at = pc;
    for (;;) {
      if (at !== pc && (leaders?.has(at) === true || this.#code.isElsewhere(at)))
        return { pc, end: at, instructions, terminator: { kind: 'none' } };
      const decoded = instructions.length < LONGEST_BLOCK ? this.#instruction(at) : undefined;
      if (decoded === undefined) {
        const more = instructions.length >= LONGEST_BLOCK;
        return { pc, end: at, instructions, terminator: { kind: more ? 'none' : 'stop' } };
      }
      const shape = rowShape(decoded, this.#code);
      if (!shape.held) return { pc, end: at, instructions, terminator: { kind: 'stop' } };
      instructions.push(decoded);
      const start = at;
      at += decoded.length;
      if (shape.terminates) return { pc, end: at, instructions, terminator: terminatorOf(decoded, start) };
      // What it did may have changed what the rest is made for.
      if (shape.calls.length > 0) return { pc, end: at, instructions, terminator: { kind: 'none' } };
    }
  }
}

/** Makes nodes of runs, copying inlined callees. */
class NodeMaker {
  readonly #isa: Isa;
  readonly #code: CodeView;
  readonly #limits: DiscoveryLimits;
  readonly #run: (pc: number) => Run | undefined;
  readonly #nodes: RegionNode[] = [];
  readonly #byKey = new Map<string, number>();
  readonly #shapeOnly: boolean;
  #instructions = 0;

  constructor(
    isa: Isa,
    code: CodeView,
    limits: DiscoveryLimits,
    run: (pc: number) => Run | undefined,
    shapeOnly: boolean,
  ) {
    this.#shapeOnly = shapeOnly;
    this.#isa = isa;
    this.#code = code;
    this.#limits = limits;
    this.#run = run;
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
    const key = context === undefined ? String(pc) : `${pc} ${context}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const run = this.#run(pc);
    if (run === undefined || this.#instructions >= 2 * this.#limits.instructions) return undefined;
    this.#instructions += run.instructions.length;
    const index = this.#nodes.length;
    this.#byKey.set(key, index);
    // Its place is taken before its successors are made, which may come back to it.
    this.#nodes.push(undefined as unknown as RegionNode);
    let continuation: number | undefined;
    let ending: Ending;
    const { block, usesModes } = this.#shapeOnly
      ? NOTHING
      : this.#code.blockOf(run.pc, run.end, () => lift(this.#isa, run));
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
        const known: number[] = [];
        if (!isReturn) {
          for (const target of this.#code.jumpTargets(lastPc(run))) {
            const node = this.#node(target, terminator.hint === 'call' ? undefined : context);
            if (node !== undefined) known.push(node);
          }
        }
        ending = { kind: 'jump', isReturn, expected: isReturn ? context : undefined, known };
        break;
      }
    }
    this.#nodes[index] = {
      index,
      pc,
      end: run.end,
      instructions: run.instructions.length,
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
      const run = this.#run(queue[next]!);
      // Code that has not been executed is left through an exit.
      if (run === undefined) continue;
      instructions += run.instructions.length;
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

function lift(isa: Isa, run: Run): Block {
  const builder = new Builder(isa.name);
  let pc = run.pc;
  for (const { row, length, operands } of run.instructions) {
    builder.beginInstruction(BigInt(pc), length);
    row.lift(builder, operands);
    pc += length;
  }
  return builder.block;
}

/** Gives the returns of functions that are called in the region the places they may go back to. */
function withReturns(nodes: readonly RegionNode[]): RegionNode[] {
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

/** The run's terminator as the passes left it: conditions and targets may have become known. */
function afterPasses(run: Run, block: Block): Terminator {
  const { terminator } = run;
  const last = block.ops.at(-1)!;
  if (terminator.kind === 'branch' && last.name !== 'branch') {
    return last.name === 'jump_rel' ? { kind: 'relative', target: terminator.target, call: false } : { kind: 'none' };
  }
  if (terminator.kind === 'indirect' && last.name === 'jump_rel') {
    return { kind: 'relative', target: lastPc(run) + Number(last.displacement), call: terminator.hint === 'call' };
  }
  return terminator;
}

function lastPc(run: Run): number {
  return run.end - run.instructions.at(-1)!.length;
}

function liftOne({ row, length, operands }: Decoded, pc: number): Block {
  const builder = new Builder('region');
  builder.beginInstruction(BigInt(pc), length);
  row.lift(builder, operands);
  return builder.block;
}

function rowShape(decoded: Decoded, code: CodeView): RowShape {
  let shape = shapes.get(decoded.row);
  if (shape === undefined) {
    const { ops } = liftOne(decoded, 0);
    const calls = ops.flatMap(({ name, helper }) => (name === 'call' ? [helper!] : []));
    shape = {
      held: regionMode(ops, 0, ops.length, false, () => true) !== 'none',
      terminates: opRow(ops.at(-1)!.name).terminator === true,
      calls,
    };
    shapes.set(decoded.row, shape);
  }
  return shape.calls.every((helper) => code.holdsCall(helper)) ? shape : NOT_HELD;
}

function terminatorOf(decoded: Decoded, pc: number): Terminator {
  const op = liftOne(decoded, pc).ops.at(-1)!;
  switch (op.name) {
    case 'jump_rel':
      return { kind: 'relative', target: pc + Number(op.displacement), call: op.hint === 'call' };
    case 'branch':
      return { kind: 'branch', target: pc + Number(op.displacement) };
    case 'jump':
      return { kind: 'indirect', hint: op.hint ?? 'none' };
    default:
      return { kind: 'stop' };
  }
}
