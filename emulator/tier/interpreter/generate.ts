import { assert, CHECK, CheckLevel } from '../../check/assert.ts';
import type { Op } from '../../ir/block.ts';
import type { Instruction, Isa } from '../../isa/instruction.ts';
import {
  JUMP_CACHE,
  JUMP_CACHE_ENTRIES,
  JUMP_CACHE_ENTRY_SIZE,
  PAGE_SIZE,
  STATE,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TlbEntry,
} from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { Lowering } from '../lower.ts';
import { FlatMemoryPath, type MemoryPath } from '../memory-path.ts';
import { Runtime, type RuntimeOptions } from '../runtime.ts';
import { importTlbSlowPaths, TlbMemoryPath } from '../tlb-path.ts';
import { casePairs, rowCases, type Case, type Pair, type RowCases } from './case.ts';
import { FirstOfPairSite, FunctionSite, InlineSite, JUMP_STATUS, type MainFrame } from './case-site.ts';
import { Frame } from './frame.ts';
import { COMMON_PAIRS } from './pairs.ts';
import { CROSSING, ENTRY_BIT, FIRST_CASE, ILLEGAL, NOT_DECODED, PAGE_END, PageLayout, RecordField } from './record.ts';

const { i32, i64 } = ValType;

/** The main function's own exit reason beside ExitReason: the record says that the bytes are no instruction. */
export const ILLEGAL_EXIT = 32;
/** Another: the instruction has to be put together from two pages. */
export const CROSSING_EXIT = 33;

/** The interpreter of one ISA as modules, to be instantiated for each vCPU. */
export interface InterpreterModule {
  /** Exports `run`, and the table `twins` of the cases' own functions. */
  readonly module: WebAssembly.Module;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly cases: ReadonlyMap<Instruction, RowCases>;
  readonly layout: PageLayout;
  /** The case that records with this `op` begin with: of a pair, the first. */
  readonly caseOf: (op: number) => Case;
  /** The `op` for the first of two neighbours when they are a pair. */
  readonly pairOp: (first: Case, second: Case) => number | undefined;
  /** The own function of the case that records with this `op` begin with. */
  readonly twin: (op: number) => TwinModule;
}

/** One case's own function, exported as `twin`. */
export interface TwinModule {
  readonly module: WebAssembly.Module;
  readonly floatOps: readonly Op[];
}

const modules = new WeakMap<Isa, Map<string, InterpreterModule>>();

/** Made once per ISA and options in a process: generation takes tens of milliseconds, and V8's optimised code is shared with the module. */
export function interpreterModule(isa: Isa, options: RuntimeOptions): InterpreterModule {
  let ofIsa = modules.get(isa);
  if (ofIsa === undefined) {
    ofIsa = new Map();
    modules.set(isa, ofIsa);
  }
  // Behind translation nothing in the code depends on the size.
  const key = options.translated === true ? 'translated' : String(options.guestSize);
  let made = ofIsa.get(key);
  if (made === undefined) {
    made = generateInterpreter(isa, options);
    ofIsa.set(key, made);
  }
  return made;
}

/**
 * Exports `run() -> i32`, which runs from the frame's record until its budget is used up or something needs the outside. Twins are made when
 * first called, which a program does to a few dozen of the 489 of RISC-V: generating all took more than half of the time.
 */
export function generateInterpreter(isa: Isa, options: RuntimeOptions): InterpreterModule {
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full });
  const runtime = new Runtime(module, isa, options);
  const memory = memoryPath(module, options);
  const prepareTwin = module.importFunction('env', 'prepareTwin', [i32], []);
  const layout = new PageLayout(isa);
  const cases = rowCases(isa);
  const all = [...cases.values()].flatMap((row) => row.cases);
  const pairs = casePairs(COMMON_PAIRS[isa.name] ?? [], all, FIRST_CASE + all.length);
  const byOp = [...all, ...pairs.map(({ first }) => first)];
  assert(FIRST_CASE + byOp.length < ENTRY_BIT, 'the number of a case leaves the entry bit free');
  const table = module.table({ initial: byOp.length, maximum: byOp.length });
  const twinType = module.type([i32], [i32]);
  const missing = missingTwin(module, prepareTwin, twinType, table);
  module.elementSegment(
    table,
    0,
    Array.from(byOp, () => missing),
  );
  module.exportTable('twins', table);
  const main = module.function('run', [], [i32]);
  new MainFunction(main, isa, all, pairs, layout, memory, runtime, table, options.translated === true).write(twinType);
  module.exportFunction('run', main);
  const bytes = module.encode({ names: true });
  const caseOf = (op: number) => byOp[op - FIRST_CASE]!;
  const twins = new Map<Case, TwinModule>();
  const twin = (op: number): TwinModule => {
    const which = caseOf(op);
    let made = twins.get(which);
    if (made === undefined) {
      made = twinModule(isa, options, which, layout.shift);
      twins.set(which, made);
    }
    return made;
  };
  const pairOps = new Map(pairs.map(({ op, first, second }) => [pairKey(first, second), op]));
  const pairOp = (first: Case, second: Case) => pairOps.get(pairKey(first, second));
  return { module: new WebAssembly.Module(bytes), bytes, cases, layout, caseOf, pairOp, twin };
}

