import type { Op, Value } from '../ir/block.ts';

/** Distances from the base stay in this range, so that their sums are exact numbers. */
const REACH = 2 ** 31;
/** So many additions are followed. */
const DEPTH = 8;

/** The base of addresses that are constants. */
export const ABSOLUTE = -1;

/** What an address is made of: another value plus a constant. One is used for many addresses: `resolve` sets its fields. */
export class Address {
  /** The value, or ABSOLUTE. */
  base: Value = ABSOLUTE;
  /** Bytes from the base, below 2^31 either way; from 0 when absolute, and then any address below 2^53. */
  offset = 0;

  /** The address must be of type i64, `ops` its block. */
  resolve(address: Value, ops: readonly Op[]): void {
    this.base = address;
    this.offset = 0;
    for (let depth = 0; depth < DEPTH; depth++) {
      const op = ops[this.base]!;
      if (op.name === 'const') {
        const absolute = BigInt.asUintN(64, op.bits! + BigInt(this.offset));
        if (absolute > BigInt(Number.MAX_SAFE_INTEGER)) return;
        this.base = ABSOLUTE;
        this.offset = Number(absolute);
        return;
      }
      if (op.name !== 'add' && op.name !== 'sub') return;
      const last = ops[op.args[1]!]!;
      if (last.name !== 'const') return;
      const bits = BigInt.asIntN(64, last.bits!);
      const offset = this.offset + (op.name === 'add' ? Number(bits) : -Number(bits));
      if (!(offset > -REACH && offset < REACH)) return;
      this.base = op.args[0]!;
      this.offset = offset;
    }
  }
}
