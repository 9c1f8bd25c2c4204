import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import type { Instruction } from '../instruction.ts';
import {
  addWithFlags,
  effectiveAddress,
  immediate,
  locationOf,
  readRegister,
  setResultFlags,
  subtractWithFlags,
  truncate,
  widenSigned,
  writeRegister,
} from './access.ts';
import type { Form, OpcodePlace, X86Operands } from './encoding.ts';
import { CF, OF, PF, R, RSP, SF, ZF } from './registers.ts';

/** A row: its place in the opcode maps, its form, and how the operand size comes about. */
export interface X86Row extends Instruction, OpcodePlace {
  readonly form: Form;
  /** `byte`: 8 bits. `word`: 16, 32 or 64 by prefix. `quad`: 64, or 16 with a prefix. `near`: 64 always (branches, whose 66 is ignored). */
  readonly sizing: 'byte' | 'word' | 'quad' | 'near';
}

type Meaning = (b: Builder, operands: X86Operands) => void;

function row(
  mnemonic: string,
  encoding: string,
  form: Form,
  sizing: X86Row['sizing'],
  lift: Meaning,
  section: string = mnemonic,
): X86Row {
  const match = /^(0f )?([0-9a-f]{2})(?: \/(\d))?$/.exec(encoding);
  if (!match) throw new Error(`${mnemonic}: '${encoding}' is no opcode`);
  return {
    mnemonic,
    name: `${mnemonic} ${encoding} ${form}`,
    length: 0,
    mask: 0,
    match: 0,
    operands: {},
    syntax: form,
    lift: (b, operands) => lift(b, operands as unknown as X86Operands),
    spec: `Intel SDM volume 2, "${section.toUpperCase()}"`,
    extension: 'x86-64',
    opcode: parseInt(match[2]!, 16),
    twoByte: match[1] !== undefined,
    digit: match[3] === undefined ? undefined : Number(match[3]),
    form,
    sizing,
  };
}

type Arithmetic = (b: Builder, x: Value, y: Value, size: number) => Value;

/** The second operand: a register or an immediate. */
function source(b: Builder, operands: X86Operands, form: Form): Value {
  return form.endsWith(',r') ? readRegister(b, operands.reg, operands.size, operands.rex) : immediate(b, operands);
}

/** Destination r/m. A compare writes nothing. Memory is written before flags and registers change: a store that faults leaves all as it was. */
function toRegisterOrMemory(form: Form, compute: Arithmetic, writes: boolean): Meaning {
  return (b, operands) => {
    const place = locationOf(b, operands);
    const x = place.read();
    const y = source(b, operands, form);
    if (writes && operands.direct === 0) {
      // The result is needed for the store before the flags may be set, so it is computed without them first.
      place.write(compute === addWithFlags ? b.op('add', 'i64', x, y) : b.op('sub', 'i64', x, y));
      compute(b, x, y, operands.size);
      return;
    }
    const result = compute(b, x, y, operands.size);
    if (writes) place.write(result);
  };
}

function toRegister(compute: Arithmetic, writes: boolean): Meaning {
  return (b, operands) => {
    const y = locationOf(b, operands).read();
    const result = compute(b, readRegister(b, operands.reg, operands.size, operands.rex), y, operands.size);
    if (writes) writeRegister(b, operands.reg, operands.size, operands.rex, result);
  };
}

function toAccumulator(compute: Arithmetic, writes: boolean): Meaning {
  return (b, operands) => {
    const result = compute(b, readRegister(b, 0, operands.size, operands.rex), immediate(b, operands), operands.size);
    if (writes) writeRegister(b, 0, operands.size, operands.rex, result);
  };
}

/** The nine encodings that ADD, SUB and CMP share; `base` is the first opcode, `digit` the one in group 1. */
function groupOne(mnemonic: string, base: number, digit: number, compute: Arithmetic, writes: boolean): X86Row[] {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return [
    row(mnemonic, hex(base), 'rm,r', 'byte', toRegisterOrMemory('rm,r', compute, writes)),
    row(mnemonic, hex(base + 1), 'rm,r', 'word', toRegisterOrMemory('rm,r', compute, writes)),
    row(mnemonic, hex(base + 2), 'r,rm', 'byte', toRegister(compute, writes)),
    row(mnemonic, hex(base + 3), 'r,rm', 'word', toRegister(compute, writes)),
    row(mnemonic, hex(base + 4), 'acc,imm', 'byte', toAccumulator(compute, writes)),
    row(mnemonic, hex(base + 5), 'acc,imm', 'word', toAccumulator(compute, writes)),
    row(mnemonic, `80 /${digit}`, 'rm,imm8', 'byte', toRegisterOrMemory('rm,imm8', compute, writes)),
    row(mnemonic, `81 /${digit}`, 'rm,imm', 'word', toRegisterOrMemory('rm,imm', compute, writes)),
    row(mnemonic, `83 /${digit}`, 'rm,imm8', 'word', toRegisterOrMemory('rm,imm8', compute, writes)),
  ];
}

function moveTo(form: Form): Meaning {
  return (b, operands) => {
    const place = locationOf(b, operands);
    place.write(source(b, operands, form));
  };
}

