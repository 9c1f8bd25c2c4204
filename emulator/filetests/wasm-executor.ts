import { assert } from '../check/assert.ts';
import type { Block } from '../ir/block.ts';
import { opRow } from '../ir/op.ts';
import type { Decoded, HelperContext, Isa } from '../isa/instruction.ts';
import { ExitReason, type FaultKind, StateOffset } from '../layout/state.ts';
import { compileBlock, instantiateBlock } from '../tier/block.ts';
import { exactFloat, helperCaller } from '../tier/host-imports.ts';
import type { BlockProgram, Executor, Program, Stop } from './executor.ts';
import { fetchInstruction, hasLeft, helperContext, isStop } from './fetch.ts';
import { liftInstructions } from './lift.ts';

/** Straight-line runs of code, each translated to a WebAssembly function by tier/block.ts. */
export const wasmExecutor: Executor = { name: 'wasm', run: runProgram, runBlock };

/** For blocks of no ISA: nothing to decode, no helpers. */
const NO_ISA: Isa = {
  name: 'riscv64',
  files: [],
  rows: [],
  alignment: 1,
  maximumLength: 1,
  illegalInstruction: 0,
  decode: () => undefined,
  canonical: (decoded) => decoded,
  decodeExecuted: () => undefined,
  disassemble: () => '',
  assemble: () => ({ error: 'blocks of no ISA have no assembly' }),
  helpers: {},
};

function runProgram(program: Program): Stop {
  const { isa, memory, guestSize, start, limit } = program;
  let pc = start;
  let retired = 0;
  /** Translations by address, so that a loop is not translated each time around. */
  const translations = new Map<bigint, Translation>();
  const context = { ...helperContext(memory, () => retired), flushCode: () => translations.clear() };
  while (retired < limit && !hasLeft(program, pc)) {
    let translation = translations.get(pc);
    if (translation === undefined || translation.instructions > limit - retired) {
      const block = straightLine(program, pc, retired);
      if ('kind' in block) return block;
      const instructions = block.ops.filter((op) => op.name === 'insn').length;
      translation = { run: translate(isa, block, memory, guestSize, context), instructions };
      translations.set(pc, translation);
    }
    context.state.setBigUint64(StateOffset.pc, pc, true);
    const stop = translation.run();
    retired += stop.retired;
    if (stop.kind !== 'end') return { ...stop, retired };
    pc = stop.pc;
  }
  return { kind: hasLeft(program, pc) ? 'end' : 'limit', pc, retired };
}

interface Translation {
  readonly run: () => Stop;
  readonly instructions: number;
}

/** The code from pc to the first jump, helper call, end or lack of an instruction, as one block. */
function straightLine(program: Program, first: bigint, retired: number): Block | Stop {
  const code: { readonly decoded: Decoded; readonly pc: bigint }[] = [];
  let block: Block | undefined;
  for (let pc = first; !hasLeft(program, pc) && retired + code.length < program.limit;) {
    const decoded = fetchInstruction(program, pc, retired);
    if (isStop(decoded)) return block ?? decoded;
    code.push({ decoded, pc });
    const longer = liftInstructions(program.isa, code);
    const last = longer.ops.slice(longer.ops.findLastIndex((op) => op.name === 'insn'));
    const calls = last.some((op) => op.name === 'call');
    // A helper stands alone: it may ask how many instructions have retired, or drop what is translated.
    if (calls && block !== undefined) break;
    block = longer;
    if (calls || last.some((op) => opRow(op.name).terminator === true)) break;
    pc += BigInt(decoded.length);
  }
  assert(block !== undefined, 'there is room for one instruction at least');
  return block;
}

function runBlock({ block, memory, guestSize }: BlockProgram): Stop {
  const context = helperContext(memory, () => 0);
  return translate(NO_ISA, block, memory, guestSize, context)();
}

function translate(
  isa: Isa,
  block: Block,
  memory: WebAssembly.Memory,
  guestSize: number,
  context: HelperContext,
): () => Stop {
  const compiled = compileBlock(isa, block, { guestSize });
  const { state } = context;
  const run = instantiateBlock(compiled, {
    memory,
    helper: helperCaller(isa, context),
    float: exactFloat(state, compiled.floatOps),
    codeWritten: () => {},
  });
  return () => stopOf(run(), state, Number(state.getBigUint64(StateOffset.retired, true)));
}

/** How generated code came back, read from the state. */
export function stopOf(reason: ExitReason, state: DataView, retired: number): Stop {
  const pc = state.getBigUint64(StateOffset.pc, true);
  const cause = state.getInt32(StateOffset.cause, true);
  const value = state.getBigUint64(StateOffset.value, true);
  if (reason === ExitReason.trap) return { kind: 'trap', cause, value, pc, retired };
  if (reason === ExitReason.fault) return { kind: 'fault', fault: cause as FaultKind, address: value, pc, retired };
  return { kind: 'end', pc, retired };
}
