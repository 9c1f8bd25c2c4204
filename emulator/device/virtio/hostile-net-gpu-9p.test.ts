import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { VirtioDevice } from './device.ts';
import { RAM, type Segment, type TestDriver } from './driver.test-support.ts';
import { request as gpuRequest } from './gpu-driver.test-support.ts';
import { GpuCommand } from './gpu-protocol.ts';
import { VirtioGpu } from './gpu.ts';
import { HOSTILE_CLASSES, tryClass, tryMalformed, type Subject } from './hostile.test-support.ts';
import { VirtioNet, type NetworkBackend } from './net.ts';
import { encode } from './p9/client.test-support.ts';
import { P9 } from './p9/message.ts';
import { Virtio9p } from './p9.ts';

/** A network on which frames arrive when they are asked for. */
class Arrivals implements NetworkBackend {
  waiting = 0;
  readonly deadline = Infinity;
  onReady = (): void => {};
  receive(): void {}
  advance(): void {}
  take(): Uint8Array | undefined {
    if (this.waiting === 0) return undefined;
    this.waiting -= 1;
    return new Uint8Array(60).fill(0x5a);
  }
  reset(): void {
    this.waiting = 0;
  }
}

const backends = new WeakMap<VirtioDevice, Arrivals>();

const net: Subject = {
  name: 'net',
  create(clock) {
    const backend = new Arrivals();
    const device = new VirtioNet({ backend, clock, mac: Uint8Array.of(0x52, 0x54, 0, 0, 0, 1) });
    backends.set(device, backend);
    return device;
  },
  queues: [
    {
      request: (driver) => [driver.writable(1526)],
      stimulate(device) {
        const backend = backends.get(device)!;
        backend.waiting = 64;
        backend.onReady();
      },
      malformed: [
        {
          number: 39,
          name: 'receive buffer too short for any frame',
          request: (driver) => [driver.writable(20)],
          expect: 'needs-reset',
        },
        {
          number: 39,
          name: 'receive buffer that may only be read',
          request: (driver) => [driver.readable(new Uint8Array(1526))],
          expect: 'needs-reset',
        },
      ],
    },
    {
      request: (driver) => [driver.readable(new Uint8Array(12)), driver.readable(new Uint8Array(60))],
      malformed: [
        {
          number: 39,
          name: 'frame of 13 bytes',
          request: (driver) => [driver.readable(new Uint8Array(12 + 13))],
          expect: { answered: 0 },
        },
        {
          number: 39,
          name: 'frame beyond the largest',
          request: (driver) => [driver.readable(new Uint8Array(12 + 1515))],
          expect: { answered: 0 },
        },
        {
          number: 39,
          name: 'a mebibyte',
          request: (driver) => [driver.readable(new Uint8Array(1 << 20))],
          expect: { answered: 0 },
        },
        {
          number: 32,
          name: 'less than a header',
          request: (driver) => [driver.readable(new Uint8Array(11))],
          expect: { answered: 0 },
        },
        {
          number: 34,
          name: 'frame in a buffer that is writable',
          request: (driver) => [driver.writable(1526)],
          expect: { answered: 0 },
        },
      ],
    },
  ],
};

/** A command with room for its answer. */
const command = (driver: TestDriver, type: number, words: readonly number[], room = 2048): Segment[] => [
  driver.readable(gpuRequest(type, words)),
  driver.writable(room),
];

