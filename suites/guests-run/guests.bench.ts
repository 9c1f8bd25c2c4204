import { isBuiltFor, GUESTS, type Guest } from '../guests/guests.ts';
import { defineBench } from '../harness/define-bench.ts';
import { THOROUGH } from '../harness/select.ts';
import { checkGuestRun, emulateGuest, readGuest, type EmulatedRun } from './guest-run.ts';

const SCALE = 'quick';
/** One of each sort: loops over memory, calls and strings, floating point, branches. */
const QUICK = ['sieve', 'dhry', 'nbody', 'lz'];

interface Prepared {
  readonly program: Uint8Array;
  /** Exact: the run is deterministic. */
  readonly counters: Readonly<Record<string, number>>;
}

function prepare(guest: Guest): Prepared {
  const program = readGuest(guest);
  const { result } = emulateGuest(guest, program, SCALE);
  const { decoded, misses, floatCalls } = result.vcpu;
  return {
    program,
    counters: {
      'guest-instructions': result.counters.instructions,
      decoded: decoded!,
      misses: misses!,
      'float-slow-calls': floatCalls!,
    },
  };
}

for (const guest of GUESTS.filter((each) => isBuiltFor(each, 'wasm32'))) {
  // What the integer guests should reach (issue 2, section B.4); the others have no goal of their own.
  const target = guest.kind === 'integer' ? { target: { value: 250, from: 'issue 2, section B' } } : {};
  defineBench<Prepared>({
    id: `guests/interpreter/${guest.name}`,
    title: `tier 0: ${guest.title}`,
    unit: 'MIPS',
    kind: 'throughput',
    direction: 'higher',
    engine: 'tinybench',
    tags: ['riscv64', guest.kind, ...(QUICK.includes(guest.name) ? [] : [THOROUGH])],
    inputs: ['guest-run.ts', `../guests/riscv64/${guest.name}`],
    ...target,
    setup: () => prepare(guest),
    work: ({ program }) => emulateGuest(guest, program, SCALE),
    items: ({ counters }) => counters['guest-instructions']!,
    check: (_, run) => checkGuestRun(guest, SCALE, run as EmulatedRun),
    counters: ({ counters }) => counters,
  });
}
