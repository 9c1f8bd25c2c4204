import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../../check/errors.ts';
import { MemoryDisk, SparseDisk } from './block-backend.ts';
import type { BlockBackend } from './block-backend.ts';
import { VirtioBlock } from './block.ts';
import { RingFeature } from './device.ts';
import { TestMachine, TRANSPORTS } from './driver.test-support.ts';
import type { Segment, TransportName } from './driver.test-support.ts';

const IN = 0;
const OUT = 1;
const FLUSH = 4;
const GET_ID = 8;
const DISCARD = 11;
const WRITE_ZEROES = 13;

const SECTORS = 64;

/** A disk whose sector n is filled with n + 1. */
function numbered(sectors = SECTORS): Uint8Array {
  const bytes = new Uint8Array(sectors * 512);
  for (let sector = 0; sector < sectors; sector++) bytes.fill(sector + 1, sector * 512, (sector + 1) * 512);
  return bytes;
}

interface Disk {
  readonly machine: TestMachine;
  readonly block: VirtioBlock;
}

function attach(backend: BlockBackend, options: { sectorSize?: 512 | 4096; transport?: TransportName } = {}): Disk {
  const { sectorSize = 512, transport = 'mmio' } = options;
  const machine = new TestMachine(
    transport,
    (clock) => new VirtioBlock({ backend, clock, sectorSize, serial: 'serial-0123456789', latency: 100 }),
    true,
  );
  machine.driver.start();
  return { machine, block: machine.device as VirtioBlock };
}

function header(type: number, sector: number | bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setBigUint64(8, BigInt(sector), true);
  return bytes;
}

function ranges(...list: readonly (readonly [sector: number | bigint, count: number, flags?: number])[]): Uint8Array {
  const bytes = new Uint8Array(16 * list.length);
  const view = new DataView(bytes.buffer);
  for (const [i, [sector, count, flags = 0]] of list.entries()) {
    view.setBigUint64(16 * i, BigInt(sector), true);
    view.setUint32(16 * i + 8, count, true);
    view.setUint32(16 * i + 12, flags, true);
  }
  return bytes;
}

/** Sends a request with its own header and status segments. Returns the status byte, or 'reset' when the device asks for that. */
function transfer(
  { machine }: Disk,
  type: number,
  sector: number | bigint,
  data: readonly Segment[],
  indirect = false,
) {
  const { driver } = machine;
  const status = driver.writable(1);
  driver.contents(status)[0] = 0xff;
  driver.queues[0]!.submit([driver.readable(header(type, sector)), ...data, status], indirect);
  machine.settle();
  if (driver.needsReset) return 'reset';
  assert.equal(driver.queues[0]!.takeUsed().length, 1, 'a request is answered once');
  return driver.contents(status)[0]!;
}

for (const transport of TRANSPORTS) {
  test(`reads and writes go to their sectors over ${transport}`, () => {
    const backend = new MemoryDisk(numbered());
    const disk = attach(backend, { transport });
    const { driver } = disk.machine;
    const target = driver.writable(1024);
    assert.equal(transfer(disk, IN, 5, [target]), 0);
    assert.deepEqual([...new Set(driver.contents(target).subarray(0, 512))], [6]);
    assert.deepEqual([...new Set(driver.contents(target).subarray(512))], [7]);
    assert.equal(transfer(disk, OUT, 63, [driver.readable(new Uint8Array(512).fill(0xaa))]), 0);
    assert.deepEqual([...new Set(backend.bytes.subarray(63 * 512))], [0xaa]);
    assert.equal(backend.bytes[63 * 512 - 1], 63);
    assert.deepEqual(driver.access.takeInterruptStatus(), 1);
    disk.machine.checkConfinement();
  });
}

test('a completion comes after the latency, not inside the notification', () => {
  const { machine } = attach(new MemoryDisk(numbered()));
  const { driver } = machine;
  const queue = driver.queues[0]!;
  queue.submit([driver.readable(header(IN, 0)), driver.writable(513)]);
  machine.advance(99);
  assert.deepEqual(queue.takeUsed(), []);
  assert.equal(driver.access.lineLevel(), false);
  machine.advance(1);
  assert.deepEqual(queue.takeUsed(), [{ head: 0, length: 513 }]);
  assert.equal(driver.access.lineLevel(), true);
});

test('requests of one notification share one interrupt and keep their order', () => {
  const { machine } = attach(new MemoryDisk(numbered()));
  const { driver } = machine;
  const queue = driver.queues[0]!;
  const heads = [4, 1, 3].map((sector) => {
    const head = queue.chain([driver.readable(header(IN, sector)), driver.writable(513)]);
    queue.offer(head);
    return head;
  });
  queue.kick();
  machine.settle();
  assert.deepEqual(
    queue.takeUsed(),
    heads.map((head) => ({ head, length: 513 })),
  );
  assert.equal(driver.interrupts, 1);
});