const moveFrom: Meaning = (b, operands) =>
  writeRegister(b, operands.reg, operands.size, operands.rex, locationOf(b, operands).read());
const moveImmediate: Meaning = (b, operands) =>
  writeRegister(b, operands.rm, operands.size, operands.rex, immediate(b, operands));
const moveZeroExtended =
  (from: number): Meaning =>
  (b, operands) =>
    writeRegister(b, operands.reg, operands.size, operands.rex, locationOf(b, operands, from).read());
const loadAddress: Meaning = (b, operands) =>
  writeRegister(
    b,
    operands.reg,
    operands.size,
    operands.rex,
    truncate(b, effectiveAddress(b, operands), operands.size),
  );

/**
 * SHL. A count of zero (after the mask) leaves all flags; OF is defined for a count of one only and given the same formula for others, as
 * hardware does; AF is left alone where the manual leaves it undefined.
 */
function shiftLeft(count: (b: Builder, operands: X86Operands) => Value): Meaning {
  return (b, operands) => {
    const { size } = operands;
    const place = locationOf(b, operands);
    const x = place.read();
    const amount = b.op('and', 'i64', count(b, operands), b.const('i64', size === 64 ? 63n : 31n));
    // Counts up to 31 shift an 8- or 16-bit value right out of its 64-bit carrier's low part, never out of the carrier.
    const shifted = b.op('shl', 'i64', x, amount);
    const result = truncate(b, shifted, size);
    place.write(result);
    const some = b.op('ne', 'i64', amount, b.const('i64', 0n));
    // The last bit shifted out: bit `size` of x << amount, or the bit that left a 64-bit value.
    const out =
      size === 64
        ? b.op('shr_u', 'i64', x, b.op('sub', 'i64', b.const('i64', 64n), amount))
        : b.op('shr_u', 'i64', shifted, b.const('i64', size));
    const carry = b.op('wrap', 'i32', b.op('and', 'i64', out, b.const('i64', 1n)));
    const sign = b.op(
      'wrap',
      'i32',
      b.op('and', 'i64', b.op('shr_u', 'i64', result, b.const('i64', size - 1)), b.const('i64', 1n)),
    );
    const before = [ZF, SF, PF].map((file) => b.get(file, 0));
    const [oldCarry, oldOverflow] = [b.get(CF, 0), b.get(OF, 0)];
    setResultFlags(b, result, size);
    [ZF, SF, PF].forEach((file, i) => b.set(file, 0, b.select('i32', some, b.get(file, 0), before[i]!)));
    b.set(CF, 0, b.select('i32', some, carry, oldCarry));
    b.set(OF, 0, b.select('i32', some, b.op('xor', 'i32', carry, sign), oldOverflow));
  };
}

/** IMUL with a truncated result: CF and OF say that it did not fit; SF, ZF, AF and PF are undefined and left alone. */
function signedMultiply(
  second: (b: Builder, operands: X86Operands) => Value,
  first: (b: Builder, operands: X86Operands) => Value,
): Meaning {
  return (b, operands) => {
    const { size } = operands;
    const x = widenSigned(b, first(b, operands), size);
    const y = widenSigned(b, second(b, operands), size);
    const product = b.op('mul', 'i64', x, y);
    const overflow =
      size === 64
        ? b.op('ne', 'i64', b.op('mulh_s', 'i64', x, y), b.op('shr_s', 'i64', product, b.const('i64', 63n)))
        : b.op('ne', 'i64', product, widenSigned(b, product, size));
    writeRegister(b, operands.reg, size, operands.rex, truncate(b, product, size));
    b.set(CF, 0, overflow);
    b.set(OF, 0, overflow);
  };
}

const registerOperand = (b: Builder, operands: X86Operands): Value =>
  readRegister(b, operands.reg, operands.size, operands.rex);
const placeOperand = (b: Builder, operands: X86Operands): Value => locationOf(b, operands).read();

/** PUSH: the value is read before rsp moves, so that PUSH rsp stores the old one. */
function push(value: (b: Builder, operands: X86Operands) => Value): Meaning {
  return (b, operands) => {
    const pushed = value(b, operands);
    const top = b.op('sub', 'i64', b.get(R, RSP), b.const('i64', operands.size / 8));
    b.store('i64', operands.size, top, pushed);
    b.set(R, RSP, top);
  };
}

function pushReturn(b: Builder): void {
  const top = b.op('sub', 'i64', b.get(R, RSP), b.const('i64', 8n));
  b.store('i64', 64, top, b.nextPc());
  b.set(R, RSP, top);
}

/** Targets count from the next instruction; the IR's displacements from this one. */
const relative = (operands: X86Operands): number =>
  operands.immediateLow + (operands as X86Operands & { length: number }).length;

const callRelative: Meaning = (b, operands) => {
  pushReturn(b);
  b.jumpRelative(relative(operands), 'call');
};
const callIndirect: Meaning = (b, operands) => {
  const target = locationOf(b, operands).read();
  pushReturn(b);
  b.jump(target, 'call');
};
const returnAndPop: Meaning = (b, operands) => {
  const stack = b.get(R, RSP);
  const target = b.load('i64', 64, stack);
  b.set(R, RSP, b.op('add', 'i64', stack, b.const('i64', 8 + (operands.immediateLow & 0xffff))));
  b.jump(target, 'return');
};

