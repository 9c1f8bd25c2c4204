import { ExternalKind, Section } from './binary-format.ts';
import { fail } from './error.ts';
import { FunctionBuilder, functionIndex } from './function.ts';
import type { Callee, FunctionIndex } from './function.ts';
import { ByteBuffer, u32Length } from './leb128.ts';
import { opcode } from './opcode.ts';
import { ValType, valTypeName } from './type.ts';
import type { FunctionType, Limits, MemoryType, TableType } from './type.ts';
import { FunctionValidator } from './validate.ts';
import type { ModuleContext } from './validate.ts';

export interface ModuleOptions {
  /** Type-check every instruction as it is written (CHECK full): the first error is thrown with its op and offset. */
  readonly check?: boolean;
}

export interface EncodeOptions {
  /** Write function names to the name section. */
  readonly names?: boolean;
}

/** A global's initial value: an f64 or f32 number, an i32 number, an i64 bigint or number, or an imported global to copy. */
export type GlobalInit = number | bigint | { readonly global: number };

const MAGIC_AND_VERSION = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const FUNCTION_TYPE = 0x60;
const NAME_SUBSECTION_FUNCTIONS = 1;
/** The custom section of branch hints (Branch Hinting proposal). */
export const BRANCH_HINTS = 'metadata.code.branch_hint';

/** Builds one WebAssembly module. Entries go straight to section buffers; the order of calls is the order of indices. */
export class ModuleBuilder {
  private readonly types: FunctionType[] = [];
  private readonly functionTypes: number[] = [];
  private readonly functionNames: string[] = [];
  private readonly functions: FunctionBuilder[] = [];
  private readonly tables: TableType[] = [];
  private readonly memories: MemoryType[] = [];
  private readonly globals: { type: ValType; mutable: boolean }[] = [];
  private readonly exportNames = new Set<string>();
  private readonly importSection = new Entries();
  private readonly tableSection = new Entries();
  private readonly memorySection = new Entries();
  private readonly globalSection = new Entries();
  private readonly exportSection = new Entries();
  private readonly elementSection = new Entries();
  private readonly dataSection = new Entries();
  private startFunction: FunctionIndex | undefined = undefined;
  private readonly context: ModuleContext | undefined;

  constructor(options: ModuleOptions = {}) {
    this.context = options.check === true ? this : undefined;
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
    if (this.memorySection.count > 0) fail(`import ${module}.${name} comes after a memory of the module`);
    writeMemoryType(this.importEntry(module, name, ExternalKind.memory), type);
    return this.memories.push(type) - 1;
  }

  importTable(module: string, name: string, type: TableType): number {
    if (this.tableSection.count > 0) fail(`import ${module}.${name} comes after a table of the module`);
    writeTableType(this.importEntry(module, name, ExternalKind.table), type);
    return this.tables.push(type) - 1;
  }

  importGlobal(module: string, name: string, type: ValType, mutable: boolean): number {
    if (this.globalSection.count > 0) fail(`import ${module}.${name} comes after a global of the module`);
    const entry = this.importEntry(module, name, ExternalKind.global);
    entry.byte(type);
    entry.byte(mutable ? 1 : 0);
    return this.globals.push({ type, mutable }) - 1;
  }

  memory(type: MemoryType): number {
    this.memorySection.count++;
    writeMemoryType(this.memorySection, type);
    return this.memories.push(type) - 1;
  }

  table(type: TableType): number {
    this.tableSection.count++;
    writeTableType(this.tableSection, type);
    return this.tables.push(type) - 1;
  }

  global(type: ValType, mutable: boolean, init: GlobalInit): number {
    const section = this.globalSection;
    section.count++;
    section.byte(type);
    section.byte(mutable ? 1 : 0);
    writeInit(section, type, init);
    return this.globals.push({ type, mutable }) - 1;
  }

