import { assert, CHECK, CheckLevel } from '../../check/assert.ts';
import type { Isa } from '../../isa/instruction.ts';
import { STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import type { Mmu } from '../../memory/mmu.ts';
import { withForms } from '../helper-forms.ts';
import { exactFloat, helperCaller } from '../host-imports.ts';
import { tlbImports } from '../tlb-imports.ts';
import type { CodeWrites } from './code-writes.ts';
import type { InterpreterModule } from './generate.ts';
import type { InterpreterCounters, TranslationOptions } from './interpreter.ts';
import { FIRST_CASE } from './record.ts';

/** What generated code calls, or what those need whom it calls. */
interface Surroundings {
  readonly counters: InterpreterCounters;
  readonly codeWrites: CodeWrites;
  readonly translation: TranslationOptions | undefined;
  /** Nanoseconds of guest time; one for each retired instruction unless given. */
  readonly time: (() => bigint) | undefined;
  /** Instructions retired by now, the present one among them. */
  readonly retired: () => number;
  /** Makes generated code come back after its present instruction. */
  readonly stop: () => void;
}

interface Instance {
  /** Runs from the frame's record (`generateInterpreter`). */
  readonly enter: () => number;
  /** Calls helper `index` of the ISA for generated code. */
  readonly callHelper: (index: number) => number;
}

/** Puts an interpreter's module to work in a guest's memory. */
export function instantiate(
  isa: Isa,
  memory: WebAssembly.Memory,
  made: InterpreterModule,
  surroundings: Surroundings,
): Instance {
  const { counters, codeWrites, translation, stop } = surroundings;
  const state = new DataView(memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
  const retired = () => BigInt(surroundings.retired() - 1);
  const call = helperCaller(
    isa,
    {
      state,
      retired,
      time: surroundings.time ?? retired,
      // Nothing to do: a store to decoded code takes its records away at once, and whoever writes from outside says so (Interpreter.flushCode).
      flushCode: () => {},
      ...(translation === undefined ? {} : { system: translation.hooks }),
    },
    translation === undefined ? undefined : stop,
  );
  const countedHelper = (index: number) => {
    counters.helperCalls++;
    return call(index);
  };
  // Without translation regions hold no calls of helpers, and starting is to be short.
  const callHelper =
    translation === undefined ? countedHelper : withForms(isa, memory, countedHelper, forgetOf(translation.mmu));
  const imports = {
    memory,
    helper: callHelper,
    codeWritten: (place: number, bytes: number) => codeWrites.written(place, bytes),
    ...(translation === undefined ? {} : tlbImports(memory, translation.mmu)),
  };
  const prepareTwin = (op: number) => {
    counters.twins++;
    const { module, floatOps } = made.twin(op);
    const computeFloat = exactFloat(state, floatOps);
    const float = (index: number) => {
      counters.floatCalls++;
      computeFloat(index);
    };
    const twin = new WebAssembly.Instance(module, { env: { ...imports, float } });
    twins.set(op - FIRST_CASE, twin.exports['twin']);
  };
  const float = () => assert(false, 'the main function has no slow path of its own');
  const instance = new WebAssembly.Instance(made.module, { env: { ...imports, float, prepareTwin } });
  const twins = instance.exports['twins'] as WebAssembly.Table;
  return { enter: instance.exports['run'] as () => number, callHelper };
}

/** Does plain fences of an address. */
function forgetOf(mmu: Mmu): Mmu['forget'] {
  if (CHECK < CheckLevel.full) return mmu.forget;
  return (low, high, asid) => {
    const done = mmu.forget(low, high, asid);
    mmu.checkInvariants();
    return done;
  };
}