export const CONDITIONS = [
  'o',
  'no',
  'b',
  'ae',
  'e',
  'ne',
  'be',
  'a',
  's',
  'ns',
  'p',
  'np',
  'l',
  'ge',
  'le',
  'g',
] as const;

/** Whether a condition code holds (Intel SDM volume 1, "EFLAGS Condition Codes"). */
function conditionHolds(b: Builder, code: number): Value {
  const flag = (file: typeof CF): Value => b.get(file, 0);
  const less = (): Value => b.op('xor', 'i32', flag(SF), flag(OF));
  const holds = [
    () => flag(OF),
    () => flag(CF),
    () => flag(ZF),
    () => b.op('or', 'i32', flag(CF), flag(ZF)),
    () => flag(SF),
    () => flag(PF),
    less,
    () => b.op('or', 'i32', less(), flag(ZF)),
  ][code >> 1]!();
  return (code & 1) === 0 ? holds : b.op('xor', 'i32', holds, b.const('i32', 1n));
}

const jumpIf =
  (code: number): Meaning =>
  (b, operands) =>
    b.branch(conditionHolds(b, code), relative(operands));
const one = (b: Builder): Value => b.const('i64', 1n);
const counter = (b: Builder): Value => readRegister(b, 1, 8, 0);

/** The instructions of x86-64 that exist so far. */
export const X86_64: readonly X86Row[] = [
  ...groupOne('add', 0x00, 0, addWithFlags, true),
  ...groupOne('sub', 0x28, 5, subtractWithFlags, true),
  ...groupOne('cmp', 0x38, 7, subtractWithFlags, false),
  row('mov', '88', 'rm,r', 'byte', moveTo('rm,r')),
  row('mov', '89', 'rm,r', 'word', moveTo('rm,r')),
  row('mov', '8a', 'r,rm', 'byte', moveFrom),
  row('mov', '8b', 'r,rm', 'word', moveFrom),
  row('mov', 'c6 /0', 'rm,imm8', 'byte', moveTo('rm,imm8')),
  row('mov', 'c7 /0', 'rm,imm', 'word', moveTo('rm,imm')),
  ...Array.from({ length: 8 }, (_, i) => row('mov', (0xb0 + i).toString(16), 'r,imm', 'byte', moveImmediate)),
  ...Array.from({ length: 8 }, (_, i) => row('mov', (0xb8 + i).toString(16), 'r,imm', 'word', moveImmediate)),
  row('lea', '8d', 'r,m', 'word', loadAddress),
  row('movzx', '0f b6', 'r,rm8', 'word', moveZeroExtended(8)),
  row('movzx', '0f b7', 'r,rm16', 'word', moveZeroExtended(16)),
  ...(['byte', 'word'] as const).flatMap((sizing, i) => [
    row('shl', `c${i} /4`, 'rm,imm8', sizing, shiftLeft(immediate), 'sal/sar/shl/shr'),
    row('shl', `d${i} /4`, 'rm,1', sizing, shiftLeft(one), 'sal/sar/shl/shr'),
    row('shl', `d${i + 2} /4`, 'rm,cl', sizing, shiftLeft(counter), 'sal/sar/shl/shr'),
  ]),
  row('imul', '0f af', 'r,rm', 'word', signedMultiply(placeOperand, registerOperand)),
  row('imul', '69', 'r,rm,imm', 'word', signedMultiply(immediate, placeOperand)),
  row('imul', '6b', 'r,rm,imm8', 'word', signedMultiply(immediate, placeOperand)),
  ...Array.from({ length: 8 }, (_, i) =>
    row(
      'push',
      (0x50 + i).toString(16),
      'opcode-r',
      'quad',
      push((b, operands) => readRegister(b, operands.rm, operands.size, operands.rex)),
    ),
  ),
  row('push', 'ff /6', 'rm', 'quad', push(placeOperand)),
  row('push', '6a', 'imm8', 'quad', push(immediate)),
  row('push', '68', 'imm32', 'near', push(immediate)),
  row('call', 'e8', 'rel32', 'near', callRelative),
  row('call', 'ff /2', 'rm', 'near', callIndirect),
  ...CONDITIONS.flatMap((name, code) => [
    row(`j${name}`, (0x70 + code).toString(16), 'rel8', 'near', jumpIf(code), 'jcc'),
    row(`j${name}`, `0f ${(0x80 + code).toString(16)}`, 'rel32', 'near', jumpIf(code), 'jcc'),
  ]),
  row('jmp', 'eb', 'rel8', 'near', (b, operands) => b.jumpRelative(relative(operands))),
  row('jmp', 'e9', 'rel32', 'near', (b, operands) => b.jumpRelative(relative(operands))),
  row('ret', 'c3', 'none', 'near', returnAndPop),
  row('ret', 'c2', 'imm16', 'near', returnAndPop),
];
