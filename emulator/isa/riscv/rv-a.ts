import type { Rmw } from '../../ir/block.ts';
import type { TableRow } from '../table.ts';
import { readX, writeX } from './access.ts';
import { instruction } from './operands.ts';

const RESERVED = { spec: 'Unprivileged ISA, "Load-Reserved/Store-Conditional Instructions"', extension: 'A' };
const MEMORY = { spec: 'Unprivileged ISA, "Atomic Memory Operations"', extension: 'A' };

/** Every ordering of aq and rl is a row of its own, since assembly writes it into the mnemonic; all are executed as the strongest. */
const ORDERINGS = [
  ['00', ''],
  ['01', '.rl'],
  ['10', '.aq'],
  ['11', '.aqrl'],
] as const;
const WIDTHS = [
  ['010', '.w', 32],
  ['011', '.d', 64],
] as const;
const OPERATIONS: readonly (readonly [string, string, Rmw])[] = [
  ['00000', 'amoadd', 'add'],
  ['00001', 'amoswap', 'xchg'],
  ['00100', 'amoxor', 'xor'],
  ['01000', 'amoor', 'or'],
  ['01100', 'amoand', 'and'],
  ['10000', 'amomin', 'minS'],
  ['10100', 'amomax', 'maxS'],
  ['11000', 'amominu', 'minU'],
  ['11100', 'amomaxu', 'maxU'],
];

/** "A" extension for atomic instructions. */
export const RV_A: readonly TableRow[] = WIDTHS.flatMap(([funct3, suffix, width]) =>
  ORDERINGS.flatMap(([bits, ordering]) => [
    instruction(
      `lr${suffix}${ordering}`,
      `00010 ${bits} 00000 rs1:5 ${funct3} rd:5 0101111`,
      '{rd},({rs1})',
      (b, { rd, rs1 }) => writeX(b, rd, b.emit('load_reserved', 'i64', [readX(b, rs1)], { width, order: 'seqCst' })),
      RESERVED,
    ),
    instruction(
      `sc${suffix}${ordering}`,
      `00011 ${bits} rs2:5 rs1:5 ${funct3} rd:5 0101111`,
      '{rd},{rs2},({rs1})',
      (b, { rd, rs1, rs2 }) => {
        const failed = b.emit('store_conditional', 'i64', [readX(b, rs1), readX(b, rs2)], { width, order: 'seqCst' });
        writeX(b, rd, b.op('widen_u', 'i64', failed));
      },
      RESERVED,
    ),
    ...OPERATIONS.map(([funct5, name, rmw]) =>
      instruction(
        `${name}${suffix}${ordering}`,
        `${funct5 as '00000'} ${bits} rs2:5 rs1:5 ${funct3} rd:5 0101111`,
        '{rd},{rs2},({rs1})',
        (b, { rd, rs1, rs2 }) => writeX(b, rd, b.atomicRmw(rmw, width, readX(b, rs1), readX(b, rs2), 'seqCst')),
        MEMORY,
      ),
    ),
  ]),
);
