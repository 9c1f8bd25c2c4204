import { BinaryReader } from './binary-reader.ts';
import { ExternalKind, Section } from './binary-format.ts';
import { formatInstruction, readInstruction } from './instruction.ts';
import { formatFunctionType, valTypeName } from './type.ts';
import type { FunctionType, ValType } from './type.ts';

/** Deeper blocks are not indented further: the text stays linear in the size of the binary. */
const MAXIMUM_INDENT = 40;
/** Longer function types are written once, with their index: otherwise many functions could repeat a huge one. */
const MAXIMUM_REPEATED_TYPES = 16;
const HEADER_BYTES = 8;

/**
 * WebAssembly text in the manner of the text format, one instruction a line: indices instead of symbols, function names as
 * comments when the binary has them. Throws `MalformedModuleError` for bytes that are no module of core 2.0 with threads,
 * tail calls and one memory; does not validate types.
 */
export function disassemble(bytes: Uint8Array): string {
  const reader = new BinaryReader(bytes);
  const header = reader.take(Math.min(HEADER_BYTES, bytes.length));
  if (header.join() !== '0,97,115,109,1,0,0,0') reader.fail('no WebAssembly module of version 1', 0);
  const module = new ModuleText();
  const sections: { id: number; body: BinaryReader }[] = [];
  while (!reader.done) {
    const id = reader.byte();
    sections.push({ id, body: reader.part(reader.count()) });
  }
  for (const { id, body } of sections) if (id === Section.custom) module.readCustom(body);
  for (const { id, body } of sections) {
    if (id === Section.custom) continue;
    module.readSection(id, body);
    if (!body.done) body.fail(`section ${id} is longer than its contents`);
  }
  return `${['(module', ...module.lines.map((line) => `  ${line}`), ')'].join('\n')}\n`;
}

/** The section readers and the index spaces they fill. */
class ModuleText {
  readonly lines: string[] = [];
  private readonly types: FunctionType[] = [];
  private readonly functionTypes: number[] = [];
  private readonly names = new Map<number, string>();
  private bodies = 0;
  private imports = 0;
  private tables = 0;
  private globals = 0;

  readCustom(body: BinaryReader): void {
    if (body.name() !== 'name') return;
    while (!body.done) {
      const id = body.byte();
      const part = body.part(body.count());
      if (id !== 1) continue;
      for (let left = part.count(2); left > 0; left--) this.names.set(part.u32(), part.name());
    }
  }

  readSection(id: number, body: BinaryReader): void {
    switch (id) {
      case Section.start:
        this.lines.push(`(start ${body.u32()})`);
        return;
      case Section.dataCount:
        body.u32();
        return;
      default:
    }
    const read = this.entryReader(id) ?? body.fail(`section ${id} is unknown`);
    const count = body.count();
    for (let index = 0; index < count; index++) read(body, index);
  }

  private entryReader(id: number): ((body: BinaryReader, index: number) => void) | undefined {
    switch (id) {
      case Section.type:
        return (body, index) => this.readType(body, index);
      case Section.import:
        return (body) => this.readImport(body);
      case Section.function:
        return (body) => void this.functionTypes.push(this.typeIndex(body));
      case Section.table:
        return (body) => void this.lines.push(`(table ${this.tables++} ${tableType(body)})`);
      case Section.memory:
        return (body, index) => void this.lines.push(`(memory ${index} ${limits(body)})`);
      case Section.global:
        return (body) => void this.lines.push(`(global ${this.globals++} ${globalType(body)} ${constant(body)})`);
      case Section.export:
        return (body) => this.readExport(body);
      case Section.element:
        return (body, index) => this.readElement(body, index);
      case Section.code:
        return (body) => this.readCode(body);
      case Section.data:
        return (body, index) => this.readData(body, index);
      default:
        return undefined;
    }
  }

  private readType(body: BinaryReader, index: number): void {
    if (body.byte() !== 0x60) body.fail('no function type', body.offset - 1);
    const type = { params: valTypes(body), results: valTypes(body) };
    this.types.push(type);
    this.lines.push(`(type ${index} ${formatFunctionType(type)})`);
  }

  private readImport(body: BinaryReader): void {
    const path = `${JSON.stringify(body.name())} ${JSON.stringify(body.name())}`;
    this.lines.push(`(import ${path} ${this.importType(body)})`);
  }

  private importType(body: BinaryReader): string {
    const kind = body.byte();
    switch (kind) {
      case ExternalKind.function: {
        const type = this.typeIndex(body);
        this.imports++;
        return `(func ${this.functionTypes.push(type) - 1} (type ${type}))`;
      }
      case ExternalKind.table:
        return `(table ${this.tables++} ${tableType(body)})`;
      case ExternalKind.memory:
        return `(memory 0 ${limits(body)})`;
      case ExternalKind.global:
        return `(global ${this.globals++} ${globalType(body)})`;
      default:
        return body.fail(`import of unknown kind ${kind}`, body.offset - 1);
    }
  }

