import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import type { Operand } from '../../ir/type.ts';
import type { Helper, HelperContext, HelperOutcome } from '../instruction.ts';
import type { TableRow } from '../table.ts';
import { readX } from './access.ts';
import { Slot } from './csr-storage.ts';
import { pendingInterrupt, wakes } from './interrupt.ts';
import { instruction } from './operands.ts';
import { FENCE_FORMS, fenceQuickly, Named } from './quick-fence.ts';
import { CSR_STORAGE, Privilege, PRIVILEGE, WAITING } from './registers.ts';
import { Status, statusHas } from './status.ts';
import { Cause, returnFromMachineTrap, returnFromSupervisorTrap } from './trap.ts';

const RETURN = { spec: 'Privileged ISA, "Trap-Return Instructions"', extension: 'I', cold: true } as const;
const SUPERVISOR = { spec: 'Privileged ISA, "Supervisor Instructions"', extension: 'I', cold: true } as const;
const WAIT = { spec: 'Privileged ISA, "Wait for Interrupt"', extension: 'I', cold: true } as const;
const SVINVAL = {
  spec: 'Privileged ISA, "Svinval" Extension for Fine-Grained Address-Translation Cache Invalidation',
  extension: 'Svinval',
  cold: true,
} as const;
const cacheBlock = (extension: string) =>
  ({
    spec: 'Unprivileged ISA, "Cache-Block Management Instructions"',
    extension,
    cold: true,
  }) as const;

/** Bytes of a cache block, as the device tree has to say too (riscv,cbom-block-size, riscv,cboz-block-size). */
export const CACHE_BLOCK = 64;

/** Fields of menvcfg and senvcfg. */
const CBIE = 3n << 4n;
const CBCFE = 1n << 6n;
const CBZE = 1n << 7n;

type Fence = Readonly<Partial<Record<'rs1' | 'rs2', Operand>>>;

/** What follows is fetched anew. */
function fenceTranslations(b: Builder, { rs1, rs2 }: Fence): void {
  const zero = b.const('i64', 0n);
  const named = (rs1 === undefined ? 0 : Named.address) | (rs2 === undefined ? 0 : Named.asid);
  b.call('sfence_vma', [
    b.const('i64', named),
    rs1 === undefined ? zero : readX(b, rs1),
    rs2 === undefined ? zero : readX(b, rs2),
  ]);
  b.jump(b.nextPc());
}

function fenceRows(mnemonic: string, funct7: '0001001' | '0001011', facts: typeof SUPERVISOR | typeof SVINVAL) {
  const named = (what: string) => ({ ...facts, name: `${mnemonic} (${what})` });
  return [
    instruction(
      mnemonic,
      `${funct7} 00000 00000 000 00000 1110011`,
      'zero,zero',
      (b) => fenceTranslations(b, {}),
      named('all'),
    ),
    instruction(
      mnemonic,
      `${funct7} 00000 rs1Nonzero:5 000 00000 1110011`,
      '{rs1Nonzero},zero',
      (b, { rs1Nonzero }) => fenceTranslations(b, { rs1: rs1Nonzero }),
      named('address'),
    ),
    instruction(
      mnemonic,
      `${funct7} rs2Nonzero:5 00000 000 00000 1110011`,
      'zero,{rs2Nonzero}',
      (b, { rs2Nonzero }) => fenceTranslations(b, { rs2: rs2Nonzero }),
      named('ASID'),
    ),
    instruction(mnemonic, `${funct7} rs2:5 rs1:5 000 00000 1110011`, '{rs1},{rs2}', fenceTranslations, facts),
  ];
}

function block(b: Builder, rs1: Operand): Value {
  return b.op('and', 'i64', readX(b, rs1), b.const('i64', -CACHE_BLOCK));
}

/**
 * Illegal unless menvcfg, and in user mode senvcfg, enable the operation ("Cache-Block Management Instructions", illegal-instruction exceptions).
 * Written out instead of being asked of a helper, since Linux clears every page by 64 of them.
 */
function requireEnabled(b: Builder, field: bigint): void {
  const privilege = b.get(PRIVILEGE, 0, 'i32');
  const isDisabled = (slot: number): Value =>
    b.op('eq', 'i64', b.op('and', 'i64', b.get(CSR_STORAGE, slot, 'i64'), b.const('i64', field)), b.const('i64', 0n));
  const byMachine = b.op(
    'and',
    'i32',
    b.op('lt_u', 'i32', privilege, b.const('i32', Privilege.machine)),
    isDisabled(Slot.menvcfg),
  );
  const bySupervisor = b.op(
    'and',
    'i32',
    b.op('eq', 'i32', privilege, b.const('i32', Privilege.user)),
    isDisabled(Slot.senvcfg),
  );
  b.trapIf(b.op('or', 'i32', byMachine, bySupervisor), Cause.illegalInstruction, b.const('i64', 0n));
}

/**
 * There is no cache: all that is left to do is to see whether the operation is permitted and the block can be reached.
 * NON-SPEC: a block that cannot be read is a load fault, where the specification has a store fault.
 */
function maintain(field: bigint) {
  return (b: Builder, { rs1 }: Readonly<Record<'rs1', Operand>>) => {
    requireEnabled(b, field);
    b.load('i64', 8, block(b, rs1));
  };
}

