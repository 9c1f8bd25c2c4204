import { ExternalKind, Section } from './binary-format.ts';
import { fail } from './error.ts';
import { FunctionBuilder, functionIndex } from './function.ts';
import type { Callee, FunctionIndex } from './function.ts';
import { ByteBuffer } from './leb128.ts';
import { type IndexSpaces, ModuleModel, type SharedFunctions } from './module-model.ts';
import {
  Entries,
  type GlobalInit,
  openSection,
  writeInit,
  writeMemoryType,
  writeSection,
  writeTableType,
  writeValTypes,
} from './section.ts';
import { ValType } from './type.ts';
import type { FunctionType, GlobalType, MemoryType, TableType } from './type.ts';
import { FunctionValidator } from './validate.ts';
import type { ModuleContext } from './validate.ts';

export interface ModuleOptions {
  /** Type-check every instruction as it is written (CHECK full): the first error is thrown with its op and offset. */
  readonly check?: boolean;
  /** What the module begins with; nothing is imported beyond that. */
  readonly model?: ModuleModel;
}

export interface EncodeOptions {
  /** Write function names to the name section. */
  readonly names?: boolean;
}

const MAGIC_AND_VERSION = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const FUNCTION_TYPE = 0x60;
const NAME_SUBSECTION_FUNCTIONS = 1;
/** The custom section of branch hints (Branch Hinting proposal). */
export const BRANCH_HINTS = 'metadata.code.branch_hint';
const NO_SPACES: IndexSpaces = {
  types: [],
  functionTypes: [],
  functionNames: [],
  tables: [],
  memories: [],
  globals: [],
};
const NO_FUNCTIONS: SharedFunctions = { count: 0, types: new Uint8Array(), bodies: new Uint8Array() };
/** Most blocks of guest code fit; doubling from less costs more than the room. */
const INITIAL_CODE_BYTES = 1024;
const HINTS_NAME = encodedName(BRANCH_HINTS);

/** Builds one WebAssembly module. Entries go straight to section buffers; the order of calls is the order of indices. */
export class ModuleBuilder {
  private readonly types: FunctionType[];
  private readonly functionTypes: number[];
  private readonly functionNames: string[];
  private readonly functions: FunctionBuilder[] = [];
  private readonly tables: TableType[];
  private readonly memories: MemoryType[];
  private readonly globals: GlobalType[];
  private readonly exportNames: string[] = [];
  /** By their identifiers; most modules have few. */
  private readonly sections: (Entries | undefined)[] = [];
  private startFunction: FunctionIndex | undefined = undefined;
  private readonly context: ModuleContext | undefined;
  private readonly model: ModuleModel | undefined;
  private isSpent = false;

  constructor(options: ModuleOptions = {}) {
    const { model } = options;
    this.context = options.check === true ? this : undefined;
    this.model = model;
    const { types, functionTypes, functionNames, tables, memories, globals } = model?.spaces ?? NO_SPACES;
    this.types = types.slice();
    this.functionTypes = functionTypes.slice();
    this.functionNames = functionNames.slice();
    this.tables = tables.slice();
    this.memories = memories.slice();
    this.globals = globals.slice();
  }

  /** What is imported so far, and the functions there are, for other modules to begin with. */
  asModel(): ModuleModel {
    const imports = new ByteBuffer();
    writeSection(imports, Section.import, this.sections[Section.import]);
    const types = new ByteBuffer();
    this.encodeTypes(types);
    const { functionTypes, functionNames, tables, memories, globals } = this;
    const spaces = { types: this.types, functionTypes, functionNames, tables, memories, globals };
    return new ModuleModel(spaces, types.toBytes(), imports.toBytes(), this.sharedFunctions());
  }

  private sharedFunctions(): SharedFunctions {
    const types = new ByteBuffer();
    const bodies = new ByteBuffer();
    for (const fn of this.functions) {
      fn.finish();
      if (fn.hasHints) fail(`a model has the function ${fn.name} with branch hints`);
      types.u32(fn.typeIndex);
      writeBody(bodies, fn);
    }
    return { count: this.functions.length, types: types.toBytes(), bodies: bodies.toBytes() };
  }

