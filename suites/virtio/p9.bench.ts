import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { P9Client, encode } from '../../emulator/device/virtio/p9/client.test-support.ts';
import { P9 } from '../../emulator/device/virtio/p9/message.ts';
import { P9Server } from '../../emulator/device/virtio/p9/server.ts';
import { defineBench } from '../harness/define-bench.ts';

const FILE_SIZE = 4 << 20;
const DEPTH = 3;
const ENTRIES = 200;
const ROOM = 512_000;

interface ShareLoad {
  readonly root: string;
  readonly server: P9Server;
  readonly client: P9Client;
}

/** A share with a file of 4 MiB, the same deep inside, and a directory of 200 files. */
function shareLoad(): ShareLoad {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-9p-bench-'));
  fs.mkdirSync(path.join(root, 'a/b/c'), { recursive: true });
  fs.mkdirSync(path.join(root, 'many'));
  fs.writeFileSync(path.join(root, 'file'), new Uint8Array(FILE_SIZE).fill(0x5a));
  fs.writeFileSync(path.join(root, 'a/b/c/deep'), 'deep');
  for (let i = 0; i < ENTRIES; i++) fs.writeFileSync(path.join(root, 'many', `entry-${i}`), '');
  const server = new P9Server({ root });
  return { root, server, client: new P9Client(server) };
}

function removeShare({ root, server }: ShareLoad): void {
  server.close();
  fs.rmSync(root, { recursive: true, force: true });
}

/** The same message again and again. */
interface MessageLoad extends ShareLoad {
  readonly messages: readonly Uint8Array[];
}

/** Sends the messages one after another. Returns the bytes of the answers, or -1 when one of them was an error. */
function exchange({ server, messages }: MessageLoad): number {
  let bytes = 0;
  for (const message of messages) {
    const reply = server.handle(message, ROOM);
    if (reply === undefined || reply[4] === P9.lerror + 1) return -1;
    bytes += reply.length;
  }
  return bytes;
}

const checkExchange = (_: MessageLoad, bytes: unknown) => assert.ok((bytes as number) > 0);

for (const size of [4096, 65_536, 491_520]) {
  for (const name of ['read', 'write'] as const) {
    defineBench<MessageLoad>({
      id: `virtio/p9/${name}-${size}`,
      title: `${name} ${size / 1024} KiB a message of a host file in its cache`,
      unit: 'MiB/s',
      kind: 'throughput',
      direction: 'higher',
      engine: 'mitata',
      setup: () => {
        const load = shareLoad();
        const fid = load.client.open('file', 2);
        const message =
          name === 'read'
            ? encode(P9.read, 'dqd', [fid, 65_536, size])
            : encode(P9.write, 'dqdr', [fid, 65_536, size, new Uint8Array(size).fill(1)]);
        return { ...load, messages: [message] };
      },
      teardown: removeShare,
      work: exchange,
      items: () => size,
      check: checkExchange,
    });
  }
}

const OPERATIONS: readonly (readonly [name: string, title: string, messages: (client: P9Client) => Uint8Array[]])[] = [
  ['getattr', 'attributes of a file in the root', (client) => [encode(P9.getattr, 'dq', [client.walk('file'), 0x7ff])]],
  [
    'getattr-deep',
    `attributes of a file ${DEPTH} directories down`,
    (client) => [encode(P9.getattr, 'dq', [client.walk('a/b/c/deep'), 0x7ff])],
  ],
  [
    'walk',
    'walk to a file, and forget it',
    () => [encode(P9.walk, 'ddhs', [0, 999, 1, 'file']), encode(P9.clunk, 'd', [999])],
  ],
  [
    'open',
    'walk to a file, open, read 4 KiB, close',
    () => [
      encode(P9.walk, 'ddhs', [0, 999, 1, 'file']),
      encode(P9.lopen, 'dd', [999, 0]),
      encode(P9.read, 'dqd', [999, 0, 4096]),
      encode(P9.clunk, 'd', [999]),
    ],
  ],
  [
    'create',
    'create a file, write 4 KiB, close, remove',
    () => [
      encode(P9.walk, 'ddh', [0, 999, 0]),
      encode(P9.lcreate, 'dsddd', [999, 'new', 2, 0o644, 0]),
      encode(P9.write, 'dqdr', [999, 0, 4096, new Uint8Array(4096)]),
      encode(P9.clunk, 'd', [999]),
      encode(P9.unlinkat, 'dsd', [0, 'new', 0]),
    ],
  ],
];

for (const [name, title, messages] of OPERATIONS) {
  defineBench<MessageLoad>({
    id: `virtio/p9/${name}`,
    title,
    unit: 'µs/op',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    setup: () => {
      const load = shareLoad();
      return { ...load, messages: messages(load.client) };
    },
    teardown: removeShare,
    work: exchange,
    check: checkExchange,
    counters: (load) => {
      exchange(load);
      return { answers: load.server.counters.requests, errors: load.server.counters.errors, fids: load.server.fids };
    },
  });
}

defineBench<MessageLoad>({
  id: 'virtio/p9/readdir',
  title: 'list a directory of 200 files',
  unit: 'µs/entry',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: () => {
    const load = shareLoad();
    return { ...load, messages: [encode(P9.readdir, 'dqd', [load.client.open('many'), 0, ROOM])] };
  },
  teardown: removeShare,
  work: exchange,
  items: () => ENTRIES + 2,
  check: checkExchange,
});
