import assert from 'node:assert/strict';
import { MemoryDisk, OverlayDisk, SparseDisk } from '../../emulator/device/virtio/block-backend.ts';
import { VirtioBlock } from '../../emulator/device/virtio/block.ts';
import { TestMachine } from '../../emulator/device/virtio/driver.test-support.ts';
import { readClock } from '../harness/clock.ts';
import { defineBench } from '../harness/define-bench.ts';
import { THOROUGH } from '../harness/select.ts';
import { blockLoad, failures } from './block-load.ts';
import { serveRound } from './ring-load.ts';
import type { RingLoad } from './ring-load.ts';

const inputs = ['block-load.ts', 'ring-load.ts'];
const DISK_SECTORS = 8192;
const IN = 0;
const OUT = 1;
const FLUSH = 4;
const TEBIBYTE = 2 ** 40;

/** Four MiB; sector n is filled with n mod 251. */
function disk(): MemoryDisk {
  const bytes = new Uint8Array(DISK_SECTORS * 512);
  for (let sector = 0; sector < DISK_SECTORS; sector++) bytes.fill(sector % 251, sector * 512, sector * 512 + 512);
  return new MemoryDisk(bytes);
}

/** So many requests of that size that a round is long against its notification and interrupt, up to what a queue holds. */
const requestsOf = (sectors: number): number => (sectors >= 512 ? 8 : sectors >= 64 ? 16 : 64);

function checkLoad(load: RingLoad, used: unknown): void {
  assert.ok((used as number) > 0);
  assert.equal(failures(load), 0);
  assert.equal(load.machine.driver.needsReset, false);
}

const counted = (load: RingLoad): Readonly<Record<string, number>> => {
  const { counters } = load.ring;
  const before = { ...counters };
  serveRound(load);
  return {
    requests: counters.used - before.used,
    descriptors: counters.descriptors - before.descriptors,
    kicks: counters.kicks - before.kicks,
    notifications: counters.notifications - before.notifications,
    suppressed: counters.suppressed - before.suppressed,
  };
};

for (const [name, type] of [
  ['read', IN],
  ['write', OUT],
] as const) {
  for (const sectors of [1, 2, 8, 10, 64, 100, 256, 500, 1000]) {
    const count = requestsOf(sectors);
    defineBench<RingLoad>({
      id: `virtio/block/${name}-${sectors}`,
      title: `${name} ${sectors} sectors a request, memory backend`,
      unit: 'MiB/s',
      kind: 'throughput',
      direction: 'higher',
      engine: 'mitata',
      ...([1, 100, 1000].includes(sectors) ? {} : { tags: [THOROUGH] }),
      inputs,
      setup: () => blockLoad({ backend: disk(), type, sectors, sectorOf: () => 0, count }),
      work: serveRound,
      items: () => count * sectors * 512,
      check: checkLoad,
      counters: counted,
    });
  }
  for (const offset of [0, 1, 100, 1000, 2500, 5000]) {
    defineBench<RingLoad>({
      id: `virtio/block/${name}-at-${offset}`,
      title: `${name} 8 sectors at sector ${offset}`,
      unit: 'MiB/s',
      kind: 'throughput',
      direction: 'higher',
      engine: 'mitata',
      ...([0, 5000].includes(offset) ? {} : { tags: [THOROUGH] }),
      inputs,
      setup: () => blockLoad({ backend: disk(), type, sectors: 8, sectorOf: () => offset, count: 64 }),
      work: serveRound,
      items: () => 64 * 4096,
      check: checkLoad,
    });
  }
  for (const [order, sectorOf] of [
    ['sequential', (index: number) => index * 8],
    // A stride that visits the disk in no order a prefetcher knows.
    ['random', (index: number) => ((index * 2_654_435_761) % (DISK_SECTORS / 8)) * 8],
  ] as const) {
    defineBench<RingLoad>({
      id: `virtio/block/${name}-${order}`,
      title: `${name} 4 KiB a request, ${order}`,
      unit: 'kop/s',
      kind: 'throughput',
      direction: 'higher',
      engine: 'mitata',
      inputs,
      setup: () => blockLoad({ backend: disk(), type, sectors: 8, sectorOf, count: 64 }),
      work: serveRound,
      items: () => 64,
      check: checkLoad,
    });
  }
  for (const sectorSize of [512, 4096] as const) {
    defineBench<RingLoad>({
      id: `virtio/block/${name}-sectors-of-${sectorSize}`,
      title: `${name} 32 KiB a request from a disk of ${sectorSize}-byte sectors`,
      unit: 'MiB/s',
      kind: 'throughput',
      direction: 'higher',
      engine: 'mitata',
      inputs,
      setup: () => blockLoad({ backend: disk(), type, sectors: 64, sectorOf: () => 64, count: 16, sectorSize }),
      work: serveRound,
      items: () => 16 * 64 * 512,
      check: checkLoad,
    });
  }
  for (const [backend, make] of [
    ['sparse', () => new SparseDisk(TEBIBYTE)],
    ['overlay', () => new OverlayDisk(disk())],
  ] as const) {
    defineBench<RingLoad>({
      id: `virtio/block/${name}-${backend}`,
      title: `${name} 32 KiB a request, ${backend} backend`,
      unit: 'MiB/s',
      kind: 'throughput',
      direction: 'higher',
      engine: 'mitata',
      inputs,
      setup: () => blockLoad({ backend: make(), type, sectors: 64, sectorOf: (index) => index * 64, count: 16 }),
      work: serveRound,
      items: () => 16 * 64 * 512,
      check: checkLoad,
    });
  }
}

