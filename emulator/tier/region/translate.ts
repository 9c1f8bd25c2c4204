import { CHECK, CheckLevel } from '../../check/assert.ts';
import type { Isa } from '../../isa/instruction.ts';
import type { Op } from '../../ir/block.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { Runtime, type RuntimeOptions } from '../runtime.ts';
import { RegionEmitter } from './emitter.ts';
import { analyseFlow, type FlowGraph } from './flow-graph.ts';
import { peelLoops } from './peeled-loops.ts';
import { unrollLoops } from './unrolled-loops.ts';
import { instructionsOf, type RegionNode } from './node.ts';
import type { PageCachePlaces } from './page-cache.ts';
import type { AccessKnowledge, Assumption } from './access-plan.ts';
import { type LoopGuard, type LoopKnowledge, planGuards } from './loop-guard.ts';
import { RegionMemoryPath } from './region-memory-path.ts';
import { importsOf } from './region-imports.ts';

/**
 * Why a region is left at a place, and what to put right. `interpret`: the instruction meets what the region does not do; `unheld`: it
 * never does that instruction; `indirect` and `return`: a jump to somewhere else.
 */
export interface Exit {
  /** Guest address of the instruction; of an `indirect` exit or `return`, of the jump whose target is in the state. */
  readonly pc: number;
  /** Instructions of its block that did not retire. */
  readonly refund: number;
  readonly kind: 'interpret' | 'unheld' | 'indirect' | 'return';
}

/** A region as WebAssembly: the module exports `run(entry) -> status` (see status.ts). */
export interface CompiledRegion {
  /** Guest address of its first node. */
  readonly seed: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the module may ask `env.float` for. */
  readonly floatOps: readonly Op[];
  readonly exits: readonly Exit[];
  /** Guest address of each entry; the argument of `run` is the position plus one. */
  readonly entries: readonly { readonly pc: number; readonly inlined: boolean }[];
  /** Guest bytes that were translated, as [start, end) pairs in ascending order without overlap. */
  readonly ranges: readonly (readonly [number, number])[];
  /** Guest addresses of the pages that its code is in, the seed's first; none where addresses are not translated. */
  readonly pages: readonly number[];
  /** A budget smaller than this is refused at every entry. */
  readonly longest: number;
  readonly circumstances: Circumstances;
  /** What must stay so for the translation to be right. */
  readonly assumptions: readonly Assumption[];
  readonly counters: RegionCounters;
}

/** Exact sizes of a translation, of guest code and IR without the copies of loops. */
export interface RegionCounters {
  readonly nodes: number;
  readonly instructions: number;
  readonly irOps: number;
  readonly wasmOps: number;
  readonly wasmBytes: number;
}

/** Instructions whose common course has been refused too often, by guest address: they get their slow paths in line. */
export type Refused = ReadonlySet<number>;

/** What a region is made for. It does nothing when entered under others. */
export interface Circumstances {
  /** What mode registers hold, by state offset. */
  readonly modes: readonly (readonly [number, number])[];
  /** The inexact flag has accrued. */
  readonly inexactAccrued: boolean;
}

/** What is so when a region is made. */
export interface Present extends Circumstances {
  /** Given where memory is accessed as user mode: then the TLB table in force is one of the region's modes. */
  readonly pageCaches?: PageCachePlaces;
}

export interface TranslationOptions extends RuntimeOptions {
  /** See TierPolicy. */
  readonly guardGain: number;
  /** `false`: each floating-point result has a check of its own. */
  readonly floatWindows?: boolean;
  /** `false`: bytes that are copied one by one stay so. */
  readonly byteCopies?: boolean;
  /** `false`: loops have one copy of a turn. */
  readonly unrolling?: boolean;
}

/** Regions of so many nodes are small loops. */
const FEW_NODES = 4;

