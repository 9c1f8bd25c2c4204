import { readNumber, writeNumber } from '../abi.ts';
import { Errno } from '../../check/errno.ts';
import type { Process } from '../process.ts';
import type { Handler, Services } from '../services.ts';

const SECOND = 1_000_000_000n;
const CLOCK = {
  realtime: 0,
  monotonic: 1,
  processCpu: 2,
  threadCpu: 3,
  monotonicRaw: 4,
  realtimeCoarse: 5,
  monotonicCoarse: 6,
  boottime: 7,
} as const;

function clock(kernel: Services, id: number): bigint | undefined {
  switch (id) {
    case CLOCK.realtime:
    case CLOCK.realtimeCoarse:
      return kernel.realtime();
    case CLOCK.monotonic:
    case CLOCK.processCpu:
    case CLOCK.threadCpu:
    case CLOCK.monotonicRaw:
    case CLOCK.monotonicCoarse:
    case CLOCK.boottime:
      return kernel.monotonic();
    default:
      return undefined;
  }
}

function writeTime(process: Process, address: number, nanoseconds: bigint, fraction = 1n): number {
  if (!process.memory.writable(address, 16)) return -Errno.EFAULT;
  process.memory.view.setBigInt64(address, nanoseconds / SECOND, true);
  process.memory.view.setBigInt64(address + 8, (nanoseconds % SECOND) / fraction, true);
  return 0;
}

/** A `timespec` in nanoseconds, or a negated errno. */
function readTime(process: Process, address: number): bigint | number {
  if (!process.memory.readable(address, 16)) return -Errno.EFAULT;
  const seconds = process.memory.view.getBigInt64(address, true);
  const nanoseconds = process.memory.view.getBigInt64(address + 8, true);
  return seconds < 0n || nanoseconds < 0n || nanoseconds >= SECOND ? -Errno.EINVAL : seconds * SECOND + nanoseconds;
}

/** An optional timeout argument: undefined for "for ever". */
export function timeoutOf(process: Process, address: number): bigint | undefined | number {
  return address === 0 ? undefined : readTime(process, address);
}

function sleep(kernel: Services, process: Process, id: number, flags: number, request: number, remain: number) {
  const wanted = readTime(process, request);
  if (typeof wanted === 'number') return wanted;
  const now = clock(kernel, id);
  if (now === undefined) return -Errno.EINVAL;
  const duration = (flags & 1) === 0 ? wanted : wanted - now;
  if (duration <= 0n) return 0;
  const deadline = kernel.monotonic() + duration;
  return {
    poll: () => {
      const left = deadline - kernel.monotonic();
      if (left <= 0n) return 0;
      // Kept up to date, so that it is right when a signal ends the sleep.
      if (remain !== 0 && (flags & 1) === 0) writeTime(process, remain, left);
      return undefined;
    },
    deadline,
    restartable: false,
  };
}

function setTimer(kernel: Services, process: Process, [which, address, old]: readonly number[]): number {
  if (which !== 0) return -Errno.EINVAL;
  const microseconds = (at: number) =>
    BigInt(readNumber(process.memory.view, at)) * SECOND + BigInt(readNumber(process.memory.view, at + 8)) * 1000n;
  if (!process.memory.readable(address!, 32)) return -Errno.EFAULT;
  const previous = process.alarm;
  if (old !== 0) {
    if (!process.memory.writable(old!, 32)) return -Errno.EFAULT;
    writeTime(process, old!, previous?.interval ?? 0n, 1000n);
    writeTime(process, old! + 16, previous ? previous.due - kernel.monotonic() : 0n, 1000n);
  }
  const interval = microseconds(address!);
  const value = microseconds(address! + 16);
  process.alarm = value > 0n ? { due: kernel.monotonic() + value, interval } : undefined;
  return 0;
}

export const TIME_CALLS: Readonly<Record<string, Handler>> = {
  clock_gettime: (kernel, process, [id, address]) => {
    const now = clock(kernel, id);
    return now === undefined ? -Errno.EINVAL : writeTime(process, address, now);
  },
  clock_getres: (kernel, process, [id, address]) =>
    clock(kernel, id) === undefined ? -Errno.EINVAL : address === 0 ? 0 : writeTime(process, address, 1n),
  gettimeofday: (kernel, process, [address]) =>
    address === 0 ? 0 : writeTime(process, address, kernel.realtime(), 1000n),
  nanosleep: (kernel, process, [request, remain]) => sleep(kernel, process, CLOCK.monotonic, 0, request, remain),
  clock_nanosleep: (kernel, process, [id, flags, request, remain]) =>
    sleep(kernel, process, id, flags, request, remain),
  times: (kernel, process, [address]) => {
    const ticks = Number(kernel.monotonic() / 10_000_000n);
    if (address !== 0) {
      if (!process.memory.writable(address, 32)) return -Errno.EFAULT;
      [ticks, 0, 0, 0].forEach((value, i) => writeNumber(process.memory.view, address + 8 * i, value));
    }
    return ticks;
  },
  setitimer: setTimer,
  getitimer: (kernel, process, [which, address]) => {
    if (which !== 0) return -Errno.EINVAL;
    if (!process.memory.writable(address, 32)) return -Errno.EFAULT;
    writeTime(process, address, process.alarm?.interval ?? 0n, 1000n);
    return writeTime(process, address + 16, process.alarm ? process.alarm.due - kernel.monotonic() : 0n, 1000n);
  },
};