function pairKey(first: Case, second: Case): number {
  return first.op * 0x1_0000 + second.op;
}

/** What stands in the table for every twin that has not been called yet: has it made and goes on there. */
function missingTwin(module: ModuleBuilder, prepareTwin: number, type: number, table: number): FunctionBuilder {
  const fn = module.function('missingTwin', [i32], [i32]);
  const op = () => {
    fn.localGet(0);
    fn.load('i32.load16_u', { offset: RecordField.op });
    fn.i32Const(ENTRY_BIT - 1);
    fn.op('i32.and');
  };
  op();
  fn.call(prepareTwin);
  fn.localGet(0);
  op();
  fn.i32Const(FIRST_CASE);
  fn.op('i32.sub');
  fn.callIndirect(type, table);
  return fn;
}

/** To be made right after the runtime, before the module has a function of its own. */
function memoryPath(module: ModuleBuilder, { translated, guestSize }: RuntimeOptions): MemoryPath {
  return translated === true ? new TlbMemoryPath(importTlbSlowPaths(module)) : new FlatMemoryPath(guestSize);
}

function twinModule(isa: Isa, options: RuntimeOptions, which: Case, shift: number): TwinModule {
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full });
  const runtime = new Runtime(module, isa, options);
  const memory = memoryPath(module, options);
  const fn = module.function(which.row.name, [i32], [i32]);
  // A helper may change how instructions are fetched.
  const refetches = options.translated === true && which.block.ops.some(({ name }) => name === 'call');
  new Lowering(which.block, new FunctionSite(fn, which, shift, refetches), memory, runtime).run();
  module.exportFunction('twin', fn);
  return { module: new WebAssembly.Module(module.encode({ names: true })), floatOps: runtime.floatOps };
}

/**
 * The loop that dispatches: one `br_table` on the record's op. Cases are laid out one behind the other inside nested blocks. No call is in
 * it but the one to the twins, around which every variable is stored and loaded again: V8 keeps no register across a call, and would
 * otherwise spill the variables in every iteration.
 */
class MainFunction {
  readonly #fn: FunctionBuilder;
  readonly #isa: Isa;
  readonly #cases: readonly Case[];
  readonly #pairs: readonly Pair[];
  readonly #layout: PageLayout;
  readonly #memory: MemoryPath;
  readonly #runtime: Runtime;
  readonly #table: number;
  readonly #translated: boolean;

  constructor(
    fn: FunctionBuilder,
    isa: Isa,
    cases: readonly Case[],
    pairs: readonly Pair[],
    layout: PageLayout,
    memory: MemoryPath,
    runtime: Runtime,
    table: number,
    translated: boolean,
  ) {
    this.#translated = translated;
    this.#fn = fn;
    this.#isa = isa;
    this.#cases = cases;
    this.#pairs = pairs;
    this.#layout = layout;
    this.#memory = memory;
    this.#runtime = runtime;
    this.#table = table;
  }

