import assert from 'node:assert/strict';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { ConfigError } from '../check/errors.ts';
import { formatMac, parseIpv4 } from '../device/virtio/network/address.ts';
import { GuestTcp } from '../device/virtio/network/scripted-guest.test-support.ts';
import type { UserNetwork } from '../device/virtio/network/user-network.ts';
import { createNetwork, parseNetwork } from './network-option.ts';
import { parseShare } from './share-option.ts';

const HOST = parseIpv4('10.0.2.100')!;

test('--net is read', () => {
  assert.equal(parseNetwork('none'), undefined);
  const plain = parseNetwork('user')!;
  assert.equal(formatMac(plain.mac), '52:54:00:12:34:56');
  assert.deepEqual([plain.capture, plain.services, plain.names.size], [undefined, [], 0]);
  const full = parseNetwork(
    'user,mac=02:00:00:00:00:09,capture=a=b.pcap,service=10.0.2.100:80=http:hi,service=10.0.2.100:7=echo,name=Web.Test=10.0.2.100',
  )!;
  assert.equal(formatMac(full.mac), '02:00:00:00:00:09');
  assert.equal(full.capture, 'a=b.pcap');
  assert.deepEqual(full.services, ['10.0.2.100:80=http:hi', '10.0.2.100:7=echo']);
  assert.equal(full.names.get('web.test'), HOST);
  assert.ok(createNetwork(full, true));
});

for (const text of [
  'tap',
  '',
  'user,mac=1:2:3',
  'user,mac=01:00:00:00:00:01',
  'user,mac=',
  'user,capture',
  'user,name=x',
  'user,name=x=1.2.3',
  'user,speed=9',
])
  test(`--net '${text}' is refused`, () => assert.throws(() => parseNetwork(text), ConfigError));

for (const service of [
  '10.0.2.100:80=ftp',
  '10.0.2.100:80=tcp',
  '10.0.2.100:80=tcp:host',
  '10.0.2.100:80=tcp:host:0',
  'x',
])
  test(`service '${service}' is refused`, () => {
    const option = parseNetwork(`user,service=${service}`)!;
    assert.throws(() => createNetwork(option, false), ConfigError);
  });

test('the host network is refused in deterministic mode', () => {
  const option = parseNetwork('user,service=10.0.2.100:80=tcp:127.0.0.1:1')!;
  assert.throws(() => createNetwork(option, true), /deterministic/);
  assert.ok(createNetwork(option, false));
});

test('--share is read', () => {
  assert.deepEqual(parseShare('/a/b'), { root: '/a/b', tag: 'share', readOnly: false });
  assert.deepEqual(parseShare('/a/b,ro,tag=home', 3), { root: '/a/b', tag: 'home', readOnly: true });
  assert.deepEqual(parseShare('a,,b,ro', 1), { root: 'a,b', tag: 'share1', readOnly: true });
  for (const text of ['', 'a,rw', 'a,tag=', ',ro']) assert.throws(() => parseShare(text), ConfigError, text);
});

/** A server on the host, by what it does with a connection; the guest's network that leads to it. */
async function withServer(context: TestContext, serve: (socket: net.Socket) => void): Promise<UserNetwork> {
  const server = net.createServer({ allowHalfOpen: true }, serve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return createNetwork(parseNetwork(`user,service=10.0.2.100:80=tcp:127.0.0.1:${port}`)!, false);
}

/** Carries frames until `done`, with turns of the event loop between. */
async function carry(network: UserNetwork, guest: GuestTcp, done: () => boolean): Promise<void> {
  const start = performance.now();
  while (!done()) {
    assert.ok(performance.now() - start < 20_000, 'in time');
    const now = (performance.now() - start) * 1000;
    network.advance(now);
    for (let frame = guest.take(now); frame; frame = guest.take(now)) network.receive(frame, now);
    for (let frame = network.take(now); frame; frame = network.take(now)) guest.receive(frame, now);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a megabyte goes to a server of the host and back', async (t) => {
  const network = await withServer(t, (socket) => socket.pipe(socket));
  const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 13 + (i >> 10)) & 0xff);
  const guest = new GuestTcp(HOST, 80, bytes, true);
  await carry(network, guest, () => guest.peerEnded && guest.delivered);
  assert.ok(Buffer.from(guest.received).equals(bytes));
});

test('a server that does not read closes the window; when it reads, nothing is lost', async (t) => {
  let socket: net.Socket | undefined;
  const network = await withServer(t, (connection) => {
    connection.pause();
    socket = connection;
  });
  const bytes = Uint8Array.from({ length: 8 << 20 }, (_, i) => (i * 3 + (i >> 12)) & 0xff);
  const guest = new GuestTcp(HOST, 80, bytes, true);
  const start = performance.now();
  await carry(network, guest, () => performance.now() - start > 300);
  assert.equal(guest.delivered, false);
  const read: Buffer[] = [];
  socket!.on('data', (chunk: Buffer) => read.push(chunk));
  socket!.on('end', () => socket!.end('thanks'));
  socket!.resume();
  await carry(network, guest, () => guest.peerEnded && guest.delivered);
  assert.ok(Buffer.concat(read).equals(bytes));
  assert.equal(Buffer.from(guest.received).toString(), 'thanks');
});

test('nobody listening looks like a connection that ends', async (t) => {
  const network = await withServer(t, () => {});
  const closed = createNetwork(parseNetwork('user,service=10.0.2.100:80=tcp:127.0.0.1:1')!, false);
  const guest = new GuestTcp(HOST, 80, new Uint8Array(10), false);
  await carry(closed, guest, () => guest.peerEnded);
  assert.equal(guest.received.length, 0);
  assert.equal(network.open, 0);
});

test('a guest that resets its connection lets go of the socket', async (t) => {
  let closed = false;
  const network = await withServer(t, (socket) => {
    socket.on('error', () => {});
    socket.on('close', () => (closed = true));
    socket.on('end', () => socket.end());
    socket.resume();
  });
  const guest = new GuestTcp(HOST, 80, new Uint8Array(10), false);
  await carry(network, guest, () => guest.delivered);
  network.reset();
  assert.equal(network.open, 0);
  await carry(network, guest, () => closed);
});