  /** The index of a function type, interned. */
  type(params: readonly ValType[], results: readonly ValType[]): number {
    // Modules have few.
    for (let index = 0; index < this.types.length; index++) {
      const known = this.types[index]!;
      if (isSame(known.params, params) && isSame(known.results, results)) return index;
    }
    return this.types.push({ params: [...params], results: [...results] }) - 1;
  }

  importFunction(module: string, name: string, params: readonly ValType[], results: readonly ValType[]): FunctionIndex {
    if (this.functions.length > 0) fail(`import ${module}.${name} comes after the function ${this.functions[0]!.name}`);
    const type = this.type(params, results);
    this.importEntry(module, name, ExternalKind.function).u32(type);
    this.functionNames.push(name);
    return this.functionTypes.push(type) - 1;
  }

  importMemory(module: string, name: string, type: MemoryType): number {
    if (this.sections[Section.memory] !== undefined)
      fail(`import ${module}.${name} comes after a memory of the module`);
    writeMemoryType(this.importEntry(module, name, ExternalKind.memory), type);
    return this.memories.push(type) - 1;
  }

  importTable(module: string, name: string, type: TableType): number {
    if (this.sections[Section.table] !== undefined) fail(`import ${module}.${name} comes after a table of the module`);
    writeTableType(this.importEntry(module, name, ExternalKind.table), type);
    return this.tables.push(type) - 1;
  }

  importGlobal(module: string, name: string, type: ValType, mutable: boolean): number {
    if (this.sections[Section.global] !== undefined)
      fail(`import ${module}.${name} comes after a global of the module`);
    const entry = this.importEntry(module, name, ExternalKind.global);
    entry.byte(type);
    entry.byte(mutable ? 1 : 0);
    return this.globals.push({ type, mutable }) - 1;
  }

  memory(type: MemoryType): number {
    writeMemoryType(this.entry(Section.memory), type);
    return this.memories.push(type) - 1;
  }

  table(type: TableType): number {
    writeTableType(this.entry(Section.table), type);
    return this.tables.push(type) - 1;
  }

  global(type: ValType, mutable: boolean, init: GlobalInit): number {
    const section = this.entry(Section.global);
    section.byte(type);
    section.byte(mutable ? 1 : 0);
    writeInit(section, type, init);
    return this.globals.push({ type, mutable }) - 1;
  }

  /** Starts a function; its index holds at once, so that functions can call each other in any order. */
  function(name: string, params: readonly ValType[], results: readonly ValType[]): FunctionBuilder {
    const typeIndex = this.type(params, results);
    const index = this.functionTypes.push(typeIndex) - 1;
    const type = this.types[typeIndex]!;
    const validator = this.context === undefined ? undefined : new FunctionValidator(name, type, this.context);
    const code = this.model?.lendCode() ?? new ByteBuffer(INITIAL_CODE_BYTES);
    const builder = new FunctionBuilder(name, index, typeIndex, type, validator, code);
    this.functionNames.push(name);
    this.functions.push(builder);
    return builder;
  }

  exportFunction(name: string, fn: Callee): void {
    this.exportEntry(name, ExternalKind.function, functionIndex(fn), this.functionTypes.length);
  }

  exportMemory(name: string, memory: number = 0): void {
    this.exportEntry(name, ExternalKind.memory, memory, this.memories.length);
  }

  exportTable(name: string, table: number = 0): void {
    this.exportEntry(name, ExternalKind.table, table, this.tables.length);
  }

  exportGlobal(name: string, global: number): void {
    this.exportEntry(name, ExternalKind.global, global, this.globals.length);
  }

  /** The function run at instantiation: no parameters, no results. */
  start(fn: Callee): void {
    this.startFunction = functionIndex(fn);
  }