  private readExport(body: BinaryReader): void {
    const name = JSON.stringify(body.name());
    const kind = body.byte();
    const word = ['func', 'table', 'memory', 'global'][kind] ?? body.fail(`export of unknown kind ${kind}`);
    this.lines.push(`(export ${name} (${word} ${body.u32()}))`);
  }

  /** The forms that list function indices (flags 0 to 3); those that list expressions are not produced by the builder. */
  private readElement(body: BinaryReader, index: number): void {
    const flags = body.u32();
    if (flags > 3) body.fail(`element segment of form ${flags}`);
    const active = (flags & 1) === 0;
    const table = flags === 2 ? body.u32() : 0;
    const place = active ? `(table ${table}) ${constant(body)} ` : flags === 3 ? 'declare ' : '';
    if (flags !== 0 && body.byte() !== 0) body.fail('element kind is not funcref', body.offset - 1);
    const functions: number[] = [];
    for (let left = body.count(); left > 0; left--) functions.push(body.u32());
    this.lines.push(`(elem ${index} ${place}func ${functions.join(' ')})`);
  }

  private readData(body: BinaryReader, index: number): void {
    const flags = body.u32();
    if (flags > 1) body.fail(`data segment of form ${flags}`);
    const place = flags === 0 ? `${constant(body)} ` : '';
    const bytes = body.take(body.count());
    this.lines.push(`(data ${index} ${place}"${[...bytes].map(hexPair).join('')}")`);
  }

  private readCode(body: BinaryReader): void {
    const index = this.imports + this.bodies++;
    const typeIndex = this.functionTypes[index] ?? body.fail(`code without a function ${index}`);
    const code = body.part(body.count());
    const name = this.names.get(index);
    const comment = name === undefined ? '' : ` ;; ${JSON.stringify(name)}`;
    const type = this.types[typeIndex]!;
    const short = type.params.length + type.results.length <= MAXIMUM_REPEATED_TYPES;
    const signature = short ? ` ${formatFunctionType(type)}` : '';
    this.lines.push(`(func ${index} (type ${typeIndex})${signature}${localRuns(code)}${comment}`);
    this.readBody(code);
    this.lines.push(')');
  }

  private readBody(code: BinaryReader): void {
    let depth = 1;
    while (depth > 0) {
      const instruction = readInstruction(code);
      const { name } = instruction;
      if (name === 'end') depth--;
      if (depth === 0) break;
      const indent = '  '.repeat(Math.min(name === 'else' ? depth - 1 : depth, MAXIMUM_INDENT));
      this.lines.push(indent + formatInstruction(instruction));
      if (name === 'block' || name === 'loop' || name === 'if') depth++;
    }
    if (!code.done) code.fail('code after the end of the function');
  }

  private typeIndex(body: BinaryReader): number {
    const start = body.offset;
    const index = body.u32();
    if (index >= this.types.length) body.fail(`no type ${index}`, start);
    return index;
  }
}

function valTypes(body: BinaryReader): ValType[] {
  const types: ValType[] = [];
  for (let left = body.count(); left > 0; left--) types.push(valType(body));
  return types;
}

function valType(body: BinaryReader): ValType {
  const code = body.byte();
  if (valTypeName(code) === undefined) body.fail(`unknown value type 0x${hexPair(code)}`, body.offset - 1);
  return code as ValType;
}

/** `i32 x3` stands for three locals: a few bytes may declare very many. */
function localRuns(code: BinaryReader): string {
  let text = '';
  for (let left = code.count(2); left > 0; left--) {
    const count = code.u32();
    text += `${text === '' ? '' : ' '}${valTypeName(valType(code))} x${count}`;
  }
  return text === '' ? '' : ` (local ${text})`;
}

function limits(body: BinaryReader): string {
  const flags = body.byte();
  if (flags > 3) body.fail(`limits of form ${flags}`, body.offset - 1);
  const initial = body.u32();
  return `${initial}${(flags & 1) === 0 ? '' : ` ${body.u32()}`}${(flags & 2) === 0 ? '' : ' shared'}`;
}

function tableType(body: BinaryReader): string {
  const element = valTypeName(valType(body));
  return `${limits(body)} ${element}`;
}

function globalType(body: BinaryReader): string {
  const type = valTypeName(valType(body));
  const mutable = body.byte();
  if (mutable > 1) body.fail(`mutability ${mutable}`, body.offset - 1);
  return mutable === 1 ? `(mut ${type})` : `${type}`;
}

/** A constant expression on one line. */
function constant(body: BinaryReader): string {
  const parts: string[] = [];
  for (;;) {
    const instruction = readInstruction(body);
    if (instruction.name === 'end') return `(${parts.join(' ')})`;
    parts.push(formatInstruction(instruction));
  }
}

function hexPair(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
