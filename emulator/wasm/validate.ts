import { fail } from './error.ts';
import { opcode } from './opcode.ts';
import type { OpName } from './opcode.ts';
import { ValType, valTypeName } from './type.ts';
import type { BlockType, FunctionType, GlobalType, MemoryType, TableType } from './type.ts';

/** What a function body may refer to. */
export interface ModuleContext {
  typeAt(index: number): FunctionType | undefined;
  functionTypeAt(index: number): FunctionType | undefined;
  globalAt(index: number): GlobalType | undefined;
  tableAt(index: number): TableType | undefined;
  memoryAt(index: number): MemoryType | undefined;
}

/** The bottom type: what unreachable code leaves on the operand stack. */
const UNKNOWN = 0;
type Operand = ValType | typeof UNKNOWN;

interface ControlFrame {
  readonly name: 'function' | 'block' | 'loop' | 'if' | 'else';
  readonly start: readonly ValType[];
  readonly end: readonly ValType[];
  readonly height: number;
  unreachable: boolean;
}

/**
 * Types one function as it is written (Core specification 2.0, Appendix, "Validation Algorithm"), so that a mistake of the
 * translator is reported where it is made. Every method takes the code offset after the instruction.
 */
export class FunctionValidator {
  private readonly name: string;
  private readonly context: ModuleContext;
  private readonly operands: Operand[] = [];
  private readonly frames: ControlFrame[] = [];
  private readonly results: readonly ValType[];
  private op = 'function';
  private offset = 0;

  constructor(name: string, type: FunctionType, context: ModuleContext) {
    this.name = name;
    this.context = context;
    this.results = type.results;
    this.frames.push({ name: 'function', start: [], end: type.results, height: 0, unreachable: false });
  }

  /** An instruction whose immediates do not matter to its type. */
  plain(name: OpName, offset: number): void {
    this.at(name, offset);
    const { signature, bytes } = opcode[name];
    if (bytes > 0 || name.startsWith('memory.')) this.needMemory();
    if (signature !== undefined) {
      this.apply(signature);
      return;
    }
    switch (name) {
      case 'unreachable':
        this.setUnreachable();
        break;
      case 'return':
        this.popAll(this.results);
        this.setUnreachable();
        break;
      case 'drop':
        this.popAny();
        break;
      case 'select':
        this.select();
        break;
      case 'ref.is_null':
        this.popReference();
        this.push(ValType.i32);
        break;
      default:
        fail(`${this.where()}: the validator does not know this instruction`);
    }
  }

  local(name: OpName, type: ValType, offset: number): void {
    this.at(name, offset);
    if (name !== 'local.get') this.pop(type);
    if (name !== 'local.set') this.push(type);
  }

  constantReference(type: ValType, offset: number): void {
    this.at('ref.null', offset);
    this.push(type);
  }

  selectTyped(type: ValType, offset: number): void {
    this.at('select_t', offset);
    this.apply({ params: [type, type, ValType.i32], results: [type] });
  }

  open(name: 'block' | 'loop' | 'if', type: BlockType | undefined, offset: number): void {
    this.at(name, offset);
    if (name === 'if') this.pop(ValType.i32);
    const { params, results } = this.blockType(type);
    this.popAll(params);
    this.frames.push({ name, start: params, end: results, height: this.operands.length, unreachable: false });
    this.pushAll(params);
  }

  else(offset: number): void {
    this.at('else', offset);
    const frame = this.close();
    if (frame.name !== 'if') fail(`${this.where()}: else outside an if`);
    this.frames.push({ ...frame, name: 'else', unreachable: false });
    this.pushAll(frame.start);
  }

  end(offset: number): void {
    this.at('end', offset);
    const frame = this.close();
    if (frame.name === 'if' && frame.start.join() !== frame.end.join()) {
      fail(`${this.where()}: an if without else must give what it takes`);
    }
    this.pushAll(frame.end);
  }

  branch(name: 'br' | 'br_if', depth: number, offset: number): void {
    this.at(name, offset);
    if (name === 'br_if') this.pop(ValType.i32);
    const types = this.labelTypes(depth);
    this.popAll(types);
    if (name === 'br_if') this.pushAll(types);
    else this.setUnreachable();
  }

  branchTable(depths: readonly number[], offset: number): void {
    this.at('br_table', offset);
    this.pop(ValType.i32);
    const arity = this.labelTypes(depths.at(-1)!).length;
    for (const depth of depths) {
      const types = this.labelTypes(depth);
      if (types.length !== arity) fail(`${this.where()}: targets differ in their operands`);
      const popped = types.map(() => UNKNOWN as Operand);
      for (let index = types.length - 1; index >= 0; index--) popped[index] = this.pop(types[index]!);
      this.operands.push(...popped);
    }
    this.popAll(this.labelTypes(depths.at(-1)!));
    this.setUnreachable();
  }

