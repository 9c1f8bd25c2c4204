import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { ConfigError } from '../../check/errors.ts';
import { TestMachine, type TransportName } from './driver.test-support.ts';
import { decode, encode } from './p9/client.test-support.ts';
import { P9 } from './p9/message.ts';
import { Virtio9p, type Virtio9pOptions } from './p9.ts';

function share(context: TestContext, transport: TransportName = 'mmio', options: Partial<Virtio9pOptions> = {}) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-9p-'));
  fs.writeFileSync(path.join(root, 'file'), 'hello from the host');
  let device!: Virtio9p;
  const machine = new TestMachine(
    transport,
    (clock) => (device = new Virtio9p({ tag: 'shared', root, clock, ...options })),
  );
  context.after(() => {
    device.server.close();
    fs.rmSync(root, { recursive: true, force: true });
  });
  const { driver } = machine;
  driver.start();
  /** Sends a message in pieces of `piece` bytes and returns the reply, whose room is in pieces, too. */
  const send = (message: Uint8Array, room = 4096, piece = 4096) => {
    const queue = driver.queues[0]!;
    const pieces = (length: number) =>
      Array.from({ length: Math.ceil(length / piece) }, (_, i) => Math.min(piece, length - i * piece));
    let at = 0;
    const request = pieces(message.length).map((length) => driver.readable(message.subarray(at, (at += length))));
    const reply = pieces(room).map((length) => driver.writable(length));
    queue.submit([...request, ...reply], request.length + reply.length > 16);
    machine.settle();
    const [used] = queue.takeUsed();
    assert.ok(used);
    return Buffer.concat(reply.map((segment) => driver.contents(segment))).subarray(0, used.length);
  };
  return { machine, driver, device, send, root };
}

const VERSION = encode(P9.version, 'ds', [8192, '9P2000.L']);
const ATTACH = encode(P9.attach, 'ddssd', [0, 0xffff_ffff, '', '', 0]);

for (const transport of ['mmio', 'pci'] as const) {
  test(`${transport}: the tag is in the configuration and a file can be read`, (t) => {
    const { driver, send, machine } = share(t, transport);
    const { access } = driver;
    assert.equal(access.readConfig(0, 2), 6);
    const tag = Array.from({ length: 6 }, (_, i) => access.readConfig(2 + i, 1));
    assert.equal(String.fromCharCode(...tag), 'shared');
    assert.deepEqual(decode(send(VERSION), 'ds'), [8192, '9P2000.L']);
    assert.equal(send(ATTACH)[4], P9.attach + 1);
    assert.equal(send(encode(P9.walk, 'ddhs', [0, 1, 1, 'file']))[4], P9.walk + 1);
    assert.equal(send(encode(P9.lopen, 'dd', [1, 0]))[4], P9.lopen + 1);
    const interrupts = driver.interrupts;
    const reply = send(encode(P9.read, 'dqd', [1, 6, 100]));
    assert.equal(reply.toString('latin1', 11), 'from the host');
    assert.ok(driver.interrupts > interrupts || access.lineLevel());
    machine.checkConfinement();
  });
}

test('messages may lie in many pieces', (t) => {
  const { send } = share(t);
  assert.equal(send(VERSION, 100, 3).length, 7 + 4 + 2 + 8);
  send(ATTACH, 100, 5);
  send(encode(P9.walk, 'ddhs', [0, 1, 1, 'file']), 100, 7);
  send(encode(P9.lopen, 'dd', [1, 0]), 100, 7);
  assert.equal(send(encode(P9.read, 'dqd', [1, 0, 100]), 100, 7).toString('latin1', 11), 'hello from the host');
});

test('what cannot be answered is given back empty, and the device goes on', (t) => {
  const { driver, send, device, machine } = share(t);
  assert.equal(send(VERSION, 10).length, 0);
  assert.equal(send(VERSION.subarray(0, 5)).length, 0);
  assert.equal(send(new Uint8Array(600_000), 100, 60_000).length, 11, 'longer than any message');
  const queue = driver.queues[0]!;
  queue.submit([driver.writable(100)]);
  queue.submit([driver.readable(VERSION)]);
  machine.settle();
  assert.deepEqual(
    queue.takeUsed().map(({ length }) => length),
    [0, 0],
  );
  assert.equal(device.server.counters.malformed, 5);
  assert.equal(driver.needsReset, false);
  assert.equal(send(VERSION)[4], P9.version + 1);
});

test('a reset closes what the guest had open', (t) => {
  const { driver, send, device } = share(t);
  for (const message of [VERSION, ATTACH, encode(P9.walk, 'ddhs', [0, 1, 1, 'file']), encode(P9.lopen, 'dd', [1, 0])])
    send(message);
  assert.deepEqual([device.server.fids, device.server.open], [2, 1]);
  driver.access.writeStatus(0);
  assert.deepEqual([device.server.fids, device.server.open], [0, 0]);
});

test('tags that cannot be are refused', (t) => {
  const { root, machine } = share(t);
  for (const tag of ['', 'a'.repeat(256), 'a\0b'])
    assert.throws(() => new Virtio9p({ tag, root, clock: machine.clock }), ConfigError);
});
