import { ConfigError } from '../check/errors.ts';
import type { MmioWidth } from '../memory/mmio.ts';
import type { Device } from './device.ts';

/** Read-only memory: bytes, then zeros up to its size. Writes fault, so that a guest that means to patch it notices. */
export class Rom implements Device {
  readonly name: string;
  readonly size: number;
  readonly #view: DataView;

  /** @throws ConfigError when `content` is longer than `size`. */
  constructor(name: string, size: number, content: Uint8Array) {
    if (content.length > size) throw new ConfigError(`${name}: ${content.length} bytes do not fit into ${size}`);
    this.name = name;
    this.size = size;
    const bytes = new Uint8Array(size);
    bytes.set(content);
    this.#view = new DataView(bytes.buffer);
  }

  read(offset: number, width: MmioWidth): number | bigint {
    switch (width) {
      case 1:
        return this.#view.getUint8(offset);
      case 2:
        return this.#view.getUint16(offset, true);
      case 4:
        return this.#view.getUint32(offset, true);
      default:
        return this.#view.getBigUint64(offset, true);
    }
  }

  write(): void {}

  refuses(_offset: number, _width: MmioWidth, access: 'read' | 'write'): boolean {
    return access === 'write';
  }

  reset(): void {}
}