  /** Puts functions into a table from `offset` on at instantiation. Returns the segment's index. */
  elementSegment(table: number, offset: number, functions: readonly Callee[]): number {
    if (table >>> 0 >= this.tables.length) fail(`element segment for table ${table}, which is not there`);
    const section = this.entry(Section.element);
    // Flag 2 names the table; flag 0 is the shorter form for table 0.
    section.u32(table === 0 ? 0 : 2);
    if (table !== 0) section.u32(table);
    writeInit(section, ValType.i32, offset);
    if (table !== 0) section.byte(0);
    section.u32(functions.length);
    for (const fn of functions) section.u32(functionIndex(fn));
    return this.sections[Section.element]!.count - 1;
  }

  /** Declares functions that `ref.func` may name without placing them anywhere; also usable by `table.init`. */
  passiveElementSegment(functions: readonly Callee[]): number {
    const section = this.entry(Section.element);
    section.u32(1);
    section.byte(0);
    section.u32(functions.length);
    for (const fn of functions) section.u32(functionIndex(fn));
    return this.sections[Section.element]!.count - 1;
  }

  /** Copies bytes to memory 0 at instantiation, at `offset`; without one, keeps them for `memory.init`. */
  dataSegment(bytes: Uint8Array, offset?: number): number {
    const section = this.entry(Section.data);
    section.u32(offset === undefined ? 1 : 0);
    if (offset !== undefined) writeInit(section, ValType.i32, offset);
    section.vector(bytes);
    return this.sections[Section.data]!.count - 1;
  }

  /** Instructions of all functions so far: an exact counter. */
  get operators(): number {
    let sum = 0;
    for (const fn of this.functions) sum += fn.operators;
    return sum;
  }

  /** Finishes every function and returns the binary; once only where there is a model, which then lends its room to others. */
  encode(options: EncodeOptions = {}): Uint8Array<ArrayBuffer> {
    if (this.isSpent) fail('a module with a model is encoded twice');
    for (let index = 0; index < this.functions.length; index++) this.functions[index]!.finish();
    const out = this.model === undefined ? new ByteBuffer(this.sizeEstimate()) : this.model.out;
    out.length = 0;
    out.append(MAGIC_AND_VERSION);
    this.encodeTypes(out);
    if (this.model === undefined) this.encodeSection(out, Section.import);
    else out.append(this.model.imports);
    const shared = this.model?.functions ?? NO_FUNCTIONS;
    const hasFunctions = this.functions.length + shared.count > 0;
    if (hasFunctions) this.encodeFunctions(out, shared);
    this.encodeSection(out, Section.table);
    this.encodeSection(out, Section.memory);
    this.encodeSection(out, Section.global);
    this.encodeSection(out, Section.export);
    if (this.startFunction !== undefined) {
      const slot = openSection(out, Section.start);
      out.u32(this.startFunction);
      out.closeSlot(slot);
    }
    this.encodeSection(out, Section.element);
    const data = this.sections[Section.data];
    if (data !== undefined) {
      const slot = openSection(out, Section.dataCount);
      out.u32(data.count);
      out.closeSlot(slot);
    }
    this.encodeHints(out);
    if (hasFunctions) this.encodeCode(out, shared);
    this.encodeSection(out, Section.data);
    if (options.names === true) this.encodeNames(out);
    if (this.model !== undefined) {
      this.isSpent = true;
      if (this.functions.length > 0) this.model.takeCode(this.functions[0]!.code);
    }
    return out.toBytes();
  }

  /** The types and kinds that a validator asks for; undefined when the index is out of range. */
  typeAt(index: number): FunctionType | undefined {
    return this.types[index];
  }

  functionTypeAt(index: FunctionIndex): FunctionType | undefined {
    const type = this.functionTypes[index];
    return type === undefined ? undefined : this.types[type];
  }

  globalAt(index: number): GlobalType | undefined {
    return this.globals[index];
  }

  tableAt(index: number): TableType | undefined {
    return this.tables[index];
  }