/** All bytes lie in one page, so that the first store faults if any does. */
function zeroBlock(b: Builder, { rs1 }: Readonly<Record<'rs1', Operand>>): void {
  requireEnabled(b, CBZE);
  const start = block(b, rs1);
  const zero = b.const('i64', 0n);
  for (let at = 0; at < CACHE_BLOCK; at += 8) {
    b.store('i64', 64, at === 0 ? start : b.op('add', 'i64', start, b.const('i64', at)), zero);
  }
}

const nothing = (): void => {};

/** Trap returns, waiting, fences of translations, cache blocks. */
export const PRIVILEGED: readonly TableRow[] = [
  instruction('mret', '001100000010 00000 000 00000 1110011', '', (b) => b.jump(b.call('mret', [], 'i64')), RETURN),
  instruction('sret', '000100000010 00000 000 00000 1110011', '', (b) => b.jump(b.call('sret', [], 'i64')), RETURN),
  instruction('wfi', '000100000101 00000 000 00000 1110011', '', (b) => void b.call('wfi', []), WAIT),
  ...fenceRows('sfence.vma', '0001001', SUPERVISOR),
  ...fenceRows('sinval.vma', '0001011', SVINVAL),
  instruction(
    'sfence.w.inval',
    '0001100 00000 00000 000 00000 1110011',
    '',
    (b) => void b.call('sfence_order', []),
    SVINVAL,
  ),
  instruction(
    'sfence.inval.ir',
    '0001100 00001 00000 000 00000 1110011',
    '',
    (b) => void b.call('sfence_order', []),
    SVINVAL,
  ),
  instruction('cbo.inval', '000000000000 rs1:5 010 00000 0001111', '({rs1})', maintain(CBIE), cacheBlock('Zicbom')),
  instruction('cbo.clean', '000000000001 rs1:5 010 00000 0001111', '({rs1})', maintain(CBCFE), cacheBlock('Zicbom')),
  instruction('cbo.flush', '000000000010 rs1:5 010 00000 0001111', '({rs1})', maintain(CBCFE), cacheBlock('Zicbom')),
  instruction('cbo.zero', '000000000100 rs1:5 010 00000 0001111', '({rs1})', zeroBlock, cacheBlock('Zicboz')),
  // Hints in the place of ORI with x0 as destination.
  instruction('prefetch.i', 'imm[11:5] 00000 rs1:5 110 00000 0010011', '{imm}({rs1})', nothing, cacheBlock('Zicbop')),
  instruction('prefetch.r', 'imm[11:5] 00001 rs1:5 110 00000 0010011', '{imm}({rs1})', nothing, cacheBlock('Zicbop')),
  instruction('prefetch.w', 'imm[11:5] 00011 rs1:5 110 00000 0010011', '{imm}({rs1})', nothing, cacheBlock('Zicbop')),
];

const ILLEGAL: HelperOutcome = { trap: Cause.illegalInstruction, value: 0n };

function privilegeOf({ state }: HelperContext): number {
  return state.getUint32(PRIVILEGE.offset, true);
}

/** In user mode never, in supervisor mode unless a bit of mstatus traps it. */
function permitted(context: HelperContext, trappedBy: bigint): boolean {
  const privilege = privilegeOf(context);
  return (
    privilege === Privilege.machine || (privilege === Privilege.supervisor && !statusHas(context.state, trappedBy))
  );
}

/** After a trap return: another mode, in which an interrupt may be waiting. */
function returned({ state, system }: HelperContext, pc: bigint): HelperOutcome {
  system?.translationChanged();
  return { result: pc, stop: pendingInterrupt(state) !== undefined };
}

/** What the rows above call. */
export const PRIVILEGED_HELPERS: Readonly<Record<string, Helper>> = {
  mret: {
    doc: 'Returns from a trap taken in machine mode; gives the address to go on at.',
    parameters: 0,
    call: (context) =>
      privilegeOf(context) === Privilege.machine ? returned(context, returnFromMachineTrap(context.state)) : ILLEGAL,
  },
  sret: {
    doc: 'Returns from a trap taken in supervisor mode; gives the address to go on at.',
    parameters: 0,
    call: (context) =>
      permitted(context, Status.tsr) ? returned(context, returnFromSupervisorTrap(context.state)) : ILLEGAL,
  },
  wfi: {
    doc: 'Waits for an interrupt: unless one is pending, marks the hart as waiting and comes back; whoever runs it may also go on at once.',
    parameters: 0,
    call: (context) => {
      if (!permitted(context, Status.tw)) return ILLEGAL;
      const { state } = context;
      if (wakes(state)) return { result: 0n };
      state.setInt32(WAITING.offset, 1, true);
      return { result: 0n, stop: true };
    },
  },
  sfence_vma: {
    doc: 'Forgets address translations: 1 when an address is named plus 2 when an address space is, the address, the ASID.',
    parameters: 3,
    straight: true,
    fences: true,
    call: (context, [named, address, asid]) => {
      if (!permitted(context, Status.tvm)) return ILLEGAL;
      context.system?.fence(
        (Number(named) & Named.address) === 0 ? undefined : address!,
        (Number(named) & Named.asid) === 0 ? undefined : Number(asid! & 0xffffn),
      );
      return { result: 0n };
    },
    quick: fenceQuickly,
    forms: FENCE_FORMS,
  },
  sfence_order: {
    doc: 'Orders SINVAL.VMA before or after: nothing to do but to be permitted.',
    parameters: 0,
    call: (context) => (permitted(context, 0n) ? { result: 0n } : ILLEGAL),
  },
};
