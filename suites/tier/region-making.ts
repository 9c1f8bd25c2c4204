import assert from 'node:assert/strict';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { optimize } from '../../emulator/pass/pipeline.ts';
import type { AccessKnowledge } from '../../emulator/tier/region/access-plan.ts';
import { Discovery } from '../../emulator/tier/region/discover.ts';
import type { LoopKnowledge } from '../../emulator/tier/region/loop-guard.ts';
import type { RegionNode } from '../../emulator/tier/region/node.ts';
import { wholeCode } from '../../emulator/tier/region/straight-run.ts';
import { type CompiledRegion, translateRegion } from '../../emulator/tier/region/translate.ts';

const GUEST_SIZE = 1 << 20;
const CODE = 0x1_0000;
const KNOWLEDGE: AccessKnowledge & LoopKnowledge = {
  observed: () => undefined,
  register: () => GUEST_SIZE / 2,
  around: (_, write) => ({ low: GUEST_SIZE / 4, high: GUEST_SIZE, write }),
  distrusted: () => false,
  turns: () => undefined,
  wanders: () => false,
};
const OPTIONS = { guestSize: GUEST_SIZE, guardGain: 1 };
const CIRCUMSTANCES = { modes: [], inexactAccrued: true };

/** Loops of ten instructions one after the other, in a loop around all of them. */
function program(instructions: number): Uint8Array {
  const bytes: number[] = [];
  const add = (line: string) => {
    const encoded = riscv64.assemble(line, BigInt(CODE + bytes.length));
    assert(!('error' in encoded), line);
    bytes.push(...encoded);
  };
  for (let each = 0; each < instructions / 10; each++) {
    const head = CODE + bytes.length;
    const [a, b, c] = [`a${each % 4}`, `a${4 + (each % 3)}`, `s${2 + (each % 5)}`];
    for (const line of ['ld s0,0(s1)', `add ${a},${b},s0`, `slli ${c},${a},3`, `xor ${b},${b},${c}`]) add(line);
    for (const line of [`sd ${b},8(s1)`, `addiw ${c},${a},1`, 'lw t0,16(s1)', `and ${a},t0,${c}`]) add(line);
    add('addi s1,s1,8');
    add(`bne s1,${b},0x${head.toString(16)}`);
  }
  add(`jal zero,0x${CODE.toString(16)}`);
  return Uint8Array.from(bytes);
}

export interface Prepared {
  readonly guest: Uint8Array;
  readonly end: number;
  readonly limit: number;
}

/** A region's guest code in memory. */
export function prepare(instructions: number): Prepared {
  const guest = new Uint8Array(GUEST_SIZE);
  const code = program(instructions);
  guest.set(code, CODE);
  return { guest, end: CODE + code.length, limit: 2 * instructions };
}

/** Finds and lifts it, with the passes or without. */
export function discover({ guest, end, limit }: Prepared, passes: boolean): RegionNode[] {
  const context = { ordinaryMemory: true, writableIsReadable: true };
  const part = wholeCode(GUEST_SIZE, (pc) => (pc < end ? riscv64.decodeExecuted(guest, pc) : undefined));
  const view = {
    partAt: () => part,
    jumpTargets: () => [],
    holdsCall: () => false,
    blockOf: (_pc: number, _end: number, lift: () => RegionNode['block']) => ({
      block: passes ? optimize(lift(), context) : lift(),
      usesModes: true,
    }),
  };
  return new Discovery(riscv64, view, CODE, { instructions: limit, inlined: 0 }).nodes();
}

export function emit(nodes: readonly RegionNode[]): CompiledRegion {
  return translateRegion(riscv64, nodes, OPTIONS, new Set(), KNOWLEDGE, CIRCUMSTANCES);
}

/** A module with a custom section that differs from one use to the next: V8 keeps modules by their bytes. */
export function marked(module: Uint8Array): () => Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(module.length + 8);
  bytes.set(module);
  bytes.set([0, 6, 1, 0x6d], module.length);
  const mark = new DataView(bytes.buffer, module.length + 4);
  let made = 0;
  return () => {
    mark.setUint32(0, made++);
    return bytes;
  };
}