  memoryAt(index: number): MemoryType | undefined {
    return this.memories[index];
  }

  private importEntry(module: string, name: string, kind: number): ByteBuffer {
    if (this.model !== undefined) fail(`import ${module}.${name} is not the model's`);
    const section = this.entry(Section.import);
    section.name(module);
    section.name(name);
    section.byte(kind);
    return section;
  }

  private exportEntry(name: string, kind: number, index: number, count: number): void {
    if (index >>> 0 >= count) fail(`export ${name}: index ${index} is not there`);
    if (this.exportNames.includes(name)) fail(`export ${name} given twice`);
    this.exportNames.push(name);
    const section = this.entry(Section.export);
    section.name(name);
    section.byte(kind);
    section.u32(index);
  }

  /** Where one more entry of a section comes to. */
  private entry(id: number): ByteBuffer {
    const section = (this.sections[id] ??= new Entries());
    section.count++;
    return section.bytes;
  }

  private encodeSection(out: ByteBuffer, id: number): void {
    writeSection(out, id, this.sections[id]);
  }

  private sizeEstimate(): number {
    let size = 256;
    for (const section of this.sections) size += section?.bytes.length ?? 0;
    for (const fn of this.functions) size += fn.byteLength + 32;
    return size;
  }

  private encodeTypes(out: ByteBuffer): void {
    if (this.types.length === 0) return;
    // A model's types come first.
    const { model } = this;
    if (model !== undefined && this.types.length === model.spaces.types.length) return out.append(model.types);
    const slot = openSection(out, Section.type);
    out.u32(this.types.length);
    for (const type of this.types) {
      out.byte(FUNCTION_TYPE);
      writeValTypes(out, type.params);
      writeValTypes(out, type.results);
    }
    out.closeSlot(slot);
  }

  private encodeFunctions(out: ByteBuffer, shared: SharedFunctions): void {
    const slot = openSection(out, Section.function);
    out.u32(shared.count + this.functions.length);
    out.append(shared.types);
    for (const fn of this.functions) out.u32(fn.typeIndex);
    out.closeSlot(slot);
  }

  /** Branch Hinting proposal, "Binary Format": before the code. */
  private encodeHints(out: ByteBuffer): void {
    let hinted = 0;
    for (let index = 0; index < this.functions.length; index++) if (this.functions[index]!.hasHints) hinted++;
    if (hinted === 0) return;
    const slot = openSection(out, Section.custom);
    out.append(HINTS_NAME);
    out.u32(hinted);
    for (let index = 0; index < this.functions.length; index++) {
      const fn = this.functions[index]!;
      if (fn.hasHints) fn.encodeHintsTo(out);
    }
    out.closeSlot(slot);
  }

  private encodeCode(out: ByteBuffer, shared: SharedFunctions): void {
    const slot = openSection(out, Section.code);
    out.u32(shared.count + this.functions.length);
    out.append(shared.bodies);
    for (const fn of this.functions) writeBody(out, fn);
    out.closeSlot(slot);
  }

  /** Core specification 2.0, Custom Sections, "Name Section". */
  private encodeNames(out: ByteBuffer): void {
    const slot = openSection(out, Section.custom);
    out.name('name');
    out.byte(NAME_SUBSECTION_FUNCTIONS);
    const subsection = out.slot();
    out.u32(this.functionNames.length);
    for (let index = 0; index < this.functionNames.length; index++) {
      out.u32(index);
      out.name(this.functionNames[index]!);
    }
    out.closeSlot(subsection);
    out.closeSlot(slot);
  }
}

function writeBody(out: ByteBuffer, fn: FunctionBuilder): void {
  const size = out.slot();
  fn.encodeTo(out);
  out.closeSlot(size);
}

function encodedName(name: string): Uint8Array {
  const bytes = new ByteBuffer();
  bytes.name(name);
  return bytes.toBytes();
}

function isSame(a: readonly ValType[], b: readonly ValType[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