// Request validation: type, sector, what kind of data, and what must come back.
const MATRIX: readonly [
  name: string,
  backend: () => BlockBackend,
  type: number,
  sector: number | bigint,
  bytes: number,
  status: number,
][] = [
  ['first sector', () => new MemoryDisk(numbered()), IN, 0, 512, 0],
  ['whole disk', () => new MemoryDisk(numbered()), IN, 0, SECTORS * 512, 0],
  ['last sector', () => new MemoryDisk(numbered()), IN, SECTORS - 1, 512, 0],
  ['first beyond the end', () => new MemoryDisk(numbered()), IN, SECTORS, 512, 1],
  ['across the end', () => new MemoryDisk(numbered()), IN, SECTORS - 1, 1024, 1],
  ['one more than the disk', () => new MemoryDisk(numbered()), IN, 0, SECTORS * 512 + 512, 1],
  ['sector whose byte address overflows', () => new MemoryDisk(numbered()), IN, 1n << 55n, 512, 1],
  ['largest sector', () => new MemoryDisk(numbered()), IN, 0xffff_ffff_ffff_ffffn, 512, 1],
  ['zero sectors', () => new MemoryDisk(numbered()), IN, 0, 0, 1],
  ['half a sector', () => new MemoryDisk(numbered()), IN, 0, 256, 1],
  ['a sector and a byte', () => new MemoryDisk(numbered()), IN, 0, 513, 1],
  ['write to the last sector', () => new MemoryDisk(numbered()), OUT, SECTORS - 1, 512, 0],
  ['write beyond the end', () => new MemoryDisk(numbered()), OUT, SECTORS, 512, 1],
  ['write of zero sectors', () => new MemoryDisk(numbered()), OUT, 0, 0, 1],
  ['write to a read-only disk', () => new MemoryDisk(numbered(), true), OUT, 0, 512, 1],
  ['read of a read-only disk', () => new MemoryDisk(numbered(), true), IN, 0, 512, 0],
  ['empty disk', () => new MemoryDisk(new Uint8Array(0)), IN, 0, 512, 1],
  ['unknown type', () => new MemoryDisk(numbered()), 99, 0, 512, 2],
  ['legacy SCSI command', () => new MemoryDisk(numbered()), 2, 0, 512, 2],
  ['discard the disk does not offer', () => new MemoryDisk(numbered()), DISCARD, 0, 16, 2],
];
for (const [name, backend, type, sector, length, expected] of MATRIX) {
  test(`request validation: ${name} answers ${expected}`, () => {
    const disk = attach(backend());
    const { driver } = disk.machine;
    const data =
      length === 0
        ? []
        : type === OUT || type === DISCARD
          ? [driver.readable(new Uint8Array(length).fill(7))]
          : [driver.writable(length)];
    assert.equal(transfer(disk, type, sector, data), expected);
    assert.equal(disk.block.counters.errors, expected === 0 ? 0 : 1);
    disk.machine.checkConfinement();
  });
}

test('4096-byte sectors: the capacity stays in 512-byte units and requests must fall on whole blocks', () => {
  const disk = attach(new MemoryDisk(numbered()), { sectorSize: 4096 });
  const { driver } = disk.machine;
  assert.equal(driver.access.readConfig(0, 4), SECTORS);
  assert.equal(driver.access.readConfig(20, 4), 4096);
  assert.equal(transfer(disk, IN, 8, [driver.writable(4096)]), 0);
  assert.equal(transfer(disk, IN, 1, [driver.writable(4096)]), 1);
  assert.equal(transfer(disk, IN, 0, [driver.writable(512)]), 1);
  assert.throws(
    () => attach(new MemoryDisk(new Uint8Array(512)), { sectorSize: 4096 }),
    ConfigError,
    'a disk is a whole number of its sectors',
  );
});

test('header, data and status may share or split segments in any way', () => {
  const disk = attach(new MemoryDisk(numbered()));
  const { driver } = disk.machine;
  const queue = driver.queues[0]!;
  const request = header(IN, 2);
  const segments = [
    driver.readable(request.subarray(0, 3)),
    driver.readable(request.subarray(3)),
    driver.writable(100),
    driver.writable(413),
  ];
  queue.submit(segments);
  disk.machine.settle();
  assert.deepEqual(queue.takeUsed(), [{ head: 0, length: 513 }]);
  assert.deepEqual([...new Set(driver.contents(segments[2]!))], [3]);
  assert.deepEqual([...new Set(driver.contents(segments[3]!).subarray(0, 412))], [3]);
  assert.equal(driver.contents(segments[3]!)[412], 0);

  const joined = new Uint8Array(16 + 512).fill(0x5c);
  joined.set(header(OUT, 9));
  queue.submit([driver.readable(joined.subarray(0, 200)), driver.readable(joined.subarray(200)), driver.writable(1)]);
  disk.machine.settle();
  assert.equal(queue.takeUsed().length, 1);
  const back = driver.writable(512);
  assert.equal(transfer(disk, IN, 9, [back]), 0);
  assert.deepEqual([...new Set(driver.contents(back))], [0x5c]);
});

