import { defineBench } from '../harness/define-bench.ts';
import { absent, SCRIPTS } from './busybox-scripts.ts';
import { guestCacheCounts, RATED, scriptCacheCounts, sumOfCounts, type CacheCounts } from './cache-rates.ts';

const SETS: Readonly<Record<string, { readonly title: string; readonly counts: () => CacheCounts }>> = {
  guests: {
    title: 'the guests together: jumps that the jump cache held, and others',
    counts: () => sumOfCounts(RATED.map((guest) => guestCacheCounts(guest, 'quick'))),
  },
  // Real inputs are fetched on request; without them there is nothing to count.
  ...(absent === undefined && {
    busybox: {
      title: 'scripts of busybox together: jumps that the jump cache held, and others',
      counts: () => sumOfCounts(Object.keys(SCRIPTS).map(scriptCacheCounts)),
    },
  }),
};

for (const [name, { title, counts }] of Object.entries(SETS)) {
  defineBench({
    id: `guests/jump-cache/${name}`,
    title,
    unit: 'jumps',
    kind: 'counter',
    direction: 'higher',
    engine: 'counters',
    tags: ['riscv64'],
    inputs: ['cache-rates.ts', 'busybox-scripts.ts', 'guest-run.ts'],
    counters: () => {
      const { held, refilled, absent: none, inRegions } = counts();
      return { held, refilled, absent: none, 'in-regions': inRegions };
    },
  });
}
