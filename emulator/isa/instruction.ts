import type { Builder } from '../ir/builder.ts';
import type { Field } from '../bits/pattern.ts';
import type { Operand, RegisterFile } from '../ir/type.ts';
import { StateOffset } from '../layout/state.ts';

/**
 * How the raw bits of an encoding's field become the operand that assembly shows and lifting functions see.
 * `decode` gives the operand (sign-extended, scaled, register-numbered…), `encode` undoes it; `legal` refuses raw bits that make it
 * another instruction or none.
 */
export interface OperandKind {
  readonly kind: string;
  /** For register operands: the file it indexes; the interpreter then stores the register's state offset in the record. */
  readonly file?: RegisterFile;
  readonly decode: (raw: number) => number;
  readonly encode: (operand: number) => number | undefined;
  readonly legal?: (raw: number) => boolean;
  /** Raw values worth trying in tests: edges of the range. */
  readonly samples: readonly number[];
  /** Operand values for which the interpreter makes a case of its own, with the operand known (rounding modes, for instance). */
  readonly specialise?: readonly number[];
  /** A register that the instruction writes: a zero register is replaced by the file's sink. */
  readonly destination?: true;
  /** How assembly shows it, e.g. `a0`, `-12`, `0x1f`; an address when relative to pc. */
  readonly show: (operand: number, pc: bigint) => string;
  /** The operand that `text` shows, or undefined; the inverse of `show`. */
  readonly parse: (text: string, pc: bigint) => number | undefined;
}

export type Lift<Name extends string> = (b: Builder, operands: Readonly<Record<Name, Operand>>) => void;

/** One instruction: encoding, assembly syntax and meaning. */
export interface Instruction {
  readonly mnemonic: string;
  /** Unique among the ISA's rows; also the name of the interpreter's case. */
  readonly name: string;
  readonly length: number;
  readonly mask: number;
  readonly match: number;
  readonly operands: Readonly<Record<string, OperandKind>>;
  /** Where the operands' raw bits stand, of encodings that are words of a fixed width. */
  readonly fields?: Readonly<Record<string, Field>>;
  readonly syntax: string;
  readonly lift: Lift<string>;
  /** Document section, e.g. `Unprivileged ISA, "Integer Register-Immediate Instructions"`. */
  readonly spec: string;
  readonly extension: string;
  /** Rarely executed or long: the interpreter keeps its case out of the main function. */
  readonly cold?: true;
  /** A compressed form: the row of the instruction it stands for, with this row's operands mapped to that row's. */
  readonly expandsTo?: (operands: Readonly<Record<string, number>>) => {
    row: Instruction;
    operands: Readonly<Record<string, number>>;
  };
}

/** A decoded instruction: its row and operand values. Destination registers that read as zero are not yet replaced by the sink. */
export interface Decoded {
  readonly row: Instruction;
  readonly length: number;
  readonly operands: Readonly<Record<string, number>>;
}

/** What the interpreter, the JIT and tools need to know of an ISA. */
export interface Isa {
  readonly name: 'riscv64' | 'aarch64' | 'x86_64';
  readonly files: readonly RegisterFile[];
  /** Single registers that say how instructions work and that nothing but helpers and the machine write: translations are made for what they hold. */
  readonly modes?: readonly RegisterFile[];
  readonly rows: readonly Instruction[];
  /** Fewest bytes between two instruction starts: 2 for RISC-V with C, 4 for AArch64, 1 for x86-64. */
  readonly alignment: number;
  readonly maximumLength: number;
  /** The trap cause of bytes that are no instruction. */
  readonly illegalInstruction: number;
  /** Decodes the instruction that starts at `offset`; undefined when the bytes are no instruction known here (or are cut off). */
  readonly decode: (bytes: Uint8Array, offset: number) => Decoded | undefined;
  /** The row as executed: compressed forms expanded, zero destinations replaced by the sink. */
  readonly canonical: (decoded: Decoded) => Decoded;
  /**
   * The encoding at an offset as a number of 32 bits, undefined where it is cut off: equal ones are the same instruction. Absent where encodings may be
   * longer.
   */
  readonly wordAt?: (bytes: Uint8Array, offset: number) => number | undefined;
  /** With `wordAt`: words in groups, numbered from 0, by bits that all rows fix. */
  readonly words?: { readonly groups: number; readonly groupOf: (word: number) => number };
  /** `decode` and `canonical` at once; equal encodings may give the same object. */
  readonly decodeExecuted: (bytes: Uint8Array, offset: number) => Decoded | undefined;
  readonly disassemble: (decoded: Decoded, pc: bigint) => string;
  /** Assembles one line of the same syntax; `undefined` with a reason when it cannot. */
  readonly assemble: (line: string, pc: bigint) => Uint8Array | { readonly error: string };
  readonly helpers: Readonly<Record<string, Helper>>;
}

