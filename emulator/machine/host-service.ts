import net from 'node:net';
import { ByteRing } from '../device/virtio/network/byte-ring.ts';
import type { Stream } from '../device/virtio/network/service.ts';
import type { StreamFactory } from '../device/virtio/network/service-table.ts';

const BUFFER = 1 << 16;

/**
 * A service that hands every connection on to a TCP port of the host's network. The guest's connection is accepted before the host's is, so a
 * port where nobody listens looks to the guest like one that hangs up at once. Needs the event loop to turn, and the host's time: not
 * for deterministic mode.
 */
export function hostService(host: string, port: number): StreamFactory {
  return (wake) => new HostStream(net.connect({ host, port, noDelay: true }), wake);
}

class HostStream implements Stream {
  readonly #socket: net.Socket;
  readonly #received = new ByteRing(BUFFER);
  /** What came when the ring was full; the socket is paused until it has gone. */
  #rest: Uint8Array | undefined;
  #ended = false;

  constructor(socket: net.Socket, wake: () => void) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      const taken = this.#received.push(bytes);
      if (taken < bytes.length) {
        this.#rest = bytes.subarray(taken);
        socket.pause();
      }
      wake();
    });
    socket.on('drain', wake);
    // An error is followed by `close`; to the guest both are the end.
    socket.on('error', () => {});
    const ended = () => {
      this.#ended = true;
      wake();
    };
    socket.on('end', ended);
    socket.on('close', ended);
  }

  write(bytes: Uint8Array): number {
    // Nobody will read it: taken, so that the guest's end gets through.
    if (this.#socket.destroyed || this.#socket.writableEnded) return bytes.length;
    const count = Math.max(0, Math.min(bytes.length, BUFFER - this.#socket.writableLength));
    if (count > 0) this.#socket.write(bytes.slice(0, count));
    return count;
  }

  read(into: Uint8Array): number {
    const count = Math.min(into.length, this.#received.length);
    if (count === 0) return this.#ended && this.#rest === undefined ? -1 : 0;
    this.#received.copy(0, into.subarray(0, count));
    this.#received.drop(count);
    this.#refill();
    return count;
  }

  end(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }

  #refill(): void {
    if (this.#rest === undefined) return;
    const taken = this.#received.push(this.#rest);
    this.#rest = taken === this.#rest.length ? undefined : this.#rest.subarray(taken);
    if (this.#rest === undefined) this.#socket.resume();
  }
}
