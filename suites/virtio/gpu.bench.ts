import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { RAM, type TestQueue } from '../../emulator/device/virtio/driver.test-support.ts';
import { GpuDriver, request } from '../../emulator/device/virtio/gpu-driver.test-support.ts';
import { GpuCommand, GpuResponse } from '../../emulator/device/virtio/gpu-protocol.ts';
import type { VirtioGpu } from '../../emulator/device/virtio/gpu.ts';
import { encodePng } from '../../emulator/device/virtio/image/png.ts';
import { defineBench } from '../harness/define-bench.ts';

const WIDTH = 800;
const HEIGHT = 600;
const BYTES = WIDTH * HEIGHT * 4;
const PAGE = 4096;
const FRAMEBUFFER = RAM.address + 0x20_0000;
const WHOLE = { x: 0, y: 0, width: WIDTH, height: HEIGHT };

interface GpuLoad {
  readonly driver: GpuDriver;
  readonly gpu: VirtioGpu;
  readonly queue: TestQueue;
  readonly count: number;
}

interface LoadOptions {
  /** How often a round executes the command: a power of two up to 64. */
  readonly count?: number;
  /** The picture lies in single pages in no order, as a kernel without contiguous memory has it. */
  readonly scattered?: boolean;
}

/** A card that shows an 800 x 600 picture, and the same command many times over on its ring. */
function gpuLoad(command: Uint8Array, { count = 1, scattered = false }: LoadOptions = {}): GpuLoad {
  const driver = new GpuDriver();
  const bytes = driver.machine.driver.bytes(FRAMEBUFFER, BYTES);
  for (let i = 0; i < BYTES; i++) bytes[i] = (i >> 7) ^ (i & 3);
  const pages = Math.floor(BYTES / PAGE);
  const entries = Array.from({ length: pages }, (_, i) => [FRAMEBUFFER + ((i * 7) % pages) * PAGE, PAGE] as const);
  const answers = [
    driver.create(1, 2, WIDTH, HEIGHT),
    driver.attach(1, scattered ? [...entries, [FRAMEBUFFER + pages * PAGE, PAGE]] : [[FRAMEBUFFER, BYTES]]),
    driver.setScanout(1, WHOLE),
    driver.transfer(1, WHOLE),
  ];
  assert.ok(answers.every((answer) => answer === GpuResponse.okNoData));
  const queue = driver.machine.driver.queues[0]!;
  // The ring repeats from a whole number of turns on.
  while (queue.availIndex % queue.size !== 0) driver.command(GpuCommand.getDisplayInfo, []);
  const { driver: guest } = driver.machine;
  queue.fillAvail(Array.from({ length: count }, () => queue.chain([guest.readable(command), guest.writable(1056)])));
  return { driver, gpu: driver.gpu, queue, count };
}

function round({ driver, gpu, queue, count }: GpuLoad): number {
  queue.setAvailIndex(queue.availIndex + count);
  queue.kick();
  driver.machine.settle();
  return gpu.counters.commands;
}

function checkLoad({ gpu }: GpuLoad): void {
  assert.equal(gpu.counters.errors + gpu.counters.malformed, 0);
}

const transfer = (x: number, y: number, width: number, height: number) =>
  request(GpuCommand.transferToHost2d, [x, y, width, height, (y * WIDTH + x) * 4, 0, 1, 0]);

const TRANSFERS: readonly (readonly [
  name: string,
  title: string,
  command: Uint8Array,
  bytes: number,
  scattered: boolean,
])[] = [
  ['whole', 'a picture of 800 x 600 from one stretch of memory', transfer(0, 0, WIDTH, HEIGHT), BYTES, false],
  ['scattered', 'a picture of 800 x 600 from scattered pages', transfer(0, 0, WIDTH, HEIGHT), BYTES, true],
  ['part', 'a part of 320 x 200 of it', transfer(100, 100, 320, 200), 320 * 200 * 4, true],
];

for (const [name, title, command, bytes, scattered] of TRANSFERS) {
  defineBench<GpuLoad>({
    id: `virtio/gpu/transfer-${name}`,
    title: `transfer ${title}`,
    unit: 'MiB/s',
    kind: 'throughput',
    direction: 'higher',
    engine: 'mitata',
    setup: () => gpuLoad(command, { scattered }),
    work: round,
    items: () => bytes,
    check: checkLoad,
    counters: (load) => {
      const before = load.gpu.counters.transferredBytes;
      round(load);
      return { bytes: load.gpu.counters.transferredBytes - before };
    },
  });
}

for (const [name, title, command] of [
  ['flush', 'flush', request(GpuCommand.resourceFlush, [0, 0, WIDTH, HEIGHT, 1, 0])],
  ['display-info', 'ask for the display', request(GpuCommand.getDisplayInfo)],
  ['edid', 'ask for its EDID', request(GpuCommand.getEdid, [0, 0])],
] as const) {
  defineBench<GpuLoad>({
    id: `virtio/gpu/${name}`,
    title,
    unit: 'ns/command',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    setup: () => gpuLoad(command, { count: 32 }),
    work: round,
    items: ({ count }) => count,
    check: checkLoad,
  });
}

defineBench<GpuLoad>({
  id: 'virtio/gpu/screenshot',
  title: 'the display of 800 x 600 as red, green and blue',
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'mitata',
  setup: () => gpuLoad(request(GpuCommand.getDisplayInfo)),
  work: ({ gpu }) => gpu.screenshot(),
  items: () => BYTES,
  check: ({ gpu }) => assert.equal(gpu.screenshot()?.pixels.length, WIDTH * HEIGHT * 3),
});

defineBench<GpuLoad>({
  id: 'virtio/gpu/png',
  title: 'a screenshot of 800 x 600 as PNG',
  unit: 'ms',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  setup: () => gpuLoad(request(GpuCommand.getDisplayInfo)),
  work: ({ gpu }) => encodePng(gpu.screenshot()!, zlib.deflateSync),
  check: (_, file) => assert.equal((file as Uint8Array)[1], 0x50),
});
