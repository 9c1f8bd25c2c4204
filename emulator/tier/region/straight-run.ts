import type { Block } from '../../ir/block.ts';
import { Builder } from '../../ir/builder.ts';
import type { Decoded, Isa } from '../../isa/instruction.ts';
import { factsOf, type InstructionFacts, jumpsTo, NONE, STOP, type Terminator } from './instruction-facts.ts';

/** What the search for regions may look at. */
export interface CodeView {
  /** The part of the code that an address is in. */
  partAt(pc: number): CodePart;
  /** Guest addresses that the indirect jump at `pc` has been seen to go to. */
  jumpTargets(pc: number): readonly number[];
  /** Helpers that regions call. */
  holdsCall(helper: string): boolean;
  /** The block of guest bytes [pc, end) after the passes; what `lift` gives is it before them. */
  blockOf(pc: number, end: number, lift: () => Block): LiftedBlock;
}

/** Guest code that lies together, such as a page. Offsets are in bytes from its beginning. */
export interface CodePart {
  /** The guest address of its beginning. */
  readonly pc: number;
  readonly size: number;
  /** The instruction at an offset, if it has been executed before; undefined stops discovery there. */
  instruction(offset: number): InstructionFacts | undefined;
  /** The same as executed (`Isa.canonical`). */
  decoded(offset: number): Decoded;
  /** Whether another region begins there, which is left to it; the seed is never asked for. */
  isElsewhere(offset: number): boolean;
}

export interface LiftedBlock {
  readonly block: Block;
  /** It reads mode registers. */
  readonly usesModes: boolean;
}

/** Instructions that follow each other in guest bytes [pc, end), the last of which may be a terminator. */
export interface Run {
  readonly pc: number;
  readonly end: number;
  readonly instructions: number;
  /** The address of the last instruction. */
  readonly last: number;
  /** The terminator, if the last instruction has one. */
  readonly terminator: Terminator;
}

/** Instructions in one block, so that straight-line code of any length stays bounded. */
const LONGEST_BLOCK = 256;

/** Code in one part that begins at guest address 0, of which only a region is made. `decode` gives instructions as executed. */
export function wholeCode(size: number, decode: (pc: number) => Decoded | undefined): CodePart {
  return {
    pc: 0,
    size,
    instruction: (pc) => {
      const decoded = decode(pc);
      return decoded && factsOf(decoded);
    },
    decoded: (pc) => decode(pc)!,
    isElsewhere: () => false,
  };
}

/** The straight-line run from `pc` up to and with a terminator, or up to where another region begins. */
export function scan(pc: number, code: CodeView): Run {
  let part = code.partAt(pc);
  // An integer for V8 too, which the difference of two addresses is not.
  let offset = (pc - part.pc) | 0;
  let instructions = 0;
  let length = 0;
  let terminator = NONE;
  for (;;) {
    if (offset >= part.size) {
      const at = part.pc + offset;
      part = code.partAt(at);
      offset = (at - part.pc) | 0;
    }
    if (instructions > 0 && part.isElsewhere(offset)) break;
    if (instructions >= LONGEST_BLOCK) break;
    const facts = part.instruction(offset);
    if (facts === undefined || !facts.held || (facts.calls.length > 0 && !holdsAll(facts.calls, code))) {
      terminator = STOP;
      break;
    }
    length = facts.length;
    offset += length;
    instructions++;
    if (facts.terminator !== undefined) {
      terminator = terminatorAt(part.pc + offset - length, facts.terminator);
      break;
    }
    // What it did may have changed what the rest is made for.
    if (facts.calls.length > 0) break;
  }
  const end = part.pc + offset;
  return { pc, end, instructions, last: end - length, terminator };
}

/** The run up to the first address behind its beginning that is a leader's. */
export function cut(run: Run, code: CodeView, isLeader: (pc: number) => boolean): Run {
  const { pc } = run;
  let part = code.partAt(pc);
  let offset = (pc - part.pc) | 0;
  let length = 0;
  for (let instructions = 0; instructions < run.instructions; instructions++) {
    if (offset >= part.size) {
      const at = part.pc + offset;
      part = code.partAt(at);
      offset = (at - part.pc) | 0;
    }
    const at = part.pc + offset;
    if (instructions > 0 && isLeader(at)) return { pc, end: at, instructions, last: at - length, terminator: NONE };
    length = part.instruction(offset)!.length;
    offset += length;
  }
  // Where an instruction that cannot be translated follows there may be a leader too, of a run that has none.
  return run;
}

/** The IR of a run. */
export function lift(isa: Isa, run: Run, code: CodeView): Block {
  const builder = new Builder(isa.name);
  let pc = run.pc;
  while (pc < run.end) {
    const part = code.partAt(pc);
    const { row, length, operands } = part.decoded((pc - part.pc) | 0);
    builder.beginInstruction(BigInt(pc), length);
    row.lift(builder, operands);
    pc += length;
  }
  const { ops } = builder.block;
  // Where a region goes on behind a helper, the node's ending says.
  if (jumpsTo(ops, pc)) ops.pop();
  return builder.block;
}

/** The run's terminator as the passes left it: conditions and targets may have become known. */
export function afterPasses(run: Run, block: Block): Terminator {
  const { terminator } = run;
  const last = block.ops.at(-1)!;
  if (terminator.kind === 'branch' && last.name !== 'branch') {
    return last.name === 'jump_rel' ? { kind: 'relative', target: terminator.target, call: false } : NONE;
  }
  if (terminator.kind === 'indirect' && last.name === 'jump_rel') {
    return { kind: 'relative', target: run.last + Number(last.displacement), call: terminator.hint === 'call' };
  }
  return terminator;
}

function holdsAll(calls: readonly string[], code: CodeView): boolean {
  return calls.every((helper) => code.holdsCall(helper));
}

/** A terminator whose targets are relative to an address. */
function terminatorAt(pc: number, terminator: Terminator): Terminator {
  switch (terminator.kind) {
    case 'relative':
      return { kind: 'relative', target: pc + terminator.target, call: terminator.call };
    case 'branch':
      return { kind: 'branch', target: pc + terminator.target };
    default:
      return terminator;
  }
}