test('indirect requests do what direct ones do', () => {
  const disk = attach(new MemoryDisk(numbered()));
  const target = disk.machine.driver.writable(512);
  assert.equal(transfer(disk, IN, 7, [target], true), 0);
  assert.equal(disk.machine.driver.contents(target)[0], 8);
});

test('get-id answers the serial; a buffer too short for it is an error', () => {
  const disk = attach(new MemoryDisk(numbered()));
  const { driver } = disk.machine;
  const target = driver.writable(20);
  assert.equal(transfer(disk, GET_ID, 0, [target]), 0);
  assert.equal(Buffer.from(driver.contents(target)).toString('latin1'), 'serial-0123456789\0\0\0');
  assert.equal(transfer(disk, GET_ID, 0, [driver.writable(19)]), 1);
});

test('flush reaches the backend and its failure reaches the guest', () => {
  let works = true;
  let flushes = 0;
  const backend = new MemoryDisk(numbered());
  backend.flush = () => {
    flushes++;
    return works;
  };
  const disk = attach(backend);
  assert.equal(transfer(disk, FLUSH, 0, []), 0);
  works = false;
  assert.equal(transfer(disk, FLUSH, 0, []), 1);
  assert.equal(flushes, 2);
});

test('write-zeroes and discard act on all their ranges or, if one is wrong, on none', () => {
  const backend = new SparseDisk(1 << 20);
  const disk = attach(backend);
  const { driver } = disk.machine;
  backend.write(0, new Uint8Array(1 << 20).fill(9), 0, 1 << 20);
  const peek = (sector: number): number => {
    const byte = new Uint8Array(1);
    backend.read(sector * 512, byte, 0, 1);
    return byte[0]!;
  };
  assert.equal(transfer(disk, WRITE_ZEROES, 0, [driver.readable(ranges([1, 2], [10, 1, 1]))]), 0);
  assert.deepEqual([0, 1, 2, 3, 9, 10, 11].map(peek), [9, 0, 0, 9, 9, 0, 9]);
  assert.equal(transfer(disk, WRITE_ZEROES, 0, [driver.readable(ranges([20, 1], [2048, 1]))]), 1);
  assert.equal(transfer(disk, WRITE_ZEROES, 0, [driver.readable(ranges([20, 1], [1n << 63n, 1]))]), 1);
  assert.equal(transfer(disk, WRITE_ZEROES, 0, [driver.readable(ranges([20, 1, 2]))]), 2);
  assert.equal(peek(20), 9);
  const before = backend.stored;
  assert.equal(transfer(disk, DISCARD, 0, [driver.readable(ranges([256, 512]))]), 0);
  assert.equal(backend.stored, before - 512 * 512);
  assert.equal(transfer(disk, DISCARD, 0, [driver.readable(ranges([256, 512, 1]))]), 2);
  assert.equal(transfer(disk, DISCARD, 0, [driver.readable(new Uint8Array(15))]), 1);
  assert.equal(transfer(disk, DISCARD, 0, []), 1);
});

test('limits: sectors of a range, ranges of a request, bytes of a transfer', () => {
  const disk = attach(new SparseDisk(2 ** 40));
  const { driver } = disk.machine;
  const limitOf = (offset: number): number => driver.access.readConfig(offset, 4);
  const [maxDiscard, maxRanges, maxZero] = [limitOf(36), limitOf(40), limitOf(48)];
  for (const [type, most] of [
    [DISCARD, maxDiscard],
    [WRITE_ZEROES, maxZero],
  ] as const) {
    assert.equal(transfer(disk, type, 0, [driver.readable(ranges([0, most]))]), 0);
    assert.equal(transfer(disk, type, 0, [driver.readable(ranges([0, most + 1]))]), 1);
    const many = (count: number) => driver.readable(ranges(...Array.from({ length: count }, () => [8, 1] as const)));
    assert.equal(transfer(disk, type, 0, [many(maxRanges)]), 0);
    assert.equal(transfer(disk, type, 0, [many(maxRanges + 1)]), 1);
  }
  // All into the same bytes: only the sum counts.
  const target = driver.writable(2 ** 22);
  assert.equal(
    transfer(
      disk,
      IN,
      0,
      Array.from({ length: 32 }, () => target),
      true,
    ),
    0,
  );
  assert.equal(
    transfer(
      disk,
      IN,
      0,
      Array.from({ length: 33 }, () => target),
      true,
    ),
    1,
  );
});

