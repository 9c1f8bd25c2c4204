/**
 * Loaded before a command line whose memory is measured (`NODE_OPTIONS=--import`): at the end of the process it writes `ProcessMemory` to standard
 * error. Linux only: it reads /proc.
 */
import { readFileSync, openSync, readSync, closeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** In KiB of resident memory. */
export interface ProcessMemory {
  /** The most at any time. */
  readonly peak: number;
  /** Pages of the largest linear memory that are resident at the end, from `MEASURED_FROM` on. */
  readonly guest: number;
}

/** Environment variable: where in a linear memory the guest's pages begin. */
export const MEASURED_FROM = 'DYNO_MEASURED_FROM';

const PAGE_SIZE = 4096;

/** The most resident memory that a process has had, in KiB: `status` is its /proc/PID/status. */
export function peakKiB(status: string): number {
  const value = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  if (value === undefined) throw new Error('/proc/PID/status has no VmHWM');
  return Number(value);
}

const from = process.env[MEASURED_FROM];
if (from !== undefined && isMainThread) {
  // Held, for nobody else does once the guest has ended.
  const memories: WebAssembly.Memory[] = [];
  WebAssembly.Memory = class extends WebAssembly.Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      memories.push(this);
    }
  };
  process.on('exit', () => {
    const size = Math.max(...memories.map(({ buffer }) => buffer.byteLength));
    const memory: ProcessMemory = {
      peak: peakKiB(readFileSync('/proc/self/status', 'latin1')),
      guest: residentKiB(size, Number(from), size - Number(from)),
    };
    process.stderr.write(JSON.stringify(memory));
  });
}

/** KiB of `length` bytes of a mapping of `size` bytes, from `from` on, that are resident: bit 63 of their entries in /proc/self/pagemap. */
function residentKiB(size: number, from: number, length: number): number {
  const mapping = readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .map((line) => /^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0\s*$/.exec(line))
    .find((match) => match !== null && parseInt(match[2]!, 16) - parseInt(match[1]!, 16) === size);
  if (mapping === undefined || mapping === null) throw new Error(`no mapping of ${size} bytes`);
  const entries = new BigUint64Array(length / PAGE_SIZE);
  const pagemap = openSync('/proc/self/pagemap', 'r');
  readSync(pagemap, entries, 0, entries.byteLength, ((parseInt(mapping[1]!, 16) + from) / PAGE_SIZE) * 8);
  closeSync(pagemap);
  return entries.reduce((count, entry) => count + Number(entry >> 63n), 0) * (PAGE_SIZE / 1024);
}
