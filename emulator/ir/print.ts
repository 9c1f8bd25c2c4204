import { ATTRIBUTE_TEXT, isKeyedAttribute, showField } from './attribute-text.ts';
import type { Block, Op } from './block.ts';
import { opRow, resultType } from './op.ts';
import { isField, type Slot } from './type.ts';

/** The block as text, one op a line; `parseBlock` reads it back to an equal block. Values are numbered by the op that defines them. */
export function printBlock(block: Block): string {
  return block.ops.map((op, index) => `${printOp(op, index)}\n`).join('');
}

/** One op: `%3 = add.i64 %1, %2`. `index` is its place in the block. */
function printOp(op: Op, index: number): string {
  const row = opRow(op.name);
  const suffix = row.shapes === undefined ? op.type : (op.shape ?? op.type);
  const name = suffix === 'none' ? op.name : `${op.name}.${suffix}`;
  const operands = [...positional(op), ...op.args.map((arg) => `%${arg}`)].join(', ');
  const parts = [name, operands, ...keyed(op)].filter((part) => part !== '');
  return `${resultType(op) === undefined ? '' : `%${index} = `}${parts.join(' ')}`;
}

/** `x5`, `x{rd}`; the bare name for a file of one register. */
export function printSlot(slot: Slot): string {
  if (isField(slot.index)) return `${slot.file.name}${showField(slot.index)}`;
  return slot.file.count === 1 && slot.index === 0 ? slot.file.name : `${slot.file.name}${slot.index}`;
}

function positional(op: Op): string[] {
  const shown: string[] = [];
  if (op.bits !== undefined) shown.push(`0x${op.bits.toString(16)}`);
  if (op.field !== undefined) shown.push(showField(op.field));
  if (op.slot !== undefined) shown.push(printSlot(op.slot));
  if (op.helper !== undefined) shown.push(`@${op.helper}`);
  return shown;
}

function keyed(op: Op): string[] {
  return (opRow(op.name).attributes ?? []).filter(isKeyedAttribute).flatMap((key) => {
    const text = ATTRIBUTE_TEXT[key] as { show: (value: unknown) => string; assumed?: unknown };
    const value = op[key];
    if (value === undefined || value === text.assumed) return [];
    return value === true ? [key] : [`${key}=${text.show(value)}`];
  });
}
