import { isBuiltFor, GUESTS, type Guest } from '../guests/guests.ts';
import { defineBench } from '../harness/define-bench.ts';
import { checkGuestRun, emulateGuest, readGuest, type EmulatedRun } from './guest-run.ts';

const SCALE = 'quick';
const TIER = 'auto';

interface Prepared {
  readonly program: Uint8Array;
  /** Exact: the run is deterministic. */
  readonly counters: Readonly<Record<string, number>>;
}

function prepare(guest: Guest): Prepared {
  const program = readGuest(guest);
  const { vcpu, translation, counters } = emulateGuest(guest, program, SCALE, TIER).result;
  const { translated, guestInstructions, irOps, wasmBytes, passes } = translation!;
  const lifted = Object.values(passes)[0]?.opsBefore ?? 0;
  const of = (name: string) => vcpu[name] ?? 0;
  return {
    program,
    counters: {
      'guest-instructions': counters.instructions,
      'in-regions': of('regionInstructions'),
      regions: of('regions'),
      translated,
      'translated-instructions': guestInstructions,
      'lifted-ir-ops': lifted,
      'ir-ops': irOps,
      'wasm-bytes': wasmBytes,
      chained: of('chained'),
      'chain-misses': of('chainMisses'),
      'chain-refills': of('chainRefills'),
      arrivals: of('arrivals'),
      refusals: of('refusals'),
    },
  };
}

for (const guest of GUESTS.filter((each) => isBuiltFor(each, 'wasm32'))) {
  defineBench<Prepared>({
    id: `guests/auto/${guest.name}`,
    title: `regions: ${guest.title}`,
    unit: 'MIPS',
    kind: 'throughput',
    direction: 'higher',
    engine: 'tinybench',
    tags: ['riscv64', guest.kind],
    inputs: ['guest-run.ts', `../guests/riscv64/${guest.name}`],
    setup: () => prepare(guest),
    work: ({ program }) => emulateGuest(guest, program, SCALE, TIER),
    items: ({ counters }) => counters['guest-instructions']!,
    check: (_, run) => checkGuestRun(guest, SCALE, run as EmulatedRun),
    counters: ({ counters }) => counters,
  });
}
