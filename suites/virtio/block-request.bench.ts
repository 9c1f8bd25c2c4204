import assert from 'node:assert/strict';
import { BlockRequest, BlockStatus, BlockType } from '../../emulator/device/virtio/block-request.ts';
import type { BlockLimits } from '../../emulator/device/virtio/block-request.ts';
import type { Chain } from '../../emulator/device/virtio/chain.ts';
import { defineBench } from '../harness/define-bench.ts';
import { blockHeader } from './block-load.ts';
import { openLoad } from './ring-load.ts';

const COUNT = 64;
const SECTORS = 6000;
const LIMITS: BlockLimits = {
  sectors: SECTORS,
  sectorMask: 0,
  readOnly: false,
  discard: true,
  maxZeroSectors: 1 << 15,
  maxDiscardSectors: 1 << 22,
  maxRanges: 16,
};

interface Parsing {
  readonly request: BlockRequest;
  readonly chains: readonly Chain[];
}

const KINDS: readonly {
  name: string;
  title: string;
  type: number;
  sector: number;
  data: number;
  limits: BlockLimits;
  status: BlockStatus;
}[] = [
  { name: 'valid', title: 'a valid read', type: 0, sector: 100, data: 4096, limits: LIMITS, status: 0 },
  { name: 'write', title: 'a valid write', type: 1, sector: 100, data: 4096, limits: LIMITS, status: 0 },
  {
    name: 'boundary',
    title: 'a read of the last sectors',
    type: 0,
    sector: SECTORS - 8,
    data: 4096,
    limits: LIMITS,
    status: 0,
  },
  {
    name: 'out-of-range',
    title: 'a read across the end',
    type: 0,
    sector: SECTORS - 7,
    data: 4096,
    limits: LIMITS,
    status: 1,
  },
  { name: 'zero-count', title: 'a read of no sectors', type: 0, sector: 0, data: 0, limits: LIMITS, status: 1 },
  { name: 'invalid-size', title: 'a read of half a sector', type: 0, sector: 0, data: 256, limits: LIMITS, status: 1 },
  {
    name: 'read-only',
    title: 'a write to a read-only disk',
    type: 1,
    sector: 0,
    data: 512,
    limits: { ...LIMITS, readOnly: true },
    status: 1,
  },
  {
    name: 'empty',
    title: 'a read of an empty disk',
    type: 0,
    sector: 0,
    data: 512,
    limits: { ...LIMITS, sectors: 0 },
    status: 1,
  },
];
for (const { name, title, type, sector, data, limits, status } of KINDS) {
  defineBench<Parsing>({
    id: `virtio/block-request/${name}`,
    title: `validate ${title}`,
    unit: 'ns/request',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    target: { value: 20, from: 'issue 4' },
    inputs: ['block-load.ts', 'ring-load.ts'],
    setup: () => {
      const { queue, ring } = openLoad({
        count: COUNT,
        request: (driver) => [
          blockHeader(driver, type, sector),
          ...(data === 0
            ? []
            : [type === BlockType.out ? driver.readable(new Uint8Array(data)) : driver.writable(data)]),
          driver.writable(1),
        ],
      });
      queue.setAvailIndex(COUNT);
      return { request: new BlockRequest(limits), chains: Array.from({ length: COUNT }, () => ring.pop()!) };
    },
    work: ({ request, chains }) => {
      let answers = 0;
      for (let i = 0; i < COUNT; i++) answers += request.parse(chains[i]!);
      return answers;
    },
    items: () => COUNT,
    check: (_, answers) => assert.equal(answers, COUNT * status),
  });
}