  write(caseType: number): void {
    const fn = this.#fn;
    const record = fn.local(i32);
    const budget = fn.local(i32);
    const pcDelta = fn.local(i64);
    const target = fn.local(i64);
    const reason = fn.local(i32);
    const reload = () => {
      this.#loadFrame('i32.load', Frame.record, record);
      this.#loadFrame('i32.load', Frame.budget, budget);
      this.#loadFrame('i64.load', Frame.pcDelta, pcDelta);
    };
    const add = (local: number, amount: number) => {
      fn.localGet(local);
      fn.i32Const(amount);
      fn.op('i32.add');
      fn.localSet(local);
    };
    const pushPc = () => {
      fn.localGet(pcDelta);
      fn.localGet(record);
      fn.i32Const(this.#layout.shift);
      fn.op('i32.shr_u');
      fn.op('i64.extend_i32_u');
      fn.op('i64.add');
    };

    reload();
    const exit = fn.block();
    const next = fn.loop();
    const jump = fn.block();
    const twin = fn.block();

    const spent = fn.block();
    const spend = () => {
      fn.localGet(budget);
      fn.op('i32.eqz');
      fn.brIf(spent);
      add(budget, -1);
    };
    spend();
    this.#dispatch(
      { record, pcDelta, target, next, jump, twin },
      {
        spend,
        pageEnd: () => {
          add(budget, 1);
          pushPc();
          fn.localSet(target);
          fn.br(jump);
        },
        outside: (code) => {
          add(budget, 1);
          fn.i32Const(code);
          fn.localSet(reason);
          fn.br(exit);
        },
      },
    );
    fn.end(spent);
    fn.i32Const(ExitReason.budget);
    fn.localSet(reason);
    fn.br(exit);

    fn.end(twin);
    this.#storeFrame('i32.store', Frame.record, record);
    this.#storeFrame('i32.store', Frame.budget, budget);
    this.#storeFrame('i64.store', Frame.pcDelta, pcDelta);
    fn.localGet(record);
    fn.localGet(record);
    // The second of a pair comes here without having been dispatched, so the bit may be set.
    fn.load('i32.load16_u', { offset: RecordField.op });
    fn.i32Const(ENTRY_BIT - 1);
    fn.op('i32.and');
    fn.i32Const(FIRST_CASE);
    fn.op('i32.sub');
    fn.callIndirect(caseType, this.#table);
    fn.localSet(reason);
    reload();
    fn.localGet(reason);
    fn.op('i32.eqz');
    fn.brIf(next);
    this.#loadFrame('i64.load', STATE + StateOffset.pc, target);
    fn.localGet(reason);
    fn.i32Const(JUMP_STATUS);
    fn.op('i32.eq');
    fn.brIf(jump);
    // Trapped or faulted: not retired.
    add(budget, 1);
    fn.br(exit);

    fn.end(jump);
    if (this.#translated) this.#probeTlb(record, pcDelta, target, next);
    else this.#probe(record, pcDelta, target, next);
    this.#storeFrame('i64.store', STATE + StateOffset.pc, target);
    this.#storeFrame('i32.store', Frame.budget, budget);
    fn.i32Const(ExitReason.miss);
    fn.return();

    fn.end(next);
    fn.end(exit);
    fn.i32Const(0);
    pushPc();
    fn.store('i64.store', { offset: STATE + StateOffset.pc });
    this.#storeFrame('i32.store', Frame.budget, budget);
    fn.localGet(reason);
  }

  /** The `br_table` and the bodies of the inline cases. */
  #dispatch(
    frame: MainFrame,
    special: { spend: () => void; pageEnd: () => void; outside: (code: number) => void },
  ): void {
    const fn = this.#fn;
    const inline = this.#cases.filter((which) => which.inline);
    const pairLabels = this.#pairs.map(() => fn.block());
    const caseLabels = inline.map(() => fn.block());
    const illegal = fn.block();
    const pageEnd = fn.block();
    const crossing = fn.block();
    const notDecoded = fn.block();
    const labels: number[] = [];
    labels[CROSSING] = crossing;
    labels[NOT_DECODED] = notDecoded;
    labels[PAGE_END] = pageEnd;
    labels[ILLEGAL] = illegal;
    for (const which of this.#cases) {
      const position = inline.indexOf(which);
      labels.push(position < 0 ? frame.twin : caseLabels[position]!);
    }
    labels.push(...pairLabels);
    fn.localGet(frame.record);
    fn.load('i32.load16_u', { offset: RecordField.op });
    fn.brTable(labels, notDecoded);
    fn.end(notDecoded);
    special.outside(ExitReason.miss);
    fn.end(crossing);
    special.outside(CROSSING_EXIT);
    fn.end(pageEnd);
    special.pageEnd();
    fn.end(illegal);
    special.outside(ILLEGAL_EXIT);
    const { shift } = this.#layout;
    const lower = (which: Case, site: InlineSite) => new Lowering(which.block, site, this.#memory, this.#runtime).run();
    for (const [position, which] of [...inline.entries()].reverse()) {
      fn.end(caseLabels[position]!);
      lower(which, new InlineSite(fn, which, shift, frame));
    }
    for (const [position, { first, second }] of [...this.#pairs.entries()].reverse()) {
      fn.end(pairLabels[position]!);
      lower(first, new FirstOfPairSite(fn, first, shift, frame, special.spend));
      lower(second, new InlineSite(fn, second, shift, frame));
    }
  }

  /** Looks the guest address in `target` up in the jump cache; falls through when it is not there. */
  #probe(record: number, pcDelta: number, target: number, next: number): void {
    const fn = this.#fn;
    const entry = record;
    const { alignment } = this.#isa;
    fn.localGet(target);
    fn.op('i32.wrap_i64');
    fn.i32Const(Math.log2(PAGE_SIZE / JUMP_CACHE_ENTRY_SIZE));
    fn.op('i32.shr_u');
    fn.i32Const((JUMP_CACHE_ENTRIES - 1) * JUMP_CACHE_ENTRY_SIZE);
    fn.op('i32.and');
    fn.localTee(entry);
    fn.load('i64.load', { offset: JUMP_CACHE });
    // A misaligned target keeps its low bits here and so is never found.
    fn.localGet(target);
    fn.i64Const(-PAGE_SIZE + alignment - 1);
    fn.op('i64.and');
    fn.localTee(pcDelta);
    fn.op('i64.eq');
    const hit = fn.if();
    fn.localGet(pcDelta);
    fn.localGet(entry);
    fn.load('i32.load', { offset: JUMP_CACHE + 8 });
    fn.localTee(record);
    this.#enterPage(record, pcDelta, target);
    fn.br(next);
    fn.end(hit);
  }

  /** The same by the first-level TLB, whose entry for the page says what has been decoded from it. */
  #probeTlb(record: number, pcDelta: number, target: number, next: number): void {
    const fn = this.#fn;
    const entry = record;
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.fetchTlb });
    fn.localGet(target);
    fn.op('i32.wrap_i64');
    fn.i32Const(Math.log2(PAGE_SIZE / TLB_ENTRY_SIZE));
    fn.op('i32.shr_u');
    fn.i32Const((TLB_ENTRIES - 1) * TLB_ENTRY_SIZE);
    fn.op('i32.and');
    fn.op('i32.add');
    fn.localTee(entry);
    fn.load('i64.load', { offset: TlbEntry.execute });
    fn.localGet(target);
    fn.i64Const(-PAGE_SIZE + this.#isa.alignment - 1);
    fn.op('i64.and');
    fn.localTee(pcDelta);
    fn.op('i64.eq');
    const mapped = fn.if();
    fn.localGet(entry);
    fn.load('i32.load', { offset: TlbEntry.code });
    fn.localTee(record);
    const decoded = fn.if();
    fn.localGet(pcDelta);
    fn.localGet(record);
    this.#enterPage(record, pcDelta, target);
    fn.br(next);
    fn.end(decoded);
    fn.end(mapped);
  }

  /** With the page's guest address and its records, which are in `record` too, on the stack: makes both locals those of the target. */
  #enterPage(record: number, pcDelta: number, target: number): void {
    const fn = this.#fn;
    const { shift } = this.#layout;
    fn.i32Const(shift);
    fn.op('i32.shr_u');
    fn.op('i64.extend_i32_u');
    fn.op('i64.sub');
    fn.localSet(pcDelta);
    fn.localGet(record);
    fn.localGet(target);
    fn.op('i32.wrap_i64');
    fn.i32Const(PAGE_SIZE - 1);
    fn.op('i32.and');
    fn.i32Const(shift);
    fn.op('i32.shl');
    fn.op('i32.add');
    fn.localSet(record);
  }

  #loadFrame(name: 'i32.load' | 'i64.load', address: number, local: number): void {
    this.#fn.i32Const(0);
    this.#fn.load(name, { offset: address });
    this.#fn.localSet(local);
  }

  #storeFrame(name: 'i32.store' | 'i64.store', address: number, local: number): void {
    this.#fn.i32Const(0);
    this.#fn.localGet(local);
    this.#fn.store(name, { offset: address });
  }
}