/** Translates a region; the first node is its main entry. Behind address translation it refuses to run unless its pages are where they were. */
export function translateRegion(
  isa: Isa,
  found: readonly RegionNode[],
  options: TranslationOptions,
  refused: Refused,
  knowledge: AccessKnowledge & LoopKnowledge,
  circumstances: Present,
  pages: readonly number[] = [],
): CompiledRegion {
  const { model, runtimeFunctions, slowPaths, records } = importsOf(
    options,
    pages.length,
    circumstances.pageCaches !== undefined,
  );
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full, model });
  const runtime = new Runtime(module, isa, { ...options, leavesCode: true }, runtimeFunctions);
  const instructions = instructionsOf(found);
  const fn = module.function('run', [ValType.i32], [ValType.i32]);
  const planned = planLoops(found, options, refused, knowledge);
  const { nodes, graph } = planned;
  const emitter = new RegionEmitter(
    fn,
    nodes,
    graph,
    slowPaths ?? new RegionMemoryPath(options.guestSize),
    knowledge,
    runtime,
    refused,
    circumstances,
    pages,
    records,
    {
      guards: planned.guards,
      floatWindows: options.floatWindows !== false,
      byteCopies: options.byteCopies !== false,
      isSmall: found.length <= FEW_NODES,
    },
  );
  emitter.write();
  module.exportFunction('run', fn);
  const bytes = module.encode();
  return {
    seed: nodes[0]!.pc,
    bytes,
    floatOps: runtime.floatOps,
    exits: emitter.exits,
    entries: entriesOf(planned),
    ranges: rangesOf(found),
    pages,
    longest: emitter.longest,
    circumstances: emitter.circumstances,
    assumptions: emitter.assumptions.size === 0 ? NO_ASSUMPTIONS : [...emitter.assumptions],
    counters: {
      nodes: found.length,
      instructions,
      irOps: opsOf(found),
      wasmOps: fn.operators,
      wasmBytes: bytes.length,
    },
  };
}

/** The nodes to write, copies of turns of loops included, and how. */
interface Planned {
  readonly nodes: readonly RegionNode[];
  readonly graph: FlowGraph;
  readonly guards: ReadonlyMap<number, LoopGuard>;
}

const NO_GUARDS: ReadonlyMap<number, LoopGuard> = new Map();
const NO_ASSUMPTIONS: readonly Assumption[] = [];
const MAIN_ENTRY = [0];

function planLoops(
  found: readonly RegionNode[],
  options: TranslationOptions,
  refused: Refused,
  knowledge: AccessKnowledge & LoopKnowledge,
): Planned {
  const seen = analyseFlow(found, MAIN_ENTRY);
  // Most regions have no loop.
  if (seen.innermostHeaders.length === 0) return { nodes: found, graph: seen, guards: NO_GUARDS };
  const translated = options.translated === true;
  const peeled = options.unrolling === false ? undefined : peelLoops(found, seen, knowledge);
  const whole = peeled ?? found;
  const plain = peeled === undefined ? seen : analyseFlow(peeled, MAIN_ENTRY);
  const unrolls = !translated && options.unrolling !== false;
  const guardsOf = (nodes: readonly RegionNode[], graph: FlowGraph) =>
    planGuards(nodes, graph, knowledge, refused, options.guardGain, translated, unrolls);
  const guards = guardsOf(whole, plain);
  const unrolled = unrolls ? unrollLoops(whole, plain, guards) : undefined;
  if (unrolled === undefined) return { nodes: whole, graph: plain, guards };
  const graph = analyseFlow(unrolled, MAIN_ENTRY);
  return { nodes: unrolled, graph, guards: guardsOf(unrolled, graph) };
}

function entriesOf({ nodes, graph }: Planned): CompiledRegion['entries'] {
  const entries: { readonly pc: number; readonly inlined: boolean }[] = [];
  for (let at = 0; at < graph.entries.length; at++) {
    const { pc, inlined } = nodes[graph.entries[at]!]!;
    entries.push({ pc, inlined });
  }
  return entries;
}

function opsOf(nodes: readonly RegionNode[]): number {
  let ops = 0;
  for (let index = 0; index < nodes.length; index++) ops += nodes[index]!.block.ops.length;
  return ops;
}

/** The guest bytes of nodes as [start, end) pairs in ascending order without overlap. */
export function rangesOf(nodes: readonly RegionNode[]): (readonly [number, number])[] {
  const sorted = isAscending(nodes) ? nodes : nodes.toSorted((a, b) => a.pc - b.pc);
  const ranges: [number, number][] = [];
  let last: [number, number] | undefined;
  for (let index = 0; index < sorted.length; index++) {
    const { pc, end } = sorted[index]!;
    if (last !== undefined && pc <= last[1]) {
      if (end > last[1]) last[1] = end;
    } else {
      ranges.push((last = [pc, end]));
    }
  }
  return ranges;
}

function isAscending(nodes: readonly RegionNode[]): boolean {
  for (let index = 1; index < nodes.length; index++) if (nodes[index]!.pc < nodes[index - 1]!.pc) return false;
  return true;
}
