import assert from 'node:assert/strict';
import { GuestMemory } from '../../emulator/device/virtio/guest-memory.ts';
import { defineBench } from '../harness/define-bench.ts';

const BASE = 0x8000_0000;
const SIZE = 1 << 20;
const ACCESSES = 1024;

/** One region, as boards have, or two; every other address asked about is in the second. */
function memory(regions: 1 | 2): GuestMemory {
  const buffer = new ArrayBuffer(2 * SIZE);
  const first = { address: BASE, size: SIZE, offset: 0 };
  return regions === 1
    ? new GuestMemory(buffer, [first])
    : new GuestMemory(buffer, [first, { address: BASE + SIZE, size: SIZE, offset: SIZE }]);
}

for (const regions of [1, 2] as const) {
  defineBench<GuestMemory>({
    id: `virtio/guest-memory/offset-${regions}`,
    title: `check a guest-physical range against ${regions === 1 ? 'one region' : 'two regions'} of RAM`,
    unit: 'ns/access',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    setup: () => memory(regions),
    work: (ram) => {
      let sum = 0;
      for (let i = 0; i < ACCESSES; i++) {
        sum += ram.offset(BASE + ((i * 4096) % SIZE) + (i % 2 === 0 || regions === 1 ? 0 : SIZE), 512) & 1;
      }
      return sum + ram.offset(BASE - 1, 1);
    },
    items: () => ACCESSES + 1,
    check: (_, sum) => assert.equal(sum, -1),
  });
}