test('without the event index the driver is kept from notifying until the turn', () => {
  const { machine } = attach(new MemoryDisk(numbered()));
  const { driver } = machine;
  driver.start(0xffff_ffff_ffff_ffffn & ~RingFeature.eventIndex);
  const queue = driver.queues[0]!;
  queue.submit([driver.readable(header(IN, 0)), driver.writable(513)]);
  assert.equal(queue.usedFlags, 1);
  machine.settle();
  assert.equal(queue.usedFlags, 0);
});

test('a turn moves a bounded number of bytes, and the next goes on', () => {
  const { machine, block } = attach(new SparseDisk(2 ** 40));
  const { driver } = machine;
  const queue = driver.queues[0]!;
  const target = driver.writable(2 ** 22);
  const large = Array.from({ length: 16 }, () => target);
  for (let i = 0; i < 3; i++) {
    queue.offer(queue.indirectChain([driver.readable(header(IN, 0)), ...large, driver.writable(1)]));
  }
  queue.kick();
  machine.advance(100);
  assert.equal(queue.takeUsed().length, 1);
  machine.settle();
  assert.equal(queue.takeUsed().length, 2);
  assert.ok(block.counters.turns >= 3);
});

test('memory is told of every byte the disk wrote', () => {
  const disk = attach(new MemoryDisk(numbered()));
  const { driver, written } = disk.machine;
  const target = driver.writable(512);
  written.length = 0;
  assert.equal(transfer(disk, IN, 0, [target]), 0);
  assert.ok(written.some(({ address, length }) => address === target.address && length === 512));
  written.length = 0;
  assert.equal(transfer(disk, IN, 1000, [target]), 1);
  assert.ok(!written.some(({ address }) => address === target.address), 'a failed read wrote nothing');
  assert.ok(
    written.some(({ length }) => length === 1),
    'but its status',
  );
});

test('a reset drops what was asked for and a new driver starts afresh', () => {
  const disk = attach(new MemoryDisk(numbered()));
  const { driver } = disk.machine;
  const target = driver.writable(512);
  driver.queues[0]!.submit([driver.readable(header(IN, 3)), target, driver.writable(1)]);
  driver.access.writeStatus(0);
  disk.machine.settle();
  assert.equal(driver.contents(target)[0], 0);
  assert.equal(driver.access.lineLevel(), false);
  driver.start();
  assert.equal(transfer(disk, IN, 3, [driver.writable(512)]), 0);
});

test('getters and features say what the disk is', () => {
  const { block } = attach(new MemoryDisk(numbered(), true));
  assert.equal(block.capacity, SECTORS);
  assert.equal(block.readOnly, true);
  assert.equal(block.sectorSize, 512);
  assert.notEqual(block.features & (1n << 5n), 0n, 'read-only is offered');
  assert.equal(block.features & (1n << 13n), 0n, 'discard is not');
});

test('what cannot be a disk is refused in one line', () => {
  const backend = new MemoryDisk(numbered());
  const { clock } = attach(backend).machine;
  assert.throws(() => new VirtioBlock({ backend, clock, serial: 'x'.repeat(21) }), ConfigError);
  assert.throws(() => new VirtioBlock({ backend, clock, serial: 'ä' }), ConfigError);
  assert.throws(() => new VirtioBlock({ backend, clock, queues: 0 }), ConfigError);
});

test('two runs of the same requests complete at the same ticks and in the same order', () => {
  const run = (): unknown => {
    const backend = new MemoryDisk(numbered());
    const machine = new TestMachine('mmio', (clock) => new VirtioBlock({ backend, clock, queues: 2, latency: 7 }));
    const { driver } = machine;
    driver.start();
    const log: unknown[] = [];
    let state = 12_345;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % limit;
    };
    for (let step = 0; step < 400; step++) {
      const queue = driver.queues[below(2)]!;
      const sector = below(SECTORS + 4);
      const data = below(2) === 0 ? driver.readable(new Uint8Array(512).fill(step)) : driver.writable(512);
      queue.submit([driver.readable(header(data.write ? IN : OUT, sector)), data, driver.writable(1)]);
      machine.advance(below(5));
      for (const { index } of driver.queues) log.push(step, index, driver.queues[index]!.takeUsed());
      log.push(driver.interrupts, driver.access.takeInterruptStatus());
    }
    machine.settle();
    const { counters } = driver.access.state.queues[0]!;
    return [log, counters, (machine.device as VirtioBlock).counters, Buffer.from(backend.bytes).toString('base64')];
  };
  const first = run();
  assert.ok(JSON.stringify(first).includes('"errors":'));
  assert.deepEqual(run(), first);
});
