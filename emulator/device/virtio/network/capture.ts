import { viewOf } from './frame.ts';

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const SNAPSHOT_LENGTH = 65_535;
const LINKTYPE_ETHERNET = 1;

/**
 * Writes Ethernet frames in the libpcap file format (draft-ietf-opsawg-pcap, "General File Structure"), microsecond time stamps, into a
 * sink of bytes. What the sink throws is the host's failure and passes through.
 */
export class PacketCapture {
  readonly #write: (bytes: Uint8Array) => void;
  #frames = 0;

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
    const header = new Uint8Array(FILE_HEADER);
    const view = new DataView(header.buffer);
    view.setUint32(0, 0xa1b2_c3d4, true);
    view.setUint16(4, 2, true);
    view.setUint16(6, 4, true);
    view.setUint32(16, SNAPSHOT_LENGTH, true);
    view.setUint32(20, LINKTYPE_ETHERNET, true);
    write(header);
  }

  get frames(): number {
    return this.#frames;
  }

  /** Appends a frame seen at `now` microseconds. */
  add(frame: Uint8Array, now: number): void {
    const kept = frame.subarray(0, SNAPSHOT_LENGTH);
    const record = new Uint8Array(RECORD_HEADER + kept.length);
    const view = viewOf(record);
    view.setUint32(0, Math.floor(now / 1_000_000), true);
    view.setUint32(4, Math.floor(now) % 1_000_000, true);
    view.setUint32(8, kept.length, true);
    view.setUint32(12, frame.length, true);
    record.set(kept, RECORD_HEADER);
    this.#frames += 1;
    this.#write(record);
  }
}
