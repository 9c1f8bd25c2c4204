import { assert, CHECK, CheckLevel } from '../../check/assert.ts';
import type { Op } from '../../ir/block.ts';
import { rememberExecuted } from '../../isa/executed.ts';
import type { Isa } from '../../isa/instruction.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import { keptBytes } from '../../wasm/kept-modules.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { HOST_FUSES } from '../host-fuses.ts';
import { Lowering } from '../lower.ts';
import { FlatMemoryPath, type MemoryPath } from '../memory-path.ts';
import { Runtime, type RuntimeOptions } from '../runtime.ts';
import { importTlbSlowPaths, TlbMemoryPath } from '../tlb-path.ts';
import { sequenceName, type Case } from './case.ts';
import { CaseTable } from './case-table.ts';
import { FunctionSite } from './case-site.ts';
import { EarlyState, Frame } from './frame.ts';
import { type InterpreterTables, keptTables } from './kept-tables.ts';
import { EARLY_EXIT, MainFunction } from './main-function.ts';
import { MACHINE_SEQUENCES } from './machine-sequences.ts';
import { COMMON_TWINS, MACHINE_TWINS, PROGRAM_SEQUENCES } from './sequences.ts';
import { ENTRY_BIT, FIRST_CASE, PageLayout, RecordField } from './record.ts';
import { RecordEncoder } from './record-encoder.ts';
import { RecordTemplates } from './record-templates.ts';

const { i32 } = ValType;

/** The interpreter of one ISA as modules, to be instantiated for each vCPU. */
export interface InterpreterModule {
  /** Exports `run`, and the table `twins` of the cases' own functions. */
  readonly module: WebAssembly.Module;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly table: CaseTable;
  readonly encoder: RecordEncoder;
  readonly templates: RecordTemplates;
  /** As the ISA's, by templates. */
  readonly decodeExecuted: Isa['decodeExecuted'];
  /** See RecordTemplates, of the encoding at an offset. */
  readonly classAt: (bytes: Uint8Array, offset: number) => number;
  readonly layout: PageLayout;
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
    made = generateInterpreter(isa, options, `${isa.name} ${key} ${HOST_FUSES ? 'fusing' : 'rounding'}`);
    ofIsa.set(key, made);
  }
  return made;
}

/**
 * Exports `run() -> i32`, which runs from the frame's record until its budget is used up or something needs the outside. Twins are made when
 * first called, which a program does to a few dozen of the 489 of RISC-V: generating all took more than half of the time. Those that hardly
 * a program does without are there from the start: alone each would be a module, for a millisecond.
 *
 * `keptAs` is what the module is called where modules are kept between processes (wasm/kept-modules.ts); without it none is looked for.
 */
export function generateInterpreter(isa: Isa, options: RuntimeOptions, keptAs?: string): InterpreterModule {
  const { layout, table, encoder, templates, decodeExecuted } =
    keptAs === undefined ? makeTables(isa) : sharedTables(isa);
  assert(FIRST_CASE + table.count < ENTRY_BIT, 'the number of a case leaves the entry bit free');
  const write = () => {
    const written = writeInterpreter(isa, options, layout, table);
    table.forget();
    return written;
  };
  const bytes = keptAs === undefined ? write() : keptBytes(keptAs, write);
  const twins = new Map<Case, TwinModule>();
  const twin = (op: number): TwinModule => {
    const which = table.caseOf(op);
    let made = twins.get(which);
    if (made === undefined) {
      made = twinModule(isa, options, which, layout.shift);
      twins.set(which, made);
    }
    return made;
  };
  return {
    module: new WebAssembly.Module(bytes),
    bytes,
    table,
    encoder,
    templates,
    decodeExecuted,
    classAt: (bytes, offset) => {
      const word = isa.wordAt?.(bytes, offset);
      return word === undefined ? 0 : templates.classOf(word);
    },
    layout,
    twin,
  };
}

interface Tables {
  readonly layout: PageLayout;
  readonly table: CaseTable;
  readonly encoder: RecordEncoder;
  readonly templates: RecordTemplates;
  readonly decodeExecuted: Isa['decodeExecuted'];
}

const tables = new WeakMap<Isa, Tables>();

/** Neither cases nor records depend on how memory is reached. */
function sharedTables(isa: Isa): Tables {
  let shared = tables.get(isa);
  if (shared === undefined) {
    const kept = CHECK >= CheckLevel.full ? undefined : keptTables.lookUp(isa.name);
    shared = makeTables(isa, kept);
    tables.set(isa, shared);
    const { table, templates } = shared;
    keptTables.made.set(isa.name, () => {
      templates.complete();
      return { numbering: table.numbering, templates: templates.numbers };
    });
  }
  return shared;
}

