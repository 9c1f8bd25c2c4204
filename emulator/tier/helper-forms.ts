import { assert, CHECK, CheckLevel } from '../check/assert.ts';
import { Builder } from '../ir/builder.ts';
import type { Slot, Type } from '../ir/type.ts';
import type { Isa } from '../isa/instruction.ts';
import { STATE } from '../layout/memory-map.ts';
import { ALL_SPACES } from '../memory/forget-code.ts';
import { StateOffset } from '../layout/state.ts';
import type { FunctionBuilder, Label } from '../wasm/function.ts';
import { keptModule } from '../wasm/kept-modules.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import { Lowering } from './lower.ts';
import { FlatMemoryPath } from './memory-path.ts';
import { loadRegister, storeRegister } from './register-access.ts';
import { Runtime } from './runtime.ts';
import type { Site } from './site.ts';

const { i32 } = ValType;
const INDEX = 0;
/** What a helper returns that has not trapped. */
const DONE = 0;

/**
 * Helpers as generated code is to call them: what the ISA has forms for is done in WebAssembly, by one call from module to module, and what those decline or
 * have none for is left to `helper` (see RuntimeImports). `forget` does fences of an address that are plain (`AddressTranslation.forget`).
 */
export function withForms(
  isa: Isa,
  memory: WebAssembly.Memory,
  helper: (index: number) => number,
  forget: (low: number, high: number, asid: number) => number,
): (index: number) => number {
  const module = keptModule(`forms of ${isa.name}`, () => generate(isa));
  const unused = () => assert(false, 'forms of helpers have neither floating-point operations nor stores');
  const env = { memory, helper, forget, float: unused, codeWritten: unused };
  return new WebAssembly.Instance(module, { env }).exports['helper'] as (index: number) => number;
}

function generate(isa: Isa): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full });
  const runtime = new Runtime(module, isa, { guestSize: 0, translated: true });
  const forget = module.importFunction('env', 'forget', [i32, i32, i32], [i32]);
  const fn = module.function('helper', [i32], [i32]);
  module.exportFunction('helper', fn);
  const declined = fn.block();
  for (const [index, { forms = [] }] of Object.values(isa.helpers).entries()) {
    if (forms.length === 0) continue;
    const others = fn.block();
    fn.localGet(INDEX);
    fn.i32Const(index);
    fn.op('i32.ne');
    fn.brIf(others);
    for (const { argument, lift, fencesAddress = false } of forms) {
      const next = fn.block();
      if (argument !== undefined) {
        pushArgument(fn, 0);
        fn.i32Const(argument);
        fn.op('i32.ne');
        fn.brIf(next);
      }
      const b = new Builder(isa.name);
      lift(b);
      const finish = () => {
        if (!fencesAddress) return;
        pushArgument(fn, 8);
        pushArgument(fn, 12);
        fn.i32Const(ALL_SPACES);
        fn.call(forget);
        fn.op('i32.eqz');
        fn.brIf(declined);
      };
      new Lowering(b.block, new FormSite(fn, declined, finish), new FlatMemoryPath(0), runtime).run();
      fn.end(next);
    }
    fn.end(others);
  }
  fn.end(declined);
  fn.localGet(INDEX);
  fn.call(runtime.helper);
  return module.encode();
}

function pushArgument(fn: FunctionBuilder, offset: number): void {
  fn.i32Const(0);
  fn.load('i32.load', { offset: STATE + StateOffset.arguments + offset });
}

/** Code that is done at its end, where `finish` may have more to do, and leaves the whole to the helper where it would trap. */
class FormSite implements Site {
  readonly fn: FunctionBuilder;
  readonly inline = true;
  readonly inexactAccrued = false;
  readonly #declined: Label;
  readonly #finish: () => void;

  constructor(fn: FunctionBuilder, declined: Label, finish: () => void) {
    this.fn = fn;
    this.#declined = declined;
    this.#finish = finish;
  }

  bailIf(): void {
    this.fn.brIf(this.#declined);
  }

  readRegister({ file, index }: Slot, type: Type): void {
    assert(typeof index === 'number', 'a form names its registers');
    this.fn.i32Const(0);
    loadRegister(this.fn, type, STATE + file.offset + file.stride * index);
  }

  writeRegister({ file, index }: Slot, type: Type, push: () => void): void {
    assert(typeof index === 'number', 'a form names its registers');
    this.fn.i32Const(0);
    push();
    storeRegister(this.fn, type, STATE + file.offset + file.stride * index);
  }

  fallThrough(): void {
    this.#finish();
    this.fn.i32Const(DONE);
    this.fn.return();
  }

  beginInstruction(): void {
    noInstruction();
  }

  field(): void {
    noInstruction();
  }

  pc(): void {
    noInstruction();
  }

  nextPc(): void {
    noInstruction();
  }

  leave(): void {
    noInstruction();
  }

  jump(): void {
    noInstruction();
  }

  jumpRelative(): void {
    noInstruction();
  }

  branch(): void {
    noInstruction();
  }
}

function noInstruction(): never {
  assert(false, 'a form of a helper is no instruction');
}
