import { GuestTcp, guestRoute, segmentOf } from '../../emulator/device/virtio/network/scripted-guest.test-support.ts';
import { TcpFlag, tcpFrame } from '../../emulator/device/virtio/network/tcp-segment.ts';
import { ServiceTable } from '../../emulator/device/virtio/network/service-table.ts';
import type { Stream } from '../../emulator/device/virtio/network/service.ts';
import { UserNetwork } from '../../emulator/device/virtio/network/user-network.ts';

export const HOST = 0x0a00_0264;
const PORT = 80;
const WINDOW = 0xffff;

/** A service that always has more to say, and hears everything. */
class Endless implements Stream {
  taken = 0;
  write(bytes: Uint8Array): number {
    this.taken += bytes.length;
    return bytes.length;
  }
  read(into: Uint8Array): number {
    into.fill(0x55);
    return into.length;
  }
  end(): void {}
  close(): void {}
}

/** An open connection to a service that always sends. */
export interface TcpLoad {
  readonly network: UserNetwork;
  readonly stream: Endless;
  readonly client: GuestTcp;
  /** The guest's next sequence number and what it has received so far. */
  sequence: number;
  acknowledged: number;
  now: number;
}

export function tcpLoad(): TcpLoad {
  const stream = new Endless();
  const network = new UserNetwork({ services: new ServiceTable().add(HOST, PORT, () => stream) });
  const client = new GuestTcp(HOST, PORT, new Uint8Array(), false);
  const syn = client.take(0)!;
  network.receive(syn, 0);
  const reply = segmentOf(network.take(0)!);
  const sequence = (segmentOf(syn).sequence + 1) >>> 0;
  const load = { network, stream, client, sequence, acknowledged: (reply.sequence + 1) >>> 0, now: 0 };
  acknowledge(load);
  return load;
}

/** Tells the service that everything so far has arrived. */
function acknowledge(load: TcpLoad, payload?: Uint8Array): void {
  load.now += 1000;
  const header = {
    sourcePort: 40_000,
    destinationPort: PORT,
    sequence: load.sequence,
    acknowledgment: load.acknowledged,
    flags: TcpFlag.ack,
    window: WINDOW,
  };
  const length = payload?.length ?? 0;
  const frame = tcpFrame(guestRoute(HOST), header, length, (into) => into.set(payload ?? []));
  load.network.receive(frame, load.now);
  load.sequence = (load.sequence + length) >>> 0;
}

/** Takes a window full of data and acknowledges it. Returns the bytes taken. */
export function receiveWindow(load: TcpLoad): number {
  let bytes = 0;
  for (let frame = load.network.take(load.now); frame !== undefined; frame = load.network.take(load.now))
    bytes += frame.length - 54;
  load.acknowledged = (load.acknowledged + bytes) >>> 0;
  acknowledge(load);
  return bytes;
}

/** Sends `count` segments of data. Returns what the service has taken since it was made. */
export function sendSegments(load: TcpLoad, payload: Uint8Array, count: number): number {
  for (let i = 0; i < count; i++) acknowledge(load, payload);
  return load.stream.taken;
}