  /** Starts a function; its index holds at once, so that functions can call each other in any order. `codeBytes`: room to begin with. */
  function(name: string, params: readonly ValType[], results: readonly ValType[], codeBytes?: number): FunctionBuilder {
    const typeIndex = this.type(params, results);
    const index = this.functionTypes.push(typeIndex) - 1;
    const type = this.types[typeIndex]!;
    const validator = this.context === undefined ? undefined : new FunctionValidator(name, type, this.context);
    const builder = new FunctionBuilder(name, index, typeIndex, type, validator, codeBytes);
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
    const section = this.elementSection;
    // Flag 2 names the table; flag 0 is the shorter form for table 0.
    section.u32(table === 0 ? 0 : 2);
    if (table !== 0) section.u32(table);
    writeInit(section, ValType.i32, offset);
    if (table !== 0) section.byte(0);
    section.u32(functions.length);
    for (const fn of functions) section.u32(functionIndex(fn));
    return section.count++;
  }

  /** Declares functions that `ref.func` may name without placing them anywhere; also usable by `table.init`. */
  passiveElementSegment(functions: readonly Callee[]): number {
    const section = this.elementSection;
    section.u32(1);
    section.byte(0);
    section.u32(functions.length);
    for (const fn of functions) section.u32(functionIndex(fn));
    return section.count++;
  }

  /** Copies bytes to memory 0 at instantiation, at `offset`; without one, keeps them for `memory.init`. */
  dataSegment(bytes: Uint8Array, offset?: number): number {
    const section = this.dataSection;
    section.u32(offset === undefined ? 1 : 0);
    if (offset !== undefined) writeInit(section, ValType.i32, offset);
    section.vector(bytes);
    return section.count++;
  }

  /** Instructions of all functions so far: an exact counter. */
  get operators(): number {
    let sum = 0;
    for (const fn of this.functions) sum += fn.operators;
    return sum;
  }

