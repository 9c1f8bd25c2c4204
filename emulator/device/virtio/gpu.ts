import { assert } from '../../check/assert.ts';
import type { Clock } from '../device.ts';
import type { Chain } from './chain.ts';
import { DeviceId, type VirtioDevice, type VirtioHost } from './device.ts';
import {
  BACKING_ENTRY,
  BYTES_PER_PIXEL,
  COMMAND_LENGTH,
  CONTROL_HEADER,
  DISPLAY_INFO_RESPONSE,
  EDID_RESPONSE,
  FLAG_FENCE,
  GpuCommand,
  GpuFeature,
  GpuResponse,
  PIXEL_FORMATS,
  liesWithin,
  readRectangle,
  type Rectangle,
} from './gpu-protocol.ts';
import { Backing, GpuResource, type BackingEntry } from './gpu-resource.ts';
import { EDID_LENGTH, edidFor } from './image/edid.ts';
import type { RgbImage } from './image/png.ts';
import type { SplitQueue } from './queue.ts';
import { DeferredWork } from './work.ts';

const CURSOR_QUEUE = 1;
const CONTROL_QUEUE_SIZE = 256;
const CURSOR_QUEUE_SIZE = 16;
const CONFIG_LENGTH = 16;
const EVENTS_CLEAR = 4;
const EVENT_DISPLAY = 1;
const SCANOUTS = 1;
const MAXIMUM_SIDE = 4095;
/** Resources are the guest's to create but the host's memory. */
const MAXIMUM_RESOURCES = 1024;
/** Enough for 64 MiB of single pages in one resource, and 1 GiB in all. */
const MAXIMUM_BACKING_ENTRIES = 16_384;
const MAXIMUM_TOTAL_ENTRIES = 1 << 18;
const LONGEST_REQUEST = CONTROL_HEADER + 32;

export interface GpuOptions {
  readonly clock: Clock;
  /** Ticks from a notification to the work it asks for; by default 0: the next look at the clock. */
  readonly latency?: number;
  /** The size of the display in pixels, up to 4095 each; by default 1024 x 768. */
  readonly width?: number;
  readonly height?: number;
  /** Bytes of host memory all resources together may take; by default 256 MiB. */
  readonly maximumBytes?: number;
  /** Called when the guest has finished drawing a part of the display. */
  readonly flushed?: (part: Rectangle) => void;
}

/** Exact counters since the device was made. */
export interface GpuCounters {
  commands: number;
  errors: number;
  /** Requests that could not even be answered. */
  malformed: number;
  flushes: number;
  transferredBytes: number;
  cursorCommands: number;
}

interface Scanout {
  readonly resource: number;
  readonly part: Rectangle;
}

/**
 * The graphics card, two-dimensional commands only (Virtual I/O Device, "GPU Device"). Every command is finished when it is answered, so a
 * fence is signalled by its own answer. Wrong commands get the error the specification names; only what has no room for an answer does not.
 */
export class VirtioGpu implements VirtioDevice {
  readonly name = 'gpu';
  readonly id = DeviceId.gpu;
  readonly features = GpuFeature.edid;
  readonly queueSizes = [CONTROL_QUEUE_SIZE, CURSOR_QUEUE_SIZE];
  readonly config = new Uint8Array(CONFIG_LENGTH);
  readonly counters: GpuCounters = {
    commands: 0,
    errors: 0,
    malformed: 0,
    flushes: 0,
    transferredBytes: 0,
    cursorCommands: 0,
  };
  /** Where the guest last put its cursor. */
  readonly cursor = { x: 0, y: 0, resource: 0 };
  readonly #work: DeferredWork;
  readonly #maximumBytes: number;
  readonly #flushed: (part: Rectangle) => void;
  readonly #request = new Uint8Array(LONGEST_REQUEST);
  readonly #requestView = new DataView(this.#request.buffer);
  readonly #response = new Uint8Array(EDID_RESPONSE);
  readonly #responseView = new DataView(this.#response.buffer);
  readonly #resources = new Map<number, GpuResource>();
  #bytes = 0;
  /** Backing entries of all resources. */
  #entries = 0;
  #width: number;
  #height: number;
  #scanout: Scanout | undefined;
  #host: VirtioHost | undefined;

