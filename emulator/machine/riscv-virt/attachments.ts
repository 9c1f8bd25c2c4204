/** The virtio devices that options ask for, and what has to be closed when the machine is gone. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { ConfigError } from '../../check/errors.ts';
import type { Clock } from '../../device/device.ts';
import { VirtioBlock } from '../../device/virtio/block.ts';
import { VirtioConsole } from '../../device/virtio/console.ts';
import type { VirtioDevice } from '../../device/virtio/device.ts';
import { VirtioEntropy } from '../../device/virtio/entropy.ts';
import { VirtioGpu } from '../../device/virtio/gpu.ts';
import { VirtioNet } from '../../device/virtio/net.ts';
import { PacketCapture } from '../../device/virtio/network/capture.ts';
import { Virtio9p } from '../../device/virtio/p9.ts';
import { openDrive, type DriveOption } from '../drive-option.ts';
import { createNetwork, type NetworkOption } from '../network-option.ts';
import type { ShareOption } from '../share-option.ts';

export interface AttachmentOptions {
  readonly drives?: readonly DriveOption[];
  readonly network?: NetworkOption;
  readonly shares?: readonly ShareOption[];
  /** A graphics card, for screenshots. */
  readonly display?: boolean;
  /** A virtio console beside the serial port, which knows the size of the terminal. */
  readonly virtioConsole?: boolean;
}

export interface AttachmentHost {
  readonly clock: Clock;
  readonly deterministic: boolean;
  readonly random: (into: Uint8Array) => void;
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly output: (bytes: Uint8Array) => void;
  /** A disk's file failed; the guest gets an I/O error. */
  readonly report: (error: unknown) => void;
}

export class Attachments {
  /** In the order in which the guest finds them. */
  readonly devices: readonly VirtioDevice[];
  readonly gpu: VirtioGpu | undefined;
  readonly console: VirtioConsole | undefined;
  readonly #closers: (() => void)[] = [];

  /** Throws ConfigError for what cannot be opened; nothing is left open then. */
  constructor(options: AttachmentOptions, host: AttachmentHost) {
    const { clock, deterministic, random } = host;
    const { drives = [], network, shares = [] } = options;
    try {
      const devices: VirtioDevice[] = drives.map((drive) => this.#disk(drive, host));
      if (network !== undefined) {
        const capture = network.capture === undefined ? {} : { capture: this.#capture(network.capture) };
        const backend = createNetwork(network, deterministic);
        devices.push(new VirtioNet({ backend, clock, mac: network.mac, ...capture }));
      }
      for (const { root, tag, readOnly } of shares) {
        devices.push(new Virtio9p({ root, tag, readOnly, clock, now: host.now }));
      }
      this.gpu = options.display === true ? new VirtioGpu({ clock }) : undefined;
      if (this.gpu !== undefined) devices.push(this.gpu);
      this.console = options.virtioConsole === true ? new VirtioConsole({ clock, output: host.output }) : undefined;
      if (this.console !== undefined) devices.push(this.console);
      devices.push(new VirtioEntropy({ clock, source: random }));
      this.devices = devices;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    for (const close of this.#closers.splice(0)) close();
  }

  #disk(drive: DriveOption, { clock, report }: AttachmentHost): VirtioBlock {
    const { backend, close } = openDrive(drive, report);
    this.#closers.push(close);
    const { sectorSize, serial } = drive;
    return new VirtioBlock({ backend, clock, sectorSize, ...(serial === undefined ? {} : { serial }) });
  }

  #capture(file: string): PacketCapture {
    try {
      const descriptor = openSync(file, 'w');
      this.#closers.push(() => closeSync(descriptor));
      return new PacketCapture((bytes) => void writeSync(descriptor, bytes));
    } catch (error) {
      throw new ConfigError(`cannot be written: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
        where: `--net capture=${file}`,
        mend: 'give a file that may be written',
        cause: error,
      });
    }
  }
}
