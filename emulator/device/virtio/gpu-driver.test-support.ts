import { TestMachine, type Segment, type TransportName } from './driver.test-support.ts';
import { GpuCommand, type Rectangle } from './gpu-protocol.ts';
import { VirtioGpu, type GpuOptions } from './gpu.ts';

type Options = Omit<GpuOptions, 'clock'>;

/** A guest's driver of the graphics card, for tests and benchmarks. */
export class GpuDriver {
  readonly machine: TestMachine;
  readonly gpu: VirtioGpu;

  constructor(options: Options = {}, transport: TransportName = 'mmio') {
    let gpu!: VirtioGpu;
    this.machine = new TestMachine(transport, (clock) => (gpu = new VirtioGpu({ ...options, clock })));
    this.gpu = gpu;
    this.machine.driver.start();
  }

  /** Sends a request with `room` bytes for the answer. Returns what came back. */
  send(request: Uint8Array, room = 2048, queue = 0): Uint8Array {
    const { driver } = this.machine;
    const answer = driver.writable(room);
    return this.submit(room > 0 ? [driver.readable(request), answer] : [driver.readable(request)], answer, queue);
  }

  submit(segments: readonly Segment[], answer: Segment, queue = 0): Uint8Array {
    const { driver } = this.machine;
    driver.queues[queue]!.submit(segments);
    this.machine.settle();
    const [used] = driver.queues[queue]!.takeUsed();
    if (used === undefined) throw new Error('no answer');
    return driver.contents(answer).slice(0, used.length);
  }

  /** Sends a command and returns the type of its answer. */
  command(type: number, words: readonly number[], room?: number): number {
    return typeOf(this.send(request(type, words), room));
  }

  create(id: number, format: number, width: number, height: number): number {
    return this.command(GpuCommand.resourceCreate2d, [id, format, width, height]);
  }

  attach(id: number, entries: readonly (readonly [address: number, length: number])[]): number {
    const words = entries.flatMap(([address, length]) => [address >>> 0, Math.floor(address / 2 ** 32), length, 0]);
    return this.command(GpuCommand.resourceAttachBacking, [id, entries.length, ...words]);
  }

  transfer(id: number, { x, y, width, height }: Rectangle, offset = 0): number {
    const words = [x, y, width, height, offset >>> 0, Math.floor(offset / 2 ** 32), id, 0];
    return this.command(GpuCommand.transferToHost2d, words);
  }

  setScanout(id: number, { x, y, width, height }: Rectangle, scanout = 0): number {
    return this.command(GpuCommand.setScanout, [x, y, width, height, scanout, id]);
  }

  flush(id: number, { x, y, width, height }: Rectangle): number {
    return this.command(GpuCommand.resourceFlush, [x, y, width, height, id, 0]);
  }
}

/** A control header and the words after it, little-endian. */
export function request(
  type: number,
  words: readonly number[] = [],
  { flags = 0, fence = 0n, context = 0 } = {},
): Uint8Array {
  const bytes = new Uint8Array(24 + 4 * words.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, flags, true);
  view.setBigUint64(8, fence, true);
  view.setUint32(16, context, true);
  for (const [i, word] of words.entries()) view.setUint32(24 + 4 * i, word, true);
  return bytes;
}

export function typeOf(answer: Uint8Array): number {
  return answer.length < 24 ? 0 : new DataView(answer.buffer, answer.byteOffset).getUint32(0, true);
}