  /** Finishes every function and returns the binary. */
  encode(options: EncodeOptions = {}): Uint8Array<ArrayBuffer> {
    for (const fn of this.functions) fn.finish();
    const out = new ByteBuffer(this.sizeEstimate());
    out.append(MAGIC_AND_VERSION);
    this.encodeTypes(out);
    writeSection(out, Section.import, this.importSection);
    if (this.functions.length > 0) this.encodeFunctions(out);
    writeSection(out, Section.table, this.tableSection);
    writeSection(out, Section.memory, this.memorySection);
    writeSection(out, Section.global, this.globalSection);
    writeSection(out, Section.export, this.exportSection);
    if (this.startFunction !== undefined) {
      const slot = openSection(out, Section.start);
      out.u32(this.startFunction);
      out.closeSlot(slot);
    }
    writeSection(out, Section.element, this.elementSection);
    if (this.dataSection.count > 0) {
      const slot = openSection(out, Section.dataCount);
      out.u32(this.dataSection.count);
      out.closeSlot(slot);
    }
    this.encodeHints(out);
    if (this.functions.length > 0) this.encodeCode(out);
    writeSection(out, Section.data, this.dataSection);
    if (options.names === true) this.encodeNames(out);
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

  globalAt(index: number): { readonly type: ValType; readonly mutable: boolean } | undefined {
    return this.globals[index];
  }

  tableAt(index: number): TableType | undefined {
    return this.tables[index];
  }

  memoryAt(index: number): MemoryType | undefined {
    return this.memories[index];
  }

  private importEntry(module: string, name: string, kind: number): ByteBuffer {
    const section = this.importSection;
    section.count++;
    section.name(module);
    section.name(name);
    section.byte(kind);
    return section;
  }

  private exportEntry(name: string, kind: number, index: number, count: number): void {
    if (index >>> 0 >= count) fail(`export ${name}: index ${index} is not there`);
    if (this.exportNames.has(name)) fail(`export ${name} given twice`);
    this.exportNames.add(name);
    const section = this.exportSection;
    section.count++;
    section.name(name);
    section.byte(kind);
    section.u32(index);
  }

  private sizeEstimate(): number {
    let size = 256 + this.importSection.length + this.exportSection.length + this.elementSection.length;
    size += this.dataSection.length;
    for (const fn of this.functions) size += fn.byteLength + 32;
    return size;
  }

  private encodeTypes(out: ByteBuffer): void {
    if (this.types.length === 0) return;
    const slot = openSection(out, Section.type);
    out.u32(this.types.length);
    for (const type of this.types) {
      out.byte(FUNCTION_TYPE);
      writeValTypes(out, type.params);
      writeValTypes(out, type.results);
    }
    out.closeSlot(slot);
  }

  private encodeFunctions(out: ByteBuffer): void {
    const slot = openSection(out, Section.function);
    out.u32(this.functions.length);
    for (const fn of this.functions) out.u32(fn.typeIndex);
    out.closeSlot(slot);
  }

  /** Branch Hinting proposal, "Binary Format": before the code. */
  private encodeHints(out: ByteBuffer): void {
    const hinted = this.functions.filter(({ hasHints }) => hasHints);
    if (hinted.length === 0) return;
    const slot = openSection(out, Section.custom);
    out.name(BRANCH_HINTS);
    out.u32(hinted.length);
    for (const fn of hinted) fn.encodeHintsTo(out);
    out.closeSlot(slot);
  }

  private encodeCode(out: ByteBuffer): void {
    const slot = openSection(out, Section.code);
    out.u32(this.functions.length);
    for (const fn of this.functions) {
      const size = out.slot();
      fn.encodeTo(out);
      out.closeSlot(size);
    }
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

function isSame(a: readonly ValType[], b: readonly ValType[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

/** The entries of one section, counted. */
class Entries extends ByteBuffer {
  count = 0;

  constructor() {
    super(0);
  }
}

function openSection(out: ByteBuffer, id: number): number {
  out.byte(id);
  return out.slot();
}

function writeSection(out: ByteBuffer, id: number, entries: Entries): void {
  if (entries.count === 0) return;
  out.byte(id);
  out.u32(u32Length(entries.count) + entries.length);
  out.u32(entries.count);
  out.appendBuffer(entries);
}

function writeValTypes(out: ByteBuffer, types: readonly ValType[]): void {
  out.u32(types.length);
  for (const type of types) out.byte(type);
}

function writeMemoryType(out: ByteBuffer, type: MemoryType): void {
  const shared = type.shared === true;
  if (shared && type.maximum === undefined) fail('a shared memory must state its maximum');
  writeLimits(out, type, shared ? 2 : 0);
}

function writeTableType(out: ByteBuffer, type: TableType): void {
  out.byte(type.element ?? ValType.funcref);
  writeLimits(out, type, 0);
}

function writeLimits(out: ByteBuffer, limits: Limits, flags: number): void {
  const { initial, maximum } = limits;
  if (maximum !== undefined && maximum < initial) fail(`limits: maximum ${maximum} is below initial ${initial}`);
  out.byte(flags | (maximum === undefined ? 0 : 1));
  out.u32(initial);
  if (maximum !== undefined) out.u32(maximum);
}

function writeInit(out: ByteBuffer, type: ValType, init: GlobalInit): void {
  if (typeof init === 'object') {
    out.byte(opcode['global.get'].code);
    out.u32(init.global);
  } else {
    writeConstant(out, type, init);
  }
  out.byte(opcode.end.code);
}

function writeConstant(out: ByteBuffer, type: ValType, value: number | bigint): void {
  switch (type) {
    case ValType.i32:
      out.byte(opcode['i32.const'].code);
      out.s32(Number(value));
      break;
    case ValType.i64:
      out.byte(opcode['i64.const'].code);
      out.s64(BigInt(value));
      break;
    case ValType.f32:
      out.byte(opcode['f32.const'].code);
      out.f32(Number(value));
      break;
    case ValType.f64:
      out.byte(opcode['f64.const'].code);
      out.f64(Number(value));
      break;
    default:
      fail(`a global of type ${valTypeName(type)} takes no initial number`);
  }
}
