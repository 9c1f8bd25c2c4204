import type { Op, Value } from '../ir/block.ts';
import { copyOp } from '../ir/make-op.ts';
import type { Type } from '../ir/type.ts';
import { op, type Rule, type Rules, type Simplifier } from './simplifier.ts';

const lowMask = (bits: number) => (1n << BigInt(bits)) - 1n;

/** So many ops are left out at once: chains in real code are short, and work stays linear in hostile code. */
const DEPTH = 8;

/** A value of the same type with the same low `bits`, found by leaving out what only changes higher ones. */
function lowBits(value: Value, bits: number, s: Simplifier): Value {
  let current = value;
  for (let depth = 0; depth < DEPTH; depth++) {
    const { name, args } = s.op(current);
    switch (name) {
      case 'extend8_s':
      case 'extend16_s':
      case 'extend32_s':
        if (bits > (name === 'extend8_s' ? 8 : name === 'extend16_s' ? 16 : 32)) return current;
        break;
      case 'and': {
        const mask = s.bits(args[1]!);
        if (mask === undefined || (mask & lowMask(bits)) !== lowMask(bits)) return current;
        break;
      }
      case 'or':
      case 'xor': {
        const changed = s.bits(args[1]!);
        if (changed === undefined || (changed & lowMask(bits)) !== 0n) return current;
        break;
      }
      default:
        return current;
    }
    current = args[0]!;
  }
  return current;
}

/** Extensions in place: of the low 8, 16 or 32 bits. */
function extend(from: number): Rule {
  return (given, s) => {
    const x = given.args[0]!;
    if (s.signedWidth(x) <= from) return x;
    const low = lowBits(x, from, s);
    if (low !== x) return op(given.name, given.type, low);
    const inner = s.op(x);
    return from === 32 && (inner.name === 'widen_u' || inner.name === 'widen_s')
      ? op('widen_s', 'i64', inner.args[0]!)
      : undefined;
  };
}

const widenSigned: Rule = (given, s) => {
  const inner = s.op(given.args[0]!);
  if (inner.name !== 'wrap') {
    // Processors zero-extend results of 32 bits for nothing.
    return s.unsignedWidth(given.args[0]!) < 32 ? op('widen_u', 'i64', given.args[0]!) : undefined;
  }
  const x = inner.args[0]!;
  return s.signedWidth(x) <= 32 ? x : op('extend32_s', 'i64', x);
};

const widenUnsigned: Rule = (given, s) => {
  const inner = s.op(given.args[0]!);
  return inner.name === 'wrap' && s.unsignedWidth(inner.args[0]!) <= 32 ? inner.args[0]! : undefined;
};

const wrap: Rule = (given, s) => {
  const low = lowBits(given.args[0]!, 32, s);
  const inner = s.op(low);
  if (inner.name === 'widen_s' || inner.name === 'widen_u') return inner.args[0]!;
  return low === given.args[0] ? undefined : op('wrap', 'i32', low);
};

const bitcast: Rule = (given, s) => {
  const inner = s.op(given.args[0]!);
  // There and back: a type has only one other of its width.
  return inner.name === 'bitcast' ? inner.args[0]! : undefined;
};

/** A store takes the low bits of its value as they are. */
const store: Rule = (given, s) => {
  const width = given.width!;
  const value = given.args[1]!;
  const low = given.type === 'i32' || given.type === 'i64' ? lowBits(value, width, s) : value;
  const inner = s.op(low);
  const stored = (type: Type, from: Value): Op => copyOp(given, [given.args[0]!, from], type);
  const source = inner.args[0]!;
  if ((inner.name === 'widen_s' || inner.name === 'widen_u') && width <= 32) return stored('i32', source);
  if (inner.name === 'wrap') return stored('i64', source);
  // Floats are only stored whole.
  const whole = inner.type === 'i32' || inner.type === 'f32' ? 32 : 64;
  if (inner.name === 'bitcast' && (width === whole || inner.from === 'i32' || inner.from === 'i64')) {
    return stored(inner.from!, source);
  }
  return low === value ? undefined : stored(given.type as Type, low);
};

const negate: Rule = (given, s) => {
  const inner = s.op(given.args[0]!);
  return inner.name === 'fneg' ? inner.args[0]! : undefined;
};

const absolute: Rule = (given, s) => {
  const inner = s.op(given.args[0]!);
  if (inner.name === 'fabs') return given.args[0]!;
  return inner.name === 'fneg' ? op('fabs', given.type, inner.args[0]!) : undefined;
};

/** How RISC-V moves, negates and takes absolute values: a value with its own sign, the opposite of it, or a constant's. */
const copySign: Rule = (given, s) => {
  const [x, y] = given.args as readonly [Value, Value];
  if (x === y) return x;
  const sign = s.op(y);
  if (sign.name === 'fneg' && sign.args[0] === x) return y;
  const bits = s.bits(y);
  if (bits === undefined || bits >> BigInt(s.width(given.type) - 1) !== 0n) return undefined;
  return op('fabs', given.type, x);
};

/** Of a vector with itself. */
const itself: Rule = ({ args }) => (args[0] === args[1] ? args[0] : undefined);

const vectorXor: Rule = (given, s) => (given.args[0] === given.args[1] ? s.constantOp('v128', 0n) : undefined);

/** A byte or bit reversal of a reversal. */
const twice: Rule = (given, s) => {
  const inner = s.op(given.args[0]!);
  return inner.name === given.name ? inner.args[0]! : undefined;
};

export const CONVERSION_RULES: Rules = {
  extend8_s: extend(8),
  extend16_s: extend(16),
  extend32_s: extend(32),
  widen_s: widenSigned,
  widen_u: widenUnsigned,
  wrap,
  bitcast,
  store,
  fneg: negate,
  fabs: absolute,
  fcopysign: copySign,
  byte_reverse: twice,
  bit_reverse: twice,
  v_and: itself,
  v_or: itself,
  v_xor: vectorXor,
  v_not: twice,
};
