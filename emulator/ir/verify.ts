import { ALIGNMENTS, type Attributes, JUMP_HINTS, ORDERS, RMWS } from './attributes.ts';
import type { Block, Op } from './block.ts';
import { argumentType, type OpName, OPS, opRow, resultType } from './op.ts';
import { printSlot } from './print.ts';
import { isField, SHAPES, type Slot, type Type, WIDTH } from './type.ts';

/**
 * What is wrong with the block by the op table and the rules of blocks; empty when nothing is. The rules: an `insn` first; arguments
 * defined before, of the row's number and types; exactly the row's attributes, in range; a terminator last and nowhere else; and within an
 * instruction nothing that may fault or trap after a register was written, so that every fault leaves the registers as they were.
 */
export function verify(block: Block): string[] {
  const errors: string[] = [];
  /** Whether the current instruction has written a register. */
  let written = false;
  block.ops.forEach((op, index) => {
    const report = (problem: string) => errors.push(`op ${index} (${op.name}): ${problem}`);
    if (!Object.hasOwn(OPS, op.name)) {
      report('there is no such op');
      return;
    }
    if (index === 0 && op.name !== 'insn') report('the first op of a block is insn');
    verifyType(op, report);
    verifyArguments(block, op, index, report);
    verifyAttributes(op, report);
    if (opRow(op.name).terminator === true && index !== block.ops.length - 1) report('a terminator is the last op');

    if (op.name === 'insn') written = false;
    if (written && mayLeave(op)) report('it may fault or trap after a register was written');
    if (op.name === 'set') written = true;
  });
  return errors;
}

type Report = (problem: string) => void;

/** Whether the op may leave the block other than as a jump. */
export function mayLeave(op: Op): boolean {
  const { effect } = opRow(op.name);
  return (
    (effect === 'memory' && op.name !== 'fence') || effect === 'call' || op.name === 'trap' || op.name === 'trap_if'
  );
}

function verifyType(op: Op, report: Report): void {
  const row = opRow(op.name);
  const untyped = row.types.length === 0 || row.result === 'optional';
  if (op.type === 'none' ? !untyped : !row.types.includes(op.type)) {
    report(`type ${op.type} is not ${row.types.length === 0 ? 'none' : row.types.join(', ')}`);
  }
}

function verifyArguments(block: Block, op: Op, index: number, report: Report): void {
  const { args } = opRow(op.name);
  if (args !== 'variadic' && args.length !== op.args.length) {
    report(`${op.args.length} arguments instead of ${args.length}`);
    return;
  }
  // The state has room for eight (StateOffset.arguments).
  if (op.args.length > 8) report(`${op.args.length} arguments; at most 8 can be passed`);
  op.args.forEach((value, position) => {
    const definition = value >= 0 && value < index ? block.ops[value] : undefined;
    const given = definition === undefined ? undefined : resultType(definition);
    const wanted = argumentType(op, position);
    if (definition === undefined) report(`argument ${position}, %${value}, is not defined before`);
    else if (given === undefined) report(`argument ${position}, %${value} (${definition.name}), has no value`);
    else if (given !== wanted) report(`argument ${position}, %${value}, is ${given} instead of ${wanted}`);
  });
}

/** Keys of an op that are no attributes. */
const STRUCTURE = new Set(['name', 'kind', 'type', 'args']);

function verifyAttributes(op: Op, report: Report): void {
  const wanted = opRow(op.name).attributes ?? [];
  for (const key of wanted) {
    const problem = op[key] === undefined ? 'is missing' : ATTRIBUTE_RULES[key](op);
    if (problem !== undefined) report(`${key} ${problem}`);
  }
  for (const [key, value] of Object.entries(op)) {
    if (value !== undefined && !STRUCTURE.has(key) && !wanted.includes(key as keyof Attributes))
      report(`${key} does not belong here`);
  }
}

const whole = (value: number, least: number, most: number) =>
  Number.isInteger(value) && value >= least && value <= most ? undefined : `is ${value}, not ${least} to ${most}`;
const among = (value: unknown, values: readonly unknown[]) =>
  values.includes(value) ? undefined : `is ${String(value)}, not ${values.join(', ')}`;

/** What is wrong with an attribute that is there. */
const ATTRIBUTE_RULES: Readonly<Record<keyof Attributes, (op: Op) => string | undefined>> = {
  bits: ({ bits, type }) =>
    bits! >= 0n && type !== 'none' && bits! >> BigInt(WIDTH[type]) === 0n ? undefined : 'do not fit the type',
  field: ({ field }) => (field!.field === '' ? 'has no name' : undefined),
  slot: (op) => slotProblem(op.slot!, op.type),
  width: (op) => widthProblem(op),
  signed: ({ name, type, shape, signed }) => {
    if (name === 'load' && signed === true && type !== 'i32' && type !== 'i64') return 'is only for integers';
    return name === 'v_extract' && signed === true && shape !== undefined && SHAPES[shape].laneWidth >= 32
      ? 'is only for lanes narrower than 32 bits'
      : among(signed, [true, false]);
  },
  order: ({ order }) => among(order, ORDERS),
  rmw: ({ rmw }) => among(rmw, RMWS),
  alignment: ({ alignment }) => among(alignment, ALIGNMENTS),
  from: ({ name, type, from }) => (type === 'none' ? undefined : among(from, opRow(name).from?.[type] ?? [])),
  shape: ({ name, shape }) => among(shape, opRow(name).shapes ?? []),
  lane: ({ shape, lane }) => (shape === undefined ? undefined : whole(lane!, 0, SHAPES[shape].lanes - 1)),
  lanes: ({ lanes }) =>
    lanes!.length === 16 && lanes!.every((lane) => whole(lane, 0, 31) === undefined)
      ? undefined
      : 'are not 16 numbers of 0 to 31',
  helper: ({ helper }) => (helper === '' ? 'has no name' : undefined),
  cause: ({ cause }) => whole(cause!, 0, 0x7fff_ffff),
  displacement: ({ displacement }) =>
    isField(displacement!) ? undefined : whole(displacement!, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  hint: ({ hint }) => among(hint, JUMP_HINTS),
  pc: ({ pc }) => (pc! >= 0n && pc! >> 64n === 0n ? undefined : 'is no 64-bit address'),
  length: ({ length }) => whole(length!, 1, 15),
};

function slotProblem(slot: Slot, type: Type | 'none'): string | undefined {
  const { file, index } = slot;
  if (type !== 'none' && WIDTH[type] > 8 * file.stride) return `${printSlot(slot)} has no room for ${type}`;
  if (isField(index) || index === file.sink) return undefined;
  return Number.isInteger(index) && index >= 0 && index < file.count
    ? undefined
    : `${file.name}${index} is not among ${file.count} registers`;
}

/** Integers and vectors may be accessed whole or by a narrower power of two, floats only whole; atomics are 8 to 64 bits. */
function widthProblem({ name, type, width }: Op): string | undefined {
  if (type === 'none') return undefined;
  return among(width, accessWidths(name, type));
}

/** The widths a memory op of the type may have: those that the type holds and, of a vector, that one lane load or store moves. */
export function accessWidths(name: OpName, type: Type): readonly number[] {
  if (name !== 'load' && name !== 'store') return [8, 16, 32, 64];
  if (type === 'v128') return [32, 64, 128];
  return type === 'f32' || type === 'f64' ? [WIDTH[type]] : [8, 16, 32, 64].filter((each) => each <= WIDTH[type]);
}