interface Beside {
  readonly load: RingLoad;
  readonly source: Uint8Array;
  readonly target: Uint8Array;
}

for (const [name, type] of [
  ['read', IN],
  ['write', OUT],
] as const) {
  for (const sectors of [100, 1000]) {
    const count = requestsOf(sectors);
    const repeat = 16;
    defineBench<Beside>({
      id: `virtio/block/${name}-${sectors}-times-memcpy`,
      title: `${name} of ${sectors} sectors as a fraction of the host's own memcpy of the same bytes, side by side`,
      unit: 'times',
      kind: 'throughput',
      direction: 'higher',
      engine: 'tinybench',
      selfMeasured: true,
      inputs,
      target: { value: 0.8, from: 'issue 4' },
      setup: () => {
        const backend = disk();
        const load = blockLoad({ backend, type, sectors, sectorOf: () => 0, count });
        // The same bytes from and to the same places: where they lie in their cache lines makes 8 % of a memcpy.
        const onDisk = backend.bytes.subarray(0, sectors * 512);
        const [source, target] = type === IN ? [onDisk, load.data] : [load.data, onDisk];
        for (let i = 0; i < 2000; i++) serveRound(load);
        return { load, source, target };
      },
      work: (state) => {
        const device = (): number => {
          const start = readClock('cpu');
          for (let i = 0; i < repeat; i++) serveRound(state.load);
          return readClock('cpu') - start;
        };
        const host = (): number => {
          const start = readClock('cpu');
          for (let i = 0; i < repeat * count; i++) state.target.set(state.source);
          return readClock('cpu') - start;
        };
        // Each comes as often after itself as after the other, so that what is left in the caches favours neither.
        const before = device();
        const memcpy = host() + host();
        return memcpy / (before + device());
      },
    });
  }
}

defineBench<RingLoad>({
  id: 'virtio/block/flush',
  title: 'flush, memory backend',
  unit: 'ns/request',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  inputs,
  setup: () => blockLoad({ backend: disk(), type: FLUSH, sectors: 0, sectorOf: () => 0, count: 64 }),
  work: serveRound,
  items: () => 64,
  check: checkLoad,
});

defineBench<TestMachine>({
  id: 'virtio/block/create-1-tib',
  title: 'make a sparse disk of 1 TiB and its device',
  unit: 'ms',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  target: { value: 1, from: 'issue 4' },
  setup: () => new TestMachine('mmio', (clock) => new VirtioBlock({ backend: new SparseDisk(TEBIBYTE), clock })),
  work: ({ clock }) => new VirtioBlock({ backend: new SparseDisk(TEBIBYTE), clock }),
  check: (_, block) => assert.equal((block as VirtioBlock).capacity, TEBIBYTE / 512),
});

defineBench<VirtioBlock>({
  id: 'virtio/block/getters',
  title: 'ask a disk for capacity, sector size and whether it is read-only',
  unit: 'ns',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: () => new TestMachine('mmio', (clock) => new VirtioBlock({ backend: disk(), clock })).device as VirtioBlock,
  work: (block) => block.capacity + block.sectorSize + (block.readOnly ? 1 : 0),
  check: (_, sum) => assert.equal(sum, DISK_SECTORS + 512),
});