const gpu: Subject = {
  name: 'gpu',
  create: () => new VirtioGpu(),
  queues: [
    {
      request: (driver) => command(driver, GpuCommand.getDisplayInfo, []),
      malformed: [
        {
          number: 31,
          name: 'command without room for an answer',
          request: (driver) => [driver.readable(gpuRequest(GpuCommand.getDisplayInfo))],
          expect: { answered: 0 },
        },
        {
          number: 32,
          name: 'less than a header',
          request: (driver) => [driver.readable(new Uint8Array(23)), driver.writable(2048)],
          expect: { answered: 0 },
        },
        {
          number: 33,
          name: 'room for less than a header',
          request: (driver) => command(driver, GpuCommand.getDisplayInfo, [], 23),
          expect: { answered: 0 },
        },
        {
          number: 34,
          name: 'command in a buffer that is writable',
          request: (driver) => [driver.writable(2048)],
          expect: { answered: 0 },
        },
        {
          number: 36,
          name: 'backing outside RAM',
          request: (driver) => {
            driver.queues[0]!.submit(command(driver, GpuCommand.resourceCreate2d, [1, 1, 8, 8]));
            driver.queues[0]!.takeUsed();
            return command(driver, GpuCommand.resourceAttachBacking, [1, 1, RAM.address - 64, 0, 256, 0]);
          },
          expect: { answered: 24 },
        },
        {
          number: 37,
          name: 'unknown command',
          request: (driver) => command(driver, 0xdead_beef, []),
          expect: { answered: 24 },
        },
        {
          number: 38,
          name: 'EDID into too little room',
          request: (driver) => command(driver, GpuCommand.getEdid, [0, 0], 1055),
          expect: { answered: 24 },
        },
      ],
    },
    {
      request: (driver) => [driver.readable(gpuRequest(GpuCommand.moveCursor, [0, 1, 2, 0, 0, 0, 0, 0]))],
      malformed: [
        {
          number: 32,
          name: 'cursor command cut short',
          request: (driver) => [driver.readable(gpuRequest(GpuCommand.moveCursor, [0, 1]))],
          expect: { answered: 0 },
        },
        {
          number: 34,
          name: 'cursor command in a buffer that is writable',
          request: (driver) => [driver.writable(56)],
          expect: { answered: 0 },
        },
      ],
    },
  ],
};

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-9p-'));
const shares: Virtio9p[] = [];
after(() => {
  for (const { server } of shares) server.close();
  fs.rmSync(root, { recursive: true, force: true });
});

const VERSION = encode(P9.version, 'ds', [8192, '9P2000.L']);
const lying = (size: number) => {
  const message = VERSION.slice();
  new DataView(message.buffer, message.byteOffset).setUint32(0, size, true);
  return message;
};

const share: Subject = {
  name: '9p',
  create() {
    const device = new Virtio9p({ tag: 'shared', root });
    shares.push(device);
    return device;
  },
  queues: [
    {
      request: (driver) => [driver.readable(VERSION), driver.writable(100)],
      malformed: [
        {
          number: 31,
          name: 'message without room for an answer',
          request: (driver) => [driver.readable(VERSION)],
          expect: { answered: 0 },
        },
        {
          number: 32,
          name: 'less than a header',
          request: (driver) => [driver.readable(VERSION.subarray(0, 6)), driver.writable(100)],
          expect: { answered: 0 },
        },
        {
          number: 33,
          name: 'no room for an error',
          request: (driver) => [driver.readable(VERSION), driver.writable(10)],
          expect: { answered: 0 },
        },
        {
          number: 34,
          name: 'message in a buffer that is writable',
          request: (driver) => [driver.writable(100)],
          expect: { answered: 0 },
        },
        ...[0, 6, VERSION.length + 1, 0xffff_ffff].map((size) => ({
          number: 35,
          name: `message that says it has ${size} bytes`,
          request: (driver: TestDriver) => [driver.readable(lying(size)), driver.writable(100)],
          expect: { answered: 11 },
        })),
        {
          number: 37,
          name: 'unknown message',
          request: (driver) => [driver.readable(encode(200, '', [])), driver.writable(100)],
          expect: { answered: 11 },
        },
        {
          number: 38,
          name: 'answer longer than its room',
          request: (driver) => [driver.readable(VERSION), driver.writable(12)],
          expect: { answered: 11 },
        },
      ],
    },
  ],
};

for (const subject of [net, gpu, share]) {
  for (const hostile of HOSTILE_CLASSES)
    test(`${subject.name}: class ${hostile.number}, ${hostile.name}`, () => tryClass(subject, hostile));
  for (const [index, { malformed = [] }] of subject.queues.entries())
    for (const row of malformed)
      test(`${subject.name}, queue ${index}: class ${row.number}, ${row.name}`, () =>
        tryMalformed(subject, index, row));
}
