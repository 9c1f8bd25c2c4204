import { UserFacingError } from '../check/errors.ts';
import type { Isa } from '../isa/instruction.ts';
import type { Case, Line } from './format.ts';

interface AssembledInstruction {
  readonly source: Line;
  readonly pc: bigint;
  readonly bytes: Uint8Array;
  /** Written as bytes rather than as assembly. */
  readonly raw: boolean;
}

export interface Assembled {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly instructions: readonly AssembledInstruction[];
}

/** A source line that does not assemble. */
class AssemblyError extends UserFacingError {}

const RAW: Readonly<Record<string, number>> = { '.byte': 1, '.2byte': 2, '.4byte': 4 };

/** The case's lines as code from `address` on: instructions of the ISA, or `.byte`, `.2byte`, `.4byte` with numbers. */
export function assembleCase(each: Case, isa: Isa, address: bigint): Assembled {
  const instructions: AssembledInstruction[] = [];
  let pc = address;
  for (const source of each.source) {
    const raw = rawBytes(source.text);
    const bytes = raw ?? isa.assemble(source.text, pc);
    if ('error' in bytes) throw new AssemblyError(`'${source.text}': ${bytes.error}`);
    instructions.push({ source, pc, bytes, raw: raw !== undefined });
    pc += BigInt(bytes.length);
  }
  return { address, bytes: Uint8Array.from(instructions.flatMap(({ bytes }) => [...bytes])), instructions };
}

function rawBytes(text: string): Uint8Array | undefined {
  const [, directive, list] = /^(\.\d?byte)\s+(.+)$/.exec(text) ?? [];
  const size = directive === undefined ? undefined : RAW[directive];
  if (size === undefined) return undefined;
  const numbers = list!.split(/[\s,]+/).map(Number);
  if (!numbers.every((value) => Number.isInteger(value) && value >= 0 && value < 256 ** size)) {
    throw new AssemblyError(`'${text}': not numbers of ${size} bytes`);
  }
  return Uint8Array.from(
    numbers.flatMap((value) => Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) % 256)),
  );
}

/**
 * Assembly and bytes must agree both ways: the lines assemble to the bytes given, and the bytes decode, disassemble to the very same lines
 * and assemble to themselves. A raw line only has to decode, or not to when the case says so. Returns the number of checks made.
 */
export function checkDecode(
  each: Case,
  isa: Isa,
  code: Assembled,
  report: (message: string, line?: number) => void,
): number {
  if (each.bytes !== undefined) {
    const given = each.bytes.text.toLowerCase();
    const made = spaced(code.bytes);
    if (given.replaceAll(' ', '') !== made.replaceAll(' ', '')) {
      report(`assembles to ${made}, expected ${given}`, each.bytes.line);
    }
  } else if (!each.illegal && each.runs.length === 0) {
    report('a decode case gives its bytes or says that they are illegal');
  }
  for (const { source, pc, bytes, raw } of code.instructions) {
    const decoded = isa.decode(bytes, 0);
    if (each.illegal) {
      if (decoded !== undefined)
        report(`decodes as '${normal(isa.disassemble(decoded, pc))}', expected none`, source.line);
      continue;
    }
    if (decoded === undefined) {
      // Raw bytes that are no instruction stand in a program to be stopped at.
      if (!raw || each.runs.length === 0) report(`'${source.text}' (${spaced(bytes)}) does not decode`, source.line);
      continue;
    }
    if (decoded.length !== bytes.length) {
      report(`decodes with ${decoded.length} bytes instead of ${bytes.length}`, source.line);
    }
    const shown = normal(isa.disassemble(decoded, pc));
    if (!raw && shown !== normal(source.text)) {
      report(`disassembles as '${shown}', expected '${source.text}'`, source.line);
    }
    const again = isa.assemble(shown, pc);
    if ('error' in again) report(`'${shown}' does not assemble: ${again.error}`, source.line);
    else if (!raw && spaced(again) !== spaced(bytes)) report(`'${shown}' assembles to ${spaced(again)}`, source.line);
  }
  return code.instructions.length;
}

/** Blanks and their number mean nothing. */
function normal(text: string): string {
  return text
    .trim()
    .replaceAll(/\s*,\s*/g, ', ')
    .replaceAll(/\s+/g, ' ');
}

function spaced(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
