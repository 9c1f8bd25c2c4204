/** Network, graphics and 9P as the malformed classes and the fuzz try them. Their requests take turns, so that a fuzz gets deep. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { VirtioDevice } from './device.ts';
import { RAM, type Segment, type TestDriver } from './driver.test-support.ts';
import { request as gpuRequest } from './gpu-driver.test-support.ts';
import { GpuCommand } from './gpu-protocol.ts';
import { VirtioGpu } from './gpu.ts';
import type { Subject } from './hostile.test-support.ts';
import { VirtioNet, type NetworkBackend } from './net.ts';
import { udpFrame } from './network/frame.ts';
import { GuestTcp, arpRequestFrame, echoRequestFrame, guestRoute } from './network/scripted-guest.test-support.ts';
import { EchoStream, ServiceTable } from './network/service-table.ts';
import { GATEWAY_ADDRESS, NAME_SERVER_ADDRESS, UserNetwork } from './network/user-network.ts';
import { encode } from './p9/client.test-support.ts';
import { P9 } from './p9/message.ts';
import { Virtio9p } from './p9.ts';

const HOST = 0x0a00_0264;

/** The user-mode network; besides, frames arrive when they are asked for. */
class Arrivals extends UserNetwork implements NetworkBackend {
  waiting = 0;
  override take(now: number): Uint8Array | undefined {
    if (this.waiting === 0) return super.take(now);
    this.waiting -= 1;
    return new Uint8Array(60).fill(0x5a);
  }
  override reset(): void {
    super.reset();
    this.waiting = 0;
  }
}

const backends = new WeakMap<VirtioDevice, Arrivals>();

/** One after another, round and round. */
function takeTurns<Value>(values: readonly Value[]): () => Value {
  let turn = 0;
  return () => values[turn++ % values.length]!;
}

const nextFrame = takeTurns([
  arpRequestFrame(GATEWAY_ADDRESS),
  echoRequestFrame(GATEWAY_ADDRESS, new Uint8Array(40)),
  new GuestTcp(HOST, 7, new Uint8Array(), false).take(0)!,
  udpFrame(guestRoute(NAME_SERVER_ADDRESS), 5000, 53, new Uint8Array(30)),
  udpFrame(guestRoute(0xffff_ffff, 0), 68, 67, new Uint8Array(300).fill(1, 0, 3)),
]);

const net: Subject = {
  name: 'net',
  create(clock) {
    const backend = new Arrivals({ services: new ServiceTable().add(HOST, 7, () => new EchoStream()) });
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
      request: (driver) => [driver.readable(new Uint8Array(12)), driver.readable(nextFrame())],
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

const nextCommand = takeTurns<readonly [type: number, words: readonly number[]]>([
  [GpuCommand.getDisplayInfo, []],
  [GpuCommand.resourceCreate2d, [1, 1, 16, 16]],
  [GpuCommand.resourceAttachBacking, [1, 2, RAM.address, 0, 512, 0, RAM.address + 4096, 0, 600, 0]],
  [GpuCommand.setScanout, [0, 0, 16, 16, 0, 1]],
  [GpuCommand.transferToHost2d, [2, 2, 8, 8, 0, 0, 1, 0]],
  [GpuCommand.transferToHost2d, [0, 0, 16, 16, 0, 0, 1, 0]],
  [GpuCommand.resourceFlush, [0, 0, 16, 16, 1, 0]],
  [GpuCommand.getEdid, [0, 0]],
  [GpuCommand.resourceDetachBacking, [1, 0]],
  [GpuCommand.resourceUnref, [1, 0]],
]);

const gpu: Subject = {
  name: 'gpu',
  create: (clock) => new VirtioGpu({ clock }),
  queues: [
    {
      request: (driver) => command(driver, ...nextCommand()),
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
          name: 'picture of 16 GiB',
          request: (driver) => command(driver, GpuCommand.resourceCreate2d, [9, 1, 65_536, 65_536]),
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
process.on('exit', () => fs.rmSync(root, { recursive: true, force: true }));

const VERSION = encode(P9.version, 'ds', [8192, '9P2000.L']);
const lying = (size: number) => {
  const message = VERSION.slice();
  new DataView(message.buffer, message.byteOffset).setUint32(0, size, true);
  return message;
};

const nextMessage = takeTurns([
  VERSION,
  encode(P9.attach, 'ddssd', [0, 0xffff_ffff, '', '', 0]),
  encode(P9.walk, 'ddh', [0, 1, 0]),
  encode(P9.lcreate, 'dsddd', [1, 'file', 2, 0o644, 0]),
  encode(P9.write, 'dqdr', [1, 0, 20, new Uint8Array(20)]),
  encode(P9.read, 'dqd', [1, 0, 50]),
  encode(P9.mkdir, 'dsdd', [0, 'dir', 0o755, 0]),
  encode(P9.renameat, 'dsds', [0, 'file', 0, 'other']),
  encode(P9.walk, 'ddhs', [0, 2, 1, 'other']),
  encode(P9.getattr, 'dq', [2, 0x7ff]),
  encode(P9.setattr, 'dddddqqqqq', [2, 8, 0, 0, 0, 100, 0, 0, 0, 0]),
  encode(P9.walk, 'ddh', [0, 3, 0]),
  encode(P9.lopen, 'dd', [3, 0]),
  encode(P9.readdir, 'dqd', [3, 0, 200]),
  encode(P9.symlink, 'dssd', [0, 'link', '..', 0]),
  encode(P9.unlinkat, 'dsd', [0, 'link', 0]),
  encode(P9.remove, 'd', [2]),
  encode(P9.clunk, 'd', [1]),
]);

const share: Subject = {
  name: '9p',
  create: (clock) => new Virtio9p({ tag: 'shared', root, clock }),
  queues: [
    {
      request: (driver) => [driver.readable(nextMessage()), driver.writable(300)],
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

export const SUBJECTS: readonly Subject[] = [net, gpu, share];