  /** An instruction whose immediates are one index or two, in binary order. */
  indexed(name: OpName, first: number, second: number, offset: number): void {
    this.at(name, offset);
    switch (opcode[name].immediates) {
      case 'func':
        this.call(name, this.context.functionTypeAt(first) ?? fail(`${this.where()}: no function ${first}`));
        break;
      case 'callIndirect':
        if (this.elementType(second) !== ValType.funcref) fail(`${this.where()}: table ${second} holds no functions`);
        this.pop(ValType.i32);
        this.call(name, this.context.typeAt(first) ?? fail(`${this.where()}: no type ${first}`));
        break;
      case 'global':
        this.global(name, first);
        break;
      case 'table':
        this.table(name, first);
        break;
      default:
        if (name.startsWith('memory.')) this.needMemory();
        this.apply(opcode[name].signature ?? fail(`${this.where()}: the validator does not know this instruction`));
    }
  }

  private call(name: OpName, type: FunctionType): void {
    if (name === 'ref.func') {
      this.push(ValType.funcref);
      return;
    }
    this.popAll(type.params);
    if (!name.startsWith('return_')) {
      this.pushAll(type.results);
      return;
    }
    if (type.results.join() !== this.results.join()) fail(`${this.where()}: the callee's results are not the caller's`);
    this.setUnreachable();
  }

  private global(name: OpName, index: number): void {
    const global = this.context.globalAt(index) ?? fail(`${this.where()}: no global ${index}`);
    if (name === 'global.get') {
      this.push(global.type);
      return;
    }
    if (!global.mutable) fail(`${this.where()}: global ${index} is immutable`);
    this.pop(global.type);
  }

  private table(name: OpName, index: number): void {
    const element = this.elementType(index);
    const { i32 } = ValType;
    if (name === 'table.get') this.apply({ params: [i32], results: [element] });
    else if (name === 'table.set') this.apply({ params: [i32, element], results: [] });
    else if (name === 'table.grow') this.apply({ params: [element, i32], results: [i32] });
    else if (name === 'table.fill') this.apply({ params: [i32, element, i32], results: [] });
    else this.push(i32);
  }

  private elementType(index: number): ValType {
    const table = this.context.tableAt(index) ?? fail(`${this.where()}: no table ${index}`);
    return table.element ?? ValType.funcref;
  }

  private select(): void {
    this.pop(ValType.i32);
    const second = this.popAny();
    const first = this.popAny();
    for (const type of [first, second]) {
      if (isReference(type)) fail(`${this.where()}: references need select_t`);
    }
    if (first !== second && first !== UNKNOWN && second !== UNKNOWN) {
      fail(`${this.where()}: operands are ${valTypeName(first)} and ${valTypeName(second)}`);
    }
    this.operands.push(first === UNKNOWN ? second : first);
  }

  private popReference(): void {
    const type = this.popAny();
    if (type !== UNKNOWN && !isReference(type)) fail(`${this.where()}: ${valTypeName(type)} is no reference`);
  }

  private blockType(type: BlockType | undefined): FunctionType {
    if (type === undefined) return { params: [], results: [] };
    if (typeof type === 'number') return { params: [], results: [type] };
    return this.context.typeAt(type.type) ?? fail(`${this.where()}: no type ${type.type}`);
  }

  private labelTypes(depth: number): readonly ValType[] {
    const frame = this.frames[this.frames.length - 1 - depth] ?? fail(`${this.where()}: no label at depth ${depth}`);
    return frame.name === 'loop' ? frame.start : frame.end;
  }

  private close(): ControlFrame {
    const frame = this.frames.at(-1) ?? fail(`${this.where()}: no open block`);
    this.popAll(frame.end);
    if (this.operands.length !== frame.height) {
      fail(`${this.where()}: ${this.operands.length - frame.height} operands left at the end of the ${frame.name}`);
    }
    this.frames.pop();
    return frame;
  }

  private setUnreachable(): void {
    const frame = this.frames.at(-1)!;
    this.operands.length = frame.height;
    frame.unreachable = true;
  }

  private apply(signature: FunctionType): void {
    this.popAll(signature.params);
    this.pushAll(signature.results);
  }

  private push(type: ValType): void {
    this.operands.push(type);
  }

  private pushAll(types: readonly ValType[]): void {
    this.operands.push(...types);
  }

  private popAny(): Operand {
    const frame = this.frames.at(-1)!;
    if (this.operands.length > frame.height) return this.operands.pop()!;
    return frame.unreachable ? UNKNOWN : fail(`${this.where()}: an operand is missing`);
  }

  private pop(expected: ValType): Operand {
    const frame = this.frames.at(-1)!;
    if (this.operands.length === frame.height && !frame.unreachable) {
      fail(`${this.where()}: ${valTypeName(expected)} expected, the stack is empty`);
    }
    const actual = this.popAny();
    if (actual !== expected && actual !== UNKNOWN) {
      fail(`${this.where()}: ${valTypeName(expected)} expected, ${valTypeName(actual)} found`);
    }
    return actual;
  }

  private popAll(types: readonly ValType[]): void {
    for (let index = types.length - 1; index >= 0; index--) this.pop(types[index]!);
  }

  private needMemory(): void {
    if (this.context.memoryAt(0) === undefined) fail(`${this.where()}: the module has no memory`);
  }

  private at(op: string, offset: number): void {
    this.op = op;
    this.offset = offset;
    if (this.frames.length === 0) fail(`${this.where()}: code after the end of the function`);
  }

  private where(): string {
    return `${this.name}: ${this.op} ending at code byte ${this.offset}`;
  }
}

function isReference(type: Operand): boolean {
  return type === ValType.funcref || type === ValType.externref;
}