  constructor(options: GpuOptions) {
    this.#work = new DeferredWork(options.clock, options.latency ?? 0, () => this.#turn());
    this.#width = displaySide(options.width ?? 1024);
    this.#height = displaySide(options.height ?? 768);
    this.#maximumBytes = options.maximumBytes ?? 1 << 28;
    this.#flushed = options.flushed ?? (() => {});
    new DataView(this.config.buffer).setUint32(8, SCANOUTS, true);
  }

  /** Bytes of host memory the guest's resources take. */
  get bytes(): number {
    return this.#bytes;
  }

  writeConfig(offset: number, width: number, value: number): void {
    // Only `events_clear` can be written; it takes away events.
    if (offset === EVENTS_CLEAR && width === 4) this.config[0]! &= ~value;
  }

  start(host: VirtioHost): void {
    this.#host = host;
  }

  reset(): void {
    this.#host = undefined;
    this.#work.cancel();
    this.#resources.clear();
    this.#bytes = 0;
    this.#entries = 0;
    this.#scanout = undefined;
    this.cursor.x = 0;
    this.cursor.y = 0;
    this.cursor.resource = 0;
  }

  notify(): void {
    this.#work.request();
  }

  /** What the display shows; undefined while the guest shows nothing. */
  screenshot(): RgbImage | undefined {
    const scanout = this.#scanout;
    const resource = scanout && this.#resources.get(scanout.resource);
    if (scanout === undefined || resource === undefined) return undefined;
    const { width, height } = scanout.part;
    return { width, height, pixels: resource.toRgb(scanout.part) };
  }

  /** Gives the display another size, and tells the guest. */
  resize(width: number, height: number): void {
    this.#width = displaySide(width);
    this.#height = displaySide(height);
    this.config[0]! |= EVENT_DISPLAY;
    this.#host?.configChanged();
  }