function makeTables(isa: Isa, kept?: InterpreterTables): Tables {
  const sequences = new Set([...(MACHINE_SEQUENCES[isa.name] ?? []), ...(PROGRAM_SEQUENCES[isa.name] ?? [])]);
  const table = new CaseTable(isa, [...sequences], kept?.numbering);
  const layout = new PageLayout(isa);
  const encoder = new RecordEncoder(isa, layout, table);
  const templates = new RecordTemplates(isa, encoder, kept?.templates);
  return { layout, table, encoder, templates, decodeExecuted: executedDecoder(isa, templates) };
}

function executedDecoder(isa: Isa, templates: RecordTemplates): Isa['decodeExecuted'] {
  const { wordAt, decodeExecuted } = isa;
  if (wordAt === undefined) return decodeExecuted;
  const byTemplate = rememberExecuted(wordAt, (word) => templates.executed(word));
  return (bytes, offset) => byTemplate(bytes, offset) ?? decodeExecuted(bytes, offset);
}

/** The module's bytes. */
function writeInterpreter(
  isa: Isa,
  options: RuntimeOptions,
  layout: PageLayout,
  cases: CaseTable,
): Uint8Array<ArrayBuffer> {
  const { all, sequences } = cases;
  // The case that records begin with, from FIRST_CASE on.
  const byOp = [...all, ...sequences.map(({ cases: [first] }) => first!)];
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full });
  const runtime = new Runtime(module, isa, options);
  const memory = memoryPath(module, options);
  const prepareTwin = module.importFunction('env', 'prepareTwin', [i32], []);
  const table = module.table({ initial: byOp.length, maximum: byOp.length });
  const twinType = module.type([i32], [i32]);
  const missing = missingTwin(module, prepareTwin, twinType, table);
  const machine = options.translated === true ? (MACHINE_TWINS[isa.name] ?? []) : [];
  const common = new Set([...(COMMON_TWINS[isa.name] ?? []), ...machine]);
  const commonTwin = (which: Case) => writeTwin(module, which, layout.shift, memory, runtime);
  module.elementSegment(
    table,
    0,
    byOp.map((which) => (common.has(which.key) ? commonTwin(which) : missing)),
  );
  assert(runtime.floatOps.length === 0, 'common twins compute no floating-point numbers exactly');
  module.exportTable('twins', table);
  const parts = { isa, cases: all, sequences, layout, memory, runtime, table, twinType };
  const { translated = false } = options;
  const held = new Set((translated ? MACHINE_SEQUENCES : PROGRAM_SEQUENCES)[isa.name]);
  const main = module.function('main', [], [i32]);
  new MainFunction(main, parts, { holds: (sequence) => held.has(sequenceName(sequence)), isEarly: false }).write();
  const early = module.function('early', [], [i32]);
  new MainFunction(early, parts, { holds: () => false, isEarly: true }).write();
  module.exportFunction('run', eitherOf(module, early, main));
  return module.encode({ names: true });
}

/** Goes on in the function that the frame says, and from the early one in the main one as soon as that is needed. */
function eitherOf(module: ModuleBuilder, early: FunctionBuilder, main: FunctionBuilder): FunctionBuilder {
  const fn = module.function('run', [], [i32]);
  const reason = fn.local(i32);
  fn.i32Const(0);
  fn.load('i32.load', { offset: Frame.early });
  fn.i32Const(EarlyState.early);
  fn.op('i32.eq');
  const isEarly = fn.if();
  fn.call(early);
  fn.localTee(reason);
  fn.i32Const(EARLY_EXIT);
  fn.op('i32.ne');
  const isDone = fn.if();
  fn.localGet(reason);
  fn.return();
  fn.end(isDone);
  fn.i32Const(0);
  fn.i32Const(EarlyState.over);
  fn.store('i32.store', { offset: Frame.early });
  fn.end(isEarly);
  fn.call(main);
  return fn;
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
  module.exportFunction('twin', writeTwin(module, which, shift, memory, runtime));
  return { module: new WebAssembly.Module(module.encode({ names: true })), floatOps: runtime.floatOps };
}

function writeTwin(module: ModuleBuilder, which: Case, shift: number, memory: MemoryPath, runtime: Runtime) {
  const fn = module.function(which.row.name, [i32], [i32]);
  // A helper may change how instructions are fetched.
  const refetches = runtime.options.translated === true && which.block.ops.some(({ name }) => name === 'call');
  new Lowering(which.block, new FunctionSite(fn, which, shift, refetches), memory, runtime).run();
  return fn;
}
