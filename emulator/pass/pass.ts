import type { Block } from '../ir/block.ts';
import type { RegisterFile, Slot } from '../ir/type.ts';

/** What is known around a block. What is not said is taken to be the worst. */
export interface PassContext {
  /** Registers (`slotName`) that nobody reads after the block has been left at its end; a trap or fault inside still needs them. */
  readonly deadOut?: ReadonlySet<string>;
  /** What registers (`slotName`) hold whenever the block is entered: unsigned, of the register file's type. */
  readonly knownIn?: ReadonlyMap<string, bigint>;
  /** The register files of all of `knownIn`, where that is known: of others nothing is looked up. */
  readonly modes?: readonly RegisterFile[];
  /**
   * Every address that can be loaded from or stored to is ordinary memory: no device register, whose reading or writing does something.
   * True of user processes. Without it no access is left out.
   */
  readonly ordinaryMemory?: boolean;
  /** A page that may be written may also be read, so that a load from where a store just went cannot fault. */
  readonly writableIsReadable?: boolean;
  /** Floating-point ops never leave the block from the middle (as the interpreter's inline forms do, to be run again elsewhere). */
  readonly floatOpsStay?: boolean;
}

/**
 * One transformation of a block whose operands and addresses are known. The block given is not changed: a new one comes back, or the same
 * when there is nothing to do. Registers, memory, flags and the way the block is left, at whichever instruction, stay the same for every start.
 */
export interface Pass {
  readonly name: string;
  /** One sentence: what it does. */
  readonly prose: string;
  run(block: Block, context: PassContext): Block;
}

/** The register's name as `PassContext.deadOut` has it: the file's name and the index, `x5`, `frm0`. */
export function slotName({ file, index }: Slot): string {
  if (typeof index !== 'number') return `${file.name}${String(index)}`;
  let names = NAMES.get(file);
  if (names === undefined) NAMES.set(file, (names = []));
  return (names[index] ??= `${file.name}${index}`);
}

/** V8 would have to look each name up that is put together anew. */
const NAMES = new WeakMap<RegisterFile, string[]>();