  checkInvariants(): void {
    let bytes = 0;
    let entries = 0;
    for (const resource of this.#resources.values()) {
      bytes += resource.pixels.length;
      entries += resource.backing?.entries ?? 0;
    }
    assert(bytes === this.#bytes && bytes <= this.#maximumBytes, 'bytes of resources are counted and bounded');
    assert(entries === this.#entries && entries <= MAXIMUM_TOTAL_ENTRIES, 'backing entries are counted and bounded');
    const shown = this.#scanout && this.#resources.get(this.#scanout.resource);
    assert(this.#scanout === undefined || shown !== undefined, 'what is shown exists');
    if (shown !== undefined)
      assert(liesWithin(this.#scanout!.part, shown.width, shown.height), 'what is shown lies in its resource');
  }

  #turn(): void {
    for (const queue of this.#host?.queues ?? []) this.#serve(queue);
  }

  #serve(queue: SplitQueue): void {
    // No more than the queue holds: a guest on another thread cannot keep the host here.
    for (let served = 0; served < queue.size; served++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      queue.add(chain, queue.index === CURSOR_QUEUE ? this.#moveCursor(chain) : this.#answer(chain));
    }
    queue.signal();
    if (queue.pending) this.#work.request();
  }

  #moveCursor(chain: Chain): number {
    this.counters.cursorCommands += 1;
    if (chain.read(0, this.#request) < LONGEST_REQUEST) {
      this.counters.malformed += 1;
      return 0;
    }
    const view = this.#requestView;
    const type = view.getUint32(0, true);
    if (type === GpuCommand.updateCursor) this.cursor.resource = view.getUint32(CONTROL_HEADER + 16, true);
    else if (type !== GpuCommand.moveCursor) {
      this.counters.malformed += 1;
      return 0;
    }
    this.cursor.x = view.getUint32(CONTROL_HEADER + 4, true);
    this.cursor.y = view.getUint32(CONTROL_HEADER + 8, true);
    return 0;
  }

  /** Executes one command and writes its answer. Returns how much was written. */
  #answer(chain: Chain): number {
    this.counters.commands += 1;
    const length = chain.read(0, this.#request);
    if (length < CONTROL_HEADER || chain.writableLength < CONTROL_HEADER) {
      this.counters.malformed += 1;
      return 0;
    }
    const type = this.#requestView.getUint32(0, true);
    this.#response.fill(0);
    const needed = COMMAND_LENGTH.get(type);
    let response: GpuResponse;
    if (needed === undefined) response = GpuResponse.unspecified;
    else if (length < needed || chain.writableLength < responseLength(type)) response = GpuResponse.invalidParameter;
    else response = this.#execute(type, chain);
    return this.#respond(chain, response);
  }

  #respond(chain: Chain, response: GpuResponse): number {
    const view = this.#responseView;
    view.setUint32(0, response, true);
    if (response >= GpuResponse.unspecified) this.counters.errors += 1;
    if ((this.#requestView.getUint32(4, true) & FLAG_FENCE) !== 0) {
      view.setUint32(4, FLAG_FENCE, true);
      this.#response.set(this.#request.subarray(8, CONTROL_HEADER), 8);
    }
    let length = CONTROL_HEADER;
    if (response === GpuResponse.okDisplayInfo) length = DISPLAY_INFO_RESPONSE;
    if (response === GpuResponse.okEdid) length = EDID_RESPONSE;
    return chain.write(0, this.#response.subarray(0, length));
  }

  #execute(type: number, chain: Chain): GpuResponse {
    const view = this.#requestView;
    const first = view.getUint32(CONTROL_HEADER, true);
    switch (type) {
      case GpuCommand.getDisplayInfo:
        return this.#displayInfo();
      case GpuCommand.getEdid:
        return this.#edid(first);
      case GpuCommand.resourceCreate2d:
        return this.#create(first);
      case GpuCommand.resourceUnref:
        return this.#unref(first);
      case GpuCommand.setScanout:
        return this.#setScanout();
      case GpuCommand.resourceFlush:
        return this.#flush();
      case GpuCommand.transferToHost2d:
        return this.#transfer();
      case GpuCommand.resourceAttachBacking:
        return this.#attach(first, view.getUint32(CONTROL_HEADER + 4, true), chain);
      case GpuCommand.resourceDetachBacking:
        return this.#detach(first);
      default:
        // Cursor commands belong on the cursor queue.
        return GpuResponse.unspecified;
    }
  }

  #displayInfo(): GpuResponse {
    const view = this.#responseView;
    view.setUint32(CONTROL_HEADER + 8, this.#width, true);
    view.setUint32(CONTROL_HEADER + 12, this.#height, true);
    view.setUint32(CONTROL_HEADER + 16, 1, true); // enabled
    return GpuResponse.okDisplayInfo;
  }

  #edid(scanout: number): GpuResponse {
    if (scanout >= SCANOUTS) return GpuResponse.invalidScanout;
    this.#responseView.setUint32(CONTROL_HEADER, EDID_LENGTH, true);
    this.#response.set(edidFor(this.#width, this.#height), CONTROL_HEADER + 8);
    return GpuResponse.okEdid;
  }

  #create(id: number): GpuResponse {
    const view = this.#requestView;
    const format = PIXEL_FORMATS.get(view.getUint32(CONTROL_HEADER + 4, true));
    const width = view.getUint32(CONTROL_HEADER + 8, true);
    const height = view.getUint32(CONTROL_HEADER + 12, true);
    if (id === 0 || this.#resources.has(id)) return GpuResponse.invalidResource;
    if (format === undefined || width === 0 || height === 0) return GpuResponse.invalidParameter;
    const bytes = width * height * BYTES_PER_PIXEL;
    if (this.#bytes + bytes > this.#maximumBytes || this.#resources.size >= MAXIMUM_RESOURCES)
      return GpuResponse.outOfMemory;
    this.#resources.set(id, new GpuResource(width, height, format));
    this.#bytes += bytes;
    return GpuResponse.okNoData;
  }

  #unref(id: number): GpuResponse {
    const resource = this.#resources.get(id);
    if (resource === undefined) return GpuResponse.invalidResource;
    this.#resources.delete(id);
    this.#bytes -= resource.pixels.length;
    this.#entries -= resource.backing?.entries ?? 0;
    if (this.#scanout?.resource === id) this.#scanout = undefined;
    return GpuResponse.okNoData;
  }

  #setScanout(): GpuResponse {
    const view = this.#requestView;
    const part = readRectangle(view, CONTROL_HEADER);
    const scanout = view.getUint32(CONTROL_HEADER + 16, true);
    const id = view.getUint32(CONTROL_HEADER + 20, true);
    if (scanout >= SCANOUTS) return GpuResponse.invalidScanout;
    if (id === 0) {
      this.#scanout = undefined;
      return GpuResponse.okNoData;
    }
    const resource = this.#resources.get(id);
    if (resource === undefined) return GpuResponse.invalidResource;
    if (part.width === 0 || part.height === 0 || !liesWithin(part, resource.width, resource.height))
      return GpuResponse.invalidParameter;
    this.#scanout = { resource: id, part };
    return GpuResponse.okNoData;
  }

  #flush(): GpuResponse {
    const part = readRectangle(this.#requestView, CONTROL_HEADER);
    const id = this.#requestView.getUint32(CONTROL_HEADER + 16, true);
    const resource = this.#resources.get(id);
    if (resource === undefined) return GpuResponse.invalidResource;
    if (!liesWithin(part, resource.width, resource.height)) return GpuResponse.invalidParameter;
    this.counters.flushes += 1;
    if (this.#scanout?.resource === id) this.#flushed(part);
    return GpuResponse.okNoData;
  }

  #transfer(): GpuResponse {
    const view = this.#requestView;
    const part = readRectangle(view, CONTROL_HEADER);
    // Beyond 2^53 the sum is not exact, but as far beyond every backing.
    const offset = view.getUint32(CONTROL_HEADER + 16, true) + view.getUint32(CONTROL_HEADER + 20, true) * 2 ** 32;
    const resource = this.#resources.get(view.getUint32(CONTROL_HEADER + 24, true));
    if (resource === undefined) return GpuResponse.invalidResource;
    if (!liesWithin(part, resource.width, resource.height)) return GpuResponse.invalidParameter;
    if (resource.backing === undefined) return GpuResponse.unspecified;
    if (!resource.transfer(this.#host!.memory, part, offset)) return GpuResponse.invalidParameter;
    this.counters.transferredBytes += part.width * part.height * BYTES_PER_PIXEL;
    return GpuResponse.okNoData;
  }

  #attach(id: number, count: number, chain: Chain): GpuResponse {
    const resource = this.#resources.get(id);
    if (resource === undefined) return GpuResponse.invalidResource;
    if (resource.backing !== undefined) return GpuResponse.unspecified;
    if (count === 0 || count > MAXIMUM_BACKING_ENTRIES) return GpuResponse.invalidParameter;
    if (this.#entries + count > MAXIMUM_TOTAL_ENTRIES) return GpuResponse.outOfMemory;
    const bytes = new Uint8Array(count * BACKING_ENTRY);
    if (chain.read(CONTROL_HEADER + 8, bytes) !== bytes.length) return GpuResponse.invalidParameter;
    const view = new DataView(bytes.buffer);
    const entries: BackingEntry[] = [];
    let start = 0;
    for (let at = 0; at < bytes.length; at += BACKING_ENTRY) {
      const address = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
      const length = view.getUint32(at + 8, true);
      const offset = this.#host!.memory.offset(address, length);
      if (offset < 0 || length === 0) return GpuResponse.invalidParameter;
      entries.push({ offset, length, start });
      start += length;
    }
    resource.backing = new Backing(entries);
    this.#entries += count;
    return GpuResponse.okNoData;
  }

  #detach(id: number): GpuResponse {
    const resource = this.#resources.get(id);
    if (resource === undefined) return GpuResponse.invalidResource;
    if (resource.backing === undefined) return GpuResponse.unspecified;
    this.#entries -= resource.backing.entries;
    resource.backing = undefined;
    return GpuResponse.okNoData;
  }
}

function responseLength(type: number): number {
  if (type === GpuCommand.getDisplayInfo) return DISPLAY_INFO_RESPONSE;
  return type === GpuCommand.getEdid ? EDID_RESPONSE : CONTROL_HEADER;
}

function displaySide(pixels: number): number {
  return Math.min(MAXIMUM_SIDE, Math.max(1, Math.floor(pixels)));
}
