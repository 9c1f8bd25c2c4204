import type { Block } from '../ir/block.ts';
import { Builder } from '../ir/builder.ts';
import { opRow } from '../ir/op.ts';
import type { Decoded, Isa } from '../isa/instruction.ts';

/** Straight-line code as one block; it ends with the first terminator. */
export function liftInstructions(isa: Isa, code: readonly { readonly decoded: Decoded; readonly pc: bigint }[]): Block {
  const builder = new Builder(isa.name);
  for (const { decoded, pc } of code) {
    const { row, operands } = isa.canonical(decoded);
    builder.beginInstruction(pc, decoded.length);
    row.lift(builder, operands);
    const last = builder.block.ops.at(-1);
    if (last !== undefined && opRow(last.name).terminator === true) break;
  }
  return builder.block;
}
