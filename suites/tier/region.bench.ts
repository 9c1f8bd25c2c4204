import assert from 'node:assert/strict';
import { analyseFlow } from '../../emulator/tier/region/flow-graph.ts';
import type { RegionNode } from '../../emulator/tier/region/node.ts';
import type { CompiledRegion } from '../../emulator/tier/region/translate.ts';
import { defineBench } from '../harness/define-bench.ts';
import { discover, emit, marked, prepare, type Prepared } from './region-making.ts';

/** Milliseconds by guest instructions in a region, everything included (issue 3). */
const TARGETS: Readonly<Record<number, number>> = { 60: 0.3, 400: 2, 1500: 15 };
const COMMON = {
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  tags: ['riscv64'],
  inputs: ['region-making.ts'],
} as const;
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

  for (const [part, passes, title] of [
    ['engine', true, `V8's part: a module of ${size} instructions`],
    ['engine-baseline', false, `V8's part without passes: a module of ${size} instructions`],
  ] as const) {
    defineBench<{ next: () => Uint8Array<ArrayBuffer> }>({
      ...COMMON,
      id: `tier/region/${part}-${size}`,
      title,
      setup: () => ({ next: marked(emit(discover(setup(), passes)).bytes) }),
      work: ({ next }) => new WebAssembly.Module(next()),
      check: (_, module) => assert.equal(WebAssembly.Module.exports(module as WebAssembly.Module)[0]!.name, 'run'),
    });
  }

  defineBench<RegionNode[]>({
    ...COMMON,
    id: `tier/region/flow-${size}`,
    title: `dominators, loops and entries of ${size} instructions`,
    setup: () => discover(setup(), true),
    work: (nodes) => analyseFlow(nodes, [0]),
    check: (nodes, graph) => assert.ok((graph as { entries: readonly number[] }).entries.length <= nodes.length),
  });
}
