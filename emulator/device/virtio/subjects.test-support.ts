/** The devices of this folder's core as the malformed classes and the fuzz try them. */
import { VirtioBalloon } from './balloon.ts';
import { MemoryDisk } from './block-backend.ts';
import { VirtioBlock } from './block.ts';
import { VirtioConsole } from './console.ts';
import type { Segment, TestDriver } from './driver.test-support.ts';
import { VirtioEntropy } from './entropy.ts';
import type { Subject, SubjectQueue } from './hostile.test-support.ts';

const SECTORS = 16;

function blockHeader(driver: TestDriver, type: number, sector = 0n): Segment {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setBigUint64(8, sector, true);
  return driver.readable(bytes);
}

const blockQueue: SubjectQueue = {
  request: (driver) => [blockHeader(driver, 0), driver.writable(512), driver.writable(1)],
  malformed: [
    { number: 31, name: 'header alone', request: (driver) => [blockHeader(driver, 0)], expect: 'needs-reset' },
    { number: 31, name: 'status alone', request: (driver) => [driver.writable(1)], expect: 'needs-reset' },
    {
      number: 31,
      name: 'no status after the data of a write',
      request: (driver) => [blockHeader(driver, 1), driver.readable(new Uint8Array(512))],
      expect: 'needs-reset',
    },
    {
      number: 32,
      name: 'header of 15 bytes',
      request: (driver) => [driver.readable(new Uint8Array(15)), driver.writable(513)],
      expect: 'needs-reset',
    },
    {
      number: 33,
      name: 'status that may only be read',
      request: (driver) => [blockHeader(driver, 4), driver.readable(new Uint8Array(1))],
      expect: 'needs-reset',
    },
    {
      number: 33,
      name: 'status of zero bytes',
      request: (driver) => [blockHeader(driver, 4), { ...driver.writable(1), length: 0 }],
      expect: 'needs-reset',
    },
    {
      number: 34,
      name: 'read into a buffer that is readable',
      request: (driver) => [blockHeader(driver, 0), driver.readable(new Uint8Array(512)), driver.writable(1)],
      expect: { status: 1 },
    },
    {
      number: 34,
      name: 'write from a buffer that is writable',
      request: (driver) => [blockHeader(driver, 1), driver.writable(513)],
      expect: { status: 1 },
    },
    {
      number: 34,
      name: 'read with readable data as well',
      request: (driver) => [blockHeader(driver, 0), driver.readable(new Uint8Array(512)), driver.writable(513)],
      expect: { status: 1 },
    },
    {
      number: 34,
      name: 'write with writable data as well',
      request: (driver) => [blockHeader(driver, 1), driver.readable(new Uint8Array(512)), driver.writable(513)],
      expect: { status: 1 },
    },
    {
      number: 35,
      name: 'a sector less a byte',
      request: (driver) => [blockHeader(driver, 0), driver.writable(512)],
      expect: { status: 1 },
    },
    {
      number: 36,
      name: 'sector beyond the end',
      request: (driver) => [blockHeader(driver, 0, BigInt(SECTORS)), driver.writable(513)],
      expect: { status: 1 },
    },
    {
      number: 36,
      name: 'sector plus length overflows',
      request: (driver) => [
        blockHeader(driver, 1, 2n ** 64n - 1n),
        driver.readable(new Uint8Array(1024)),
        driver.writable(1),
      ],
      expect: { status: 1 },
    },
    {
      number: 37,
      name: 'unknown request type',
      request: (driver) => [blockHeader(driver, 0xdead_beef), driver.writable(513)],
      expect: { status: 2 },
    },
    {
      number: 38,
      name: 'get-id into 19 bytes',
      request: (driver) => [blockHeader(driver, 8), driver.writable(20)],
      expect: { status: 1 },
    },
  ],
};

export const SUBJECTS: readonly Subject[] = [
  {
    name: 'block',
    create: (clock) =>
      new VirtioBlock({ backend: new MemoryDisk(new Uint8Array(SECTORS * 512)), clock, queues: 2, latency: 10 }),
    queues: [blockQueue, blockQueue],
  },
  {
    name: 'console',
    create: (clock) => new VirtioConsole({ clock, output: () => {} }),
    queues: [
      {
        request: (driver) => [driver.writable(64)],
        stimulate: (device) => void (device as VirtioConsole).type(Uint8Array.of(0x61)),
        malformed: [
          {
            number: 34,
            name: 'input into a buffer that is readable',
            request: (driver) => [driver.readable(new Uint8Array(8))],
            expect: 'needs-reset',
          },
          {
            number: 34,
            name: 'input into a buffer that is readable in part',
            request: (driver) => [driver.readable(new Uint8Array(8)), driver.writable(8)],
            expect: 'needs-reset',
          },
        ],
      },
      {
        request: (driver) => [driver.readable(new Uint8Array(5))],
        malformed: [
          {
            number: 34,
            name: 'output from a buffer that is writable',
            request: (driver) => [driver.writable(8)],
            expect: 'needs-reset',
          },
          {
            number: 39,
            name: 'output of more than a mebibyte',
            request: (driver) => [driver.readable(new Uint8Array(2 ** 20 + 1))],
            expect: 'needs-reset',
          },
        ],
      },
    ],
  },
  {
    name: 'entropy',
    create: (clock) => new VirtioEntropy({ clock, source: (target) => void target.fill(4) }),
    queues: [
      {
        request: (driver) => [driver.writable(32)],
        malformed: [
          {
            number: 34,
            name: 'random bytes into a buffer that is readable',
            request: (driver) => [driver.readable(new Uint8Array(32))],
            expect: 'needs-reset',
          },
          {
            number: 27,
            name: 'room for more than a request is answered with',
            request: (driver) => [driver.writable(100_000)],
            expect: { answered: 65_536 },
          },
        ],
      },
    ],
  },
  {
    name: 'balloon',
    create: (clock) => new VirtioBalloon({ clock }),
    queues: [
      {
        // A page of RAM that no ring lies in.
        request: (driver) => [driver.readable(pageNumbers(0x8_0400))],
        malformed: [
          {
            number: 35,
            name: 'page numbers that are no multiple of four bytes',
            request: (driver) => [driver.readable(new Uint8Array(6))],
            expect: 'needs-reset',
          },
          {
            number: 34,
            name: 'page numbers in a buffer that is writable',
            request: (driver) => [driver.writable(4)],
            expect: 'needs-reset',
          },
          {
            number: 36,
            name: 'pages that are no RAM',
            request: (driver) => [driver.readable(pageNumbers(0, 1, 0xffff_ffff, 0x9_0000))],
            expect: { answered: 0 },
          },
        ],
      },
      { request: (driver) => [driver.readable(pageNumbers(0x8_0400))] },
      {
        request: (driver) => [driver.readable(new Uint8Array(20))],
        stimulate: (device) => void (device as VirtioBalloon).requestStatistics(),
        depth: 1,
        malformed: [
          {
            number: 35,
            name: 'half a statistic',
            request: (driver) => [driver.readable(new Uint8Array(15))],
            expect: 'needs-reset',
          },
        ],
      },
    ],
  },
];

function pageNumbers(...pages: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(pages).buffer);
}
