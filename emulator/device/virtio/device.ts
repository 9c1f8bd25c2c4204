import type { GuestMemory } from './guest-memory.ts';
import type { SplitQueue } from './queue.ts';

/** Device types (Virtual I/O Device, "Device Types"). */
export const DeviceId = { network: 1, block: 2, console: 3, entropy: 4, balloon: 5, filesystem9p: 9, gpu: 16 } as const;
export type DeviceId = (typeof DeviceId)[keyof typeof DeviceId];

/** Feature bits that belong to the ring and the transport, not to a device (Virtual I/O Device, "Reserved Feature Bits"). */
export const RingFeature = {
  indirectDescriptors: 1n << 28n,
  eventIndex: 1n << 29n,
  version1: 1n << 32n,
} as const;

/** Device status bits (Virtual I/O Device, "Device Status Field"). */
export const Status = {
  acknowledge: 1,
  driver: 2,
  driverOk: 4,
  featuresOk: 8,
  needsReset: 64,
  failed: 128,
} as const;

/**
 * One virtio device, the same over virtio-mmio and virtio-pci. A transport owns status, feature negotiation and the queues'
 * configuration; the device sees only what follows from them. Nothing here may throw on what a guest does.
 *
 * Life: features and queueSizes are read once · `start` when the driver sets DRIVER_OK · `notify` and `writeConfig` · `reset`,
 * after which chains popped before must not be used (pushing one is ignored) · `start` again.
 */
export interface VirtioDevice {
  readonly name: string;
  readonly id: DeviceId;
  /** The device's own feature bits on offer; ring features and VERSION_1 are the transport's. */
  readonly features: bigint;
  /** The largest size of each queue: powers of two up to 32768. */
  readonly queueSizes: readonly number[];
  /** The device's configuration space as the driver reads it, little-endian; live, its length is fixed. Call `host.configChanged` after a change. */
  readonly config: Uint8Array;
  /** The driver wrote `width` (1, 2 or 4) bytes at `offset`, which lie inside `config`. Absent: read-only, writes are dropped and counted. */
  writeConfig?(offset: number, width: number, value: number): void;
  /** The driver is ready. `host` is valid until `reset`. */
  start(host: VirtioHost): void;
  /** The driver says that queue `queue` has new buffers; called between `start` and `reset` for ready queues only. May be called without any. */
  notify(queue: number): void;
  /** Forget the driver and all requests in flight. */
  reset(): void;
}

/** What a started device has of its machine. */
export interface VirtioHost {
  readonly memory: GuestMemory;
  /** As many as `queueSizes`; one the driver did not set up is not `ready` and pops nothing. */
  readonly queues: readonly SplitQueue[];
  /** All negotiated features, the ring's included. */
  readonly features: bigint;
  /** Tells the driver that `config` changed. */
  configChanged(): void;
  /** The device cannot go on after what the driver did: DEVICE_NEEDS_RESET and a configuration change notification. `reason` is for people. */
  needsReset(reason: string): void;
}
