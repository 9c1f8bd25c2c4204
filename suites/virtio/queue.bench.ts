import assert from 'node:assert/strict';
import { RingFeature } from '../../emulator/device/virtio/device.ts';
import type { Segment, TestDriver } from '../../emulator/device/virtio/driver.test-support.ts';
import { defineBench } from '../harness/define-bench.ts';
import { openLoad, popAndPushRound } from './ring-load.ts';
import type { RingLoad } from './ring-load.ts';

const COUNT = 64;
const inputs = ['ring-load.ts'];
const ALL = 0xffff_ffff_ffff_ffffn;

const blockLike = (driver: TestDriver): readonly Segment[] => [
  driver.readable(new Uint8Array(16)),
  driver.writable(4096),
  driver.writable(1),
];
const oneBuffer = (driver: TestDriver): readonly Segment[] => [driver.writable(64)];

/** What one round counts, exactly. */
function counted(load: RingLoad): Readonly<Record<string, number>> {
  const { counters } = load.ring;
  const before = { ...counters };
  popAndPushRound(load);
  return {
    chains: counters.chains - before.chains,
    descriptors: counters.descriptors - before.descriptors,
    'indirect-tables': counters.indirectTables - before.indirectTables,
    notifications: counters.notifications - before.notifications,
    suppressed: counters.suppressed - before.suppressed,
  };
}

const KINDS: readonly {
  name: string;
  title: string;
  request: (driver: TestDriver) => readonly Segment[];
  indirect: boolean;
  features: bigint;
}[] = [
  { name: 'one', title: 'one descriptor', request: oneBuffer, indirect: false, features: ALL },
  { name: 'three', title: 'a chain of three descriptors', request: blockLike, indirect: false, features: ALL },
  {
    name: 'indirect',
    title: 'three descriptors in an indirect table',
    request: blockLike,
    indirect: true,
    features: ALL,
  },
  {
    name: 'flags',
    title: 'a chain of three descriptors, notifications suppressed by flag',
    request: blockLike,
    indirect: false,
    features: ALL & ~RingFeature.eventIndex,
  },
];
for (const { name, title, request, indirect, features } of KINDS) {
  defineBench<RingLoad>({
    id: `virtio/queue/${name}`,
    title: `pop and push ${title}`,
    unit: 'ns/request',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    inputs,
    setup: () => {
      const load = openLoad({ request, count: COUNT, indirect, features });
      load.queue.availFlags = name === 'flags' ? 1 : 0;
      return load;
    },
    work: popAndPushRound,
    items: () => COUNT,
    check: (load, bytes) => {
      assert.equal(bytes, COUNT * (request === oneBuffer ? 64 : 4097));
      assert.equal(load.ring.fault, undefined);
      assert.equal(load.ring.inFlight, 0);
    },
    counters: counted,
  });
}
