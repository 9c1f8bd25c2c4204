import { Errno } from '../../check/errno.ts';
import type { OpenFile } from '../file.ts';
import type { Process, Waiting } from '../process.ts';
import type { Handler, Services } from '../services.ts';
import { timeoutOf } from './time.ts';

const MAXIMUM_ENTRIES = 1024;

/** `ppoll` and `pselect6` share this: waits until `ready` gives a count above 0 or the time is up. */
function waitForFiles(
  kernel: Services,
  files: readonly OpenFile[],
  timeout: bigint | undefined,
  ready: () => number,
  finish: () => number,
): number | Waiting {
  if (ready() > 0 || timeout === 0n) return finish();
  const deadline = timeout === undefined ? undefined : kernel.monotonic() + timeout;
  return {
    poll: () => (ready() > 0 || (deadline !== undefined && kernel.monotonic() >= deadline) ? finish() : undefined),
    restartable: false,
    external: files.some((file) => file.host !== undefined),
    ...(deadline === undefined ? {} : { deadline }),
  };
}

const POLL = { in: 1, out: 4, hup: 16, nval: 32 } as const;

function ppoll(
  kernel: Services,
  process: Process,
  address: number,
  count: number,
  timeoutAddress: number,
): number | Waiting {
  if (count < 0 || count > MAXIMUM_ENTRIES) return -Errno.EINVAL;
  const bytes = process.memory.writable(address, count * 8);
  if (!bytes) return -Errno.EFAULT;
  const timeout = timeoutOf(process, timeoutAddress);
  if (typeof timeout === 'number') return timeout;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const events = (i: number): number => {
    const fd = view.getInt32(8 * i, true);
    if (fd < 0) return 0;
    const file = process.descriptors.get(fd);
    if (!file) return POLL.nval;
    const wanted = view.getUint16(8 * i + 4, true);
    const { readable, writable, hangup } = file.poll();
    return (readable ? wanted & POLL.in : 0) | (writable ? wanted & POLL.out : 0) | (hangup ? POLL.hup : 0);
  };
  const indices = [...Array(count).keys()];
  const ready = () => indices.filter((i) => events(i) !== 0).length;
  const files = indices.flatMap((i) => process.descriptors.get(view.getInt32(8 * i, true)) ?? []);
  return waitForFiles(kernel, files, timeout, ready, () => {
    let count = 0;
    for (const i of indices) {
      const seen = events(i);
      view.setUint16(8 * i + 6, seen, true);
      if (seen !== 0) count++;
    }
    return count;
  });
}

function pselect(
  kernel: Services,
  process: Process,
  [count, readSet, writeSet, exceptSet, timeoutAddress]: readonly number[],
): number | Waiting {
  if (count! < 0 || count! > 1024) return -Errno.EINVAL;
  const size = Math.ceil(count! / 64) * 8;
  const set = (address: number) => (address === 0 ? new Uint8Array(size) : process.memory.writable(address, size));
  const [reads, writes, excepts] = [set(readSet!), set(writeSet!), set(exceptSet!)];
  if (!reads || !writes || !excepts) return -Errno.EFAULT;
  const timeout = timeoutOf(process, timeoutAddress!);
  if (typeof timeout === 'number') return timeout;
  const has = (bits: Uint8Array, fd: number) => (bits[fd >> 3]! & (1 << (fd & 7))) !== 0;
  const wanted = [...Array(count).keys()].filter((fd) => has(reads, fd) || has(writes, fd));
  const files = wanted.map((fd) => process.descriptors.get(fd));
  if (files.includes(undefined)) return -Errno.EBADF;
  const fires = (fd: number, kind: 'readable' | 'writable', bits: Uint8Array) =>
    has(bits, fd) && process.descriptors.get(fd)!.poll()[kind];
  const ready = () => wanted.filter((fd) => fires(fd, 'readable', reads) || fires(fd, 'writable', writes)).length;
  return waitForFiles(kernel, files as OpenFile[], timeout, ready, () => {
    let total = 0;
    for (const fd of wanted) {
      for (const [bits, kind] of [
        [reads, 'readable'],
        [writes, 'writable'],
      ] as const) {
        if (!has(bits, fd)) continue;
        if (fires(fd, kind, bits)) total++;
        else bits[fd >> 3]! &= ~(1 << (fd & 7));
      }
    }
    excepts.fill(0);
    return total;
  });
}

/** Calls that wait for several files. */
export const POLL_CALLS: Readonly<Record<string, Handler>> = {
  ppoll: (kernel, process, [address, count, timeout]) => ppoll(kernel, process, address, count, timeout),
  pselect6: (kernel, process, args) => pselect(kernel, process, args),
};
