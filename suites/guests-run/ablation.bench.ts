import { GUESTS, isBuiltFor } from '../guests/guests.ts';
import { defineBench } from '../harness/define-bench.ts';
import { THOROUGH } from '../harness/select.ts';
import { ABLATIONS, translationWithout, type Sizes } from './ablation.ts';

const SCALE = 'quick';
const QUICK = ['dhry', 'nbody'];

for (const guest of GUESTS.filter((each) => isBuiltFor(each, 'wasm32'))) {
  defineBench<ReadonlyMap<string, Sizes>>({
    id: `guests/without/${guest.name}`,
    title: `WebAssembly of the regions of ${guest.name}, and with each pass off`,
    unit: 'operators',
    kind: 'counter',
    direction: 'lower',
    engine: 'counters',
    tags: ['riscv64', guest.kind, ...(QUICK.includes(guest.name) ? [] : [THOROUGH])],
    inputs: ['ablation.ts', 'guest-run.ts', `../guests/riscv64/${guest.name}`],
    setup: () => new Map(['', ...ABLATIONS].map((pass) => [pass, translationWithout(guest, SCALE, pass)])),
    counters: (sizes) => {
      const { irOps, wasmOps, wasmBytes } = sizes.get('')!;
      const without = ABLATIONS.map((pass) => [`without-${pass}`, sizes.get(pass)!.wasmOps] as const);
      return { 'ir-ops': irOps, 'wasm-ops': wasmOps, 'wasm-bytes': wasmBytes, ...Object.fromEntries(without) };
    },
  });
}
