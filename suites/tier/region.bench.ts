import assert from 'node:assert/strict';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { optimize } from '../../emulator/pass/pipeline.ts';
import type { AccessKnowledge } from '../../emulator/tier/region/access-plan.ts';
import type { LoopKnowledge } from '../../emulator/tier/region/loop-guard.ts';
import { Discovery } from '../../emulator/tier/region/discover.ts';
import { analyseFlow } from '../../emulator/tier/region/flow-graph.ts';
import type { RegionNode } from '../../emulator/tier/region/node.ts';
import { type CompiledRegion, translateRegion } from '../../emulator/tier/region/translate.ts';
import { defineBench } from '../harness/define-bench.ts';

const GUEST_SIZE = 1 << 20;
const CODE = 0x1_0000;
/** Milliseconds by guest instructions in a region, everything included (issue 3). */
const TARGETS: Readonly<Record<number, number>> = { 60: 0.3, 400: 2, 1500: 15 };
const COMMON = { unit: 'µs', kind: 'time', direction: 'lower', engine: 'mitata', tags: ['riscv64'] } as const;
const KNOWLEDGE: AccessKnowledge & LoopKnowledge = {
  observed: () => undefined,
  register: () => GUEST_SIZE / 2,
  around: (_, write) => ({ low: GUEST_SIZE / 4, high: GUEST_SIZE, write }),
  distrusted: () => false,
  turns: () => undefined,
  wanders: () => false,
};
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

interface Prepared {
  readonly guest: Uint8Array;
  readonly end: number;
  readonly limit: number;
}

function prepare(instructions: number): Prepared {
  const guest = new Uint8Array(GUEST_SIZE);
  const code = program(instructions);
  guest.set(code, CODE);
  return { guest, end: CODE + code.length, limit: 2 * instructions };
}

function discover({ guest, end, limit }: Prepared, passes: boolean): RegionNode[] {
  const context = { ordinaryMemory: true, writableIsReadable: true };
  const view = {
    instruction: (pc: number) => (pc < end ? riscv64.decodeExecuted(guest, pc) : undefined),
    jumpTargets: () => [],
    isElsewhere: () => false,
    holdsCall: () => false,
    blockOf: (_pc: number, _end: number, lift: () => RegionNode['block']) => ({
      block: passes ? optimize(lift(), context) : lift(),
      usesModes: true,
    }),
  };
  return new Discovery(riscv64, view, CODE, { instructions: limit, inlined: 0 }).nodes();
}

function emit(nodes: readonly RegionNode[]): CompiledRegion {
  return translateRegion(riscv64, nodes, { guestSize: GUEST_SIZE, guardGain: 1 }, new Set(), KNOWLEDGE, CIRCUMSTANCES);
}

/** A module with a custom section that differs from one use to the next: V8 keeps modules by their bytes. */
function marked(module: Uint8Array): () => Uint8Array<ArrayBuffer> {
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

for (const [size, milliseconds] of Object.entries(TARGETS)) {
  const instructions = Number(size);
  const setup = () => prepare(instructions);
  const isWhole = (code: CompiledRegion) => {
    assert.ok(code.counters.instructions >= instructions);
    assert(WebAssembly.validate(code.bytes));
  };

  defineBench<Prepared>({
    ...COMMON,
    id: `tier/region/translate-${size}`,
    title: `find, lift, optimise and emit a region of ${size} instructions: our own work`,
    target: { value: milliseconds * 1000, from: 'issue 3, compile cost per region' },
    setup,
    work: (prepared) => emit(discover(prepared, true)),
    check: (_, code) => isWhole(code as CompiledRegion),
    counters: (prepared) => {
      const { nodes, irOps, wasmOps, wasmBytes } = emit(discover(prepared, true)).counters;
      return { nodes, 'ir-ops': irOps, 'wasm-ops': wasmOps, 'wasm-bytes': wasmBytes };
    },
  });

  defineBench<Prepared>({
    ...COMMON,
    id: `tier/region/baseline-${size}`,
    title: `the same without passes`,
    setup,
    work: (prepared) => emit(discover(prepared, false)),
    check: (_, code) => isWhole(code as CompiledRegion),
    counters: (prepared) => ({ 'ir-ops': emit(discover(prepared, false)).counters.irOps }),
  });

  defineBench<{ next: () => Uint8Array<ArrayBuffer> }>({
    ...COMMON,
    id: `tier/region/engine-${size}`,
    title: `V8's part: a module of ${size} instructions`,
    setup: () => ({ next: marked(emit(discover(setup(), true)).bytes) }),
    work: ({ next }) => new WebAssembly.Module(next()),
    check: (_, module) => assert.equal(WebAssembly.Module.exports(module as WebAssembly.Module)[0]!.name, 'run'),
  });

  defineBench<RegionNode[]>({
    ...COMMON,
    id: `tier/region/flow-${size}`,
    title: `dominators, loops and entries of ${size} instructions`,
    setup: () => discover(setup(), true),
    work: (nodes) => analyseFlow(nodes, [0]),
    check: (nodes, graph) => assert.ok((graph as { entries: readonly number[] }).entries.length <= nodes.length),
  });
}