/** The vCPU state and guest memory as a helper sees them. Offsets are StateOffset or register offsets; numbers are little-endian. */
export interface HelperContext {
  readonly state: DataView;
  /** Instructions retired so far, this one not counted. */
  readonly retired: () => bigint;
  /** Guest time: ticks of the machine's time base, nanoseconds where there is no machine around the vCPU. */
  readonly time: () => bigint;
  /** Drops decoded or translated code (`fence.i`). */
  readonly flushCode: () => void;
  /** What else of a machine depends on control registers; absent where memory is flat, and then there is no address translation. */
  readonly system?: SystemHooks;
}

/** Parts of a machine that act on control registers, whose values they read from the state. */
export interface SystemHooks {
  /** Something that translation depends on has changed: the page table, the privilege mode, or what they may do. */
  readonly translationChanged: () => void;
  /** Physical memory protection has changed. */
  readonly protectionChanged: () => void;
  /** Translations are to be forgotten: all, or those of an address, in one address space or in all. */
  readonly fence: (address: bigint | undefined, asid: number | undefined) => void;
  /** `fence` of an address, given by its halves (int32). */
  readonly fenceAddress: (low: number, high: number, asid: number | undefined) => void;
}

/**
 * What a helper says: go on, or leave with a guest trap. With `stop` the instruction is completed, and then control goes back to whoever
 * runs the vCPU (ExitReason.helper): an interrupt can be taken now, or instructions are fetched from elsewhere.
 */
export type HelperOutcome =
  { readonly result: bigint; readonly stop?: boolean } | { readonly trap: number; readonly value: bigint };

export interface Helper {
  readonly doc: string;
  readonly parameters: number;
  /** It touches no general register, and unless it asks to stop the next instruction follows: translated code may go on behind it. */
  readonly straight?: true;
  /** Translations that instructions were found by may be gone afterwards: translated code that goes on sees to it that its pages are where they were. */
  readonly fences?: true;
  readonly call: (context: HelperContext, args: readonly bigint[]) => HelperOutcome;
  /**
   * The same for frequent cases, without BigInt: arguments and result are in the argument slots of the state. `declined` without having
   * done anything where this is none of them.
   */
  readonly quick?: (context: HelperContext) => QuickOutcome;
  /** What is done without leaving generated code, tried before all else. */
  readonly forms?: readonly HelperForm[];
}

/** What a helper does where its first argument is this, in the IR. */
export interface HelperForm {
  /** Value of the first argument, a non-negative int32; absent where the helper has none. */
  readonly argument?: number;
  /**
   * Does it on ARGUMENTS and the registers, the result in ARGUMENTS[0]. A condition for a trap declines, with everything as it was: those come before
   * registers are written.
   */
  readonly lift: (b: Builder) => void;
  /** Then the page of the address in ARGUMENTS[1] is forgotten in all address spaces, as by `SystemHooks.fenceAddress`. */
  readonly fencesAddress?: true;
}

/** Arguments of a helper that is called; its result comes back in the first. */
export const ARGUMENTS: RegisterFile = {
  name: 'argument',
  offset: StateOffset.arguments,
  stride: 8,
  count: 8,
  type: 'i64',
};

export const QuickOutcome = { done: 0, stop: 1, declined: 2 } as const;
export type QuickOutcome = (typeof QuickOutcome)[keyof typeof QuickOutcome];
