import type { Isa } from '../isa/instruction.ts';
import { optimize, type PassContext, slotName } from '../pass/pipeline.ts';
import type { AccessKnowledge } from '../tier/region/access-plan.ts';
import type { LoopKnowledge } from '../tier/region/loop-guard.ts';
import { Discovery } from '../tier/region/discover.ts';
import { type CodeView, wholeCode } from '../tier/region/straight-run.ts';
import { translateRegion } from '../tier/region/translate.ts';
import type { Assembled } from './assembly.ts';

const GUEST_SIZE = 1 << 16;
/** Where registers point, in memory that may all be read and written: what translation mostly finds. */
const KNOWLEDGE: AccessKnowledge & LoopKnowledge = {
  observed: () => undefined,
  register: () => GUEST_SIZE / 2,
  around: (_, write) => ({ low: 0, high: GUEST_SIZE, write }),
  distrusted: () => false,
  turns: () => undefined,
  wanders: () => false,
};

/**
 * How large the region is that a case's code becomes, entered at its first instruction, with every pass: the goldens of corpora with `test
 * region`. Modes are 0 and the inexact flag has accrued, as in any program after its first rounding.
 */
export function regionSizes(isa: Isa, { address, bytes }: Assembled): string {
  const seed = Number(address);
  const guest = new Uint8Array(GUEST_SIZE);
  guest.set(bytes, seed);
  const modes = (isa.modes ?? []).map((file) => ({ file, name: slotName({ file, index: 0 }) }));
  const context: PassContext = {
    knownIn: new Map(modes.map(({ name }) => [name, 0n])),
    ordinaryMemory: true,
    writableIsReadable: true,
  };
  let lifted = 0;
  const part = wholeCode(GUEST_SIZE, (pc) => {
    const decoded = pc >= seed && pc < seed + bytes.length ? isa.decode(guest, pc) : undefined;
    return decoded && isa.canonical(decoded);
  });
  const code: CodeView = {
    partAt: () => part,
    jumpTargets: () => [],
    holdsCall: () => false,
    blockOf: (_pc, _end, lift) => {
      const block = lift();
      lifted += block.ops.length;
      const usesModes = block.ops.some(({ name, slot }) => name === 'get' && (isa.modes ?? []).includes(slot!.file));
      return { block: optimize(block, context), usesModes };
    },
  };
  const nodes = new Discovery(isa, code, seed).nodes();
  if (nodes.length === 0) return 'no region';
  const circumstances = { modes: modes.map(({ file }) => [file.offset, 0] as const), inexactAccrued: true };
  const { counters } = translateRegion(
    isa,
    nodes,
    { guestSize: GUEST_SIZE, guardGain: 1 },
    new Set(),
    KNOWLEDGE,
    circumstances,
  );
  const { instructions, irOps, wasmOps, wasmBytes } = counters;
  const each = (count: number) => `${count} (${(count / instructions).toFixed(2)} an instruction)`;
  return [
    `${nodes.length} nodes, ${instructions} instructions`,
    `IR operations ${each(lifted)}, after the passes ${each(irOps)}`,
    `WebAssembly operators ${each(wasmOps)}, bytes ${each(wasmBytes)}`,
  ].join('\n');
}
