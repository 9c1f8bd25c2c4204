import assert from 'node:assert/strict';
import type { Chain } from '../../emulator/device/virtio/chain.ts';
import { defineBench } from '../harness/define-bench.ts';
import { openLoad } from './ring-load.ts';

const SEGMENTS = 16;
const SEGMENT_SIZE = 4096;
const BYTES = SEGMENTS * SEGMENT_SIZE;

interface Stream {
  readonly chain: Chain;
  readonly bytes: Uint8Array;
}

for (const direction of ['read', 'write'] as const) {
  defineBench<Stream>({
    id: `virtio/chain/${direction}`,
    title: `${direction} 64 KiB through a chain of 16 segments`,
    unit: 'MiB/s',
    kind: 'throughput',
    direction: 'higher',
    engine: 'mitata',
    inputs: ['ring-load.ts'],
    setup: () => {
      const { queue, ring } = openLoad({
        count: 1,
        request: (driver) =>
          Array.from({ length: SEGMENTS }, () =>
            direction === 'read'
              ? driver.readable(new Uint8Array(SEGMENT_SIZE).fill(7))
              : driver.writable(SEGMENT_SIZE),
          ),
      });
      queue.setAvailIndex(1);
      return { chain: ring.pop()!, bytes: new Uint8Array(BYTES).fill(9) };
    },
    work: ({ chain, bytes }) => (direction === 'read' ? chain.read(0, bytes) : chain.write(0, bytes)),
    items: () => BYTES,
    check: ({ chain, bytes }, done) => {
      assert.equal(done, BYTES);
      assert.equal(
        direction === 'read' ? bytes.at(-1) : chain.writable(SEGMENTS - 1).at(-1),
        direction === 'read' ? 7 : 9,
      );
    },
  });
}
