/** What `emulate --dump` prints: the region that holds an address, as its control flow, its IR and its WebAssembly. */
import { ConfigError } from '../emulator/check/errors.ts';
import { printBlock } from '../emulator/ir/print.ts';
import type { KeptRegion } from '../emulator/machine/translation-log.ts';
import { analyseFlow } from '../emulator/tier/region/flow-graph.ts';
import type { Ending, Target } from '../emulator/tier/region/node.ts';
import { disassemble } from '../emulator/wasm/disassemble.ts';
import { hexAddress } from './output.ts';

const KINDS = ['regions', 'ir', 'wasm'] as const;
type Kind = (typeof KINDS)[number];

export interface DumpRequest {
  readonly kinds: readonly Kind[];
  /** Guest address, as a signed number. */
  readonly address: number;
}

/** `regions:0x10230`, `ir,wasm:66096`, `ir:0xffffffff80000000`. Throws ConfigError for anything else. */
export function parseDump(text: string): DumpRequest {
  const [what = '', where = '', ...rest] = text.split(':');
  const kinds = what.split(',') as Kind[];
  const address = parseAddress(where);
  if (rest.length > 0 || !kinds.every((kind) => KINDS.includes(kind)) || address === undefined)
    throw new ConfigError(`'${text}' is not something to dump`, {
      where: '--dump',
      mend: `write ${KINDS.join(', ')} or several with commas, a colon, and a guest address: ir,wasm:0x10230`,
    });
  return { kinds, address };
}

/** 64 bits, of which code is only looked for where a number says them exactly: within 2^53 of either end. */
function parseAddress(text: string): number | undefined {
  if (!/^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text)) return undefined;
  const bits = BigInt(text);
  const address = Number(BigInt.asIntN(64, bits));
  return bits < 2n ** 64n && Number.isSafeInteger(address) ? address : undefined;
}

/** The dumps asked for, or one line when no region holds the address. */
export function dumpRegion({ kinds, address }: DumpRequest, kept: KeptRegion | undefined): string {
  if (kept === undefined) return `No region was made that holds ${hexAddress(address)}.`;
  const parts = { regions: shapeText, ir: irText, wasm: wasmText };
  return KINDS.filter((kind) => kinds.includes(kind))
    .map((kind) => parts[kind](kept))
    .join('\n\n');
}

function shapeText({ region, nodes, reused }: KeptRegion): string {
  const { code, live, generation } = region;
  const { innermost, loopHeaders, entries } = analyseFlow(nodes, [0]);
  const lines = nodes.map((node, index) => {
    const marks = [
      ...(entries.includes(index) ? ['entry'] : []),
      ...(loopHeaders[index] === 1 ? ['loop'] : []),
      ...(innermost[index] !== -1 && innermost[index] !== index ? [`in loop ${innermost[index]}`] : []),
      ...(node.inlined ? ['inlined'] : []),
    ];
    const range = `${hexAddress(node.pc)}–${hexAddress(node.end)}`;
    return `  ${String(index).padStart(3)}  ${range}  ${node.instructions} instructions  ${endingText(node.ending)}${marks.length > 0 ? `  (${marks.join(', ')})` : ''}`;
  });
  const exits = new Map<string, number>();
  for (const { kind } of code.exits) exits.set(kind, (exits.get(kind) ?? 0) + 1);
  const { instructions, irOps, wasmOps, wasmBytes } = code.counters;
  return [
    `Region ${hexAddress(region.seed)}, generation ${generation}${live ? '' : ', no longer live'}${reused ? ', from the store' : ''}${reused && nodes.length > 0 ? ' (nodes as they would be now)' : ''}`,
    `  ${nodes.length} nodes, ${instructions} instructions, ${irOps} IR operations, ${wasmOps} WebAssembly operators, ${wasmBytes} bytes`,
    `  entries: ${code.entries.map(({ pc }) => hexAddress(pc)).join(', ')}`,
    `  places to leave: ${[...exits].map(([kind, count]) => `${count} ${kind}`).join(', ') || 'none'}`,
    ...code.assumptions.map(
      ({ low, high, write }) =>
        `  assumes that ${hexAddress(low)}–${hexAddress(high)} may be ${write ? 'written' : 'read'}`,
    ),
    ...lines,
  ].join('\n');
}

function endingText(ending: Ending): string {
  const to = (target: Target): string =>
    'node' in target ? `→ ${target.node}` : `leaves to ${hexAddress(target.exit)}`;
  switch (ending.kind) {
    case 'goto':
      return to(ending.to);
    case 'branch':
      return `taken ${to(ending.taken)}, else ${to(ending.fallThrough)}`;
    case 'jump': {
      const known = [...(ending.expected === undefined ? [] : [ending.expected]), ...ending.known];
      return `${ending.isReturn ? 'returns' : 'jumps'}${known.map((node) => ` → ${node}`).join(',')}`;
    }
    case 'leave':
      return `leaves at ${hexAddress(ending.pc)}`;
  }
}

function irText({ nodes, before }: KeptRegion): string {
  if (nodes.length === 0) return 'No IR: the code is that of an earlier run.';
  return nodes
    .map(({ pc, block }, index) => {
      const lifted = before[index]!;
      return [
        `Node ${index} at ${hexAddress(pc)} as lifted, ${lifted.ops.length} operations`,
        printBlock(lifted),
        `Node ${index} after the passes, ${block.ops.length} operations`,
        printBlock(block),
      ].join('\n');
    })
    .join('\n\n');
}

function wasmText({ region }: KeptRegion): string {
  return disassemble(region.code.bytes);
}
