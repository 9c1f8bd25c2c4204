import { Errno } from '../../check/errno.ts';
import { WOULD_BLOCK } from '../file.ts';
import type { Process } from '../process.ts';
import type { Handler } from '../services.ts';
import { flushWritten } from './transfer.ts';

const MAP = { shared: 1, private: 2, fixed: 0x10, anonymous: 0x20, fixedNoReplace: 0x10_0000 } as const;

/** mmap(2). File mappings are private copies: a shared one that may be written is refused, since the file would not see the stores. */
function map(process: Process, [address, length, protection, flags, fd, offset]: readonly number[]): number {
  if ((flags! & (MAP.shared | MAP.private)) === 0) return -Errno.EINVAL;
  const file = (flags! & MAP.anonymous) === 0 ? process.descriptors.get(fd!) : undefined;
  if ((flags! & MAP.anonymous) === 0) {
    if (!file) return -Errno.EBADF;
    if (offset! < 0 || offset! % 4096 !== 0) return -Errno.EINVAL;
    if ((flags! & MAP.shared) !== 0 && (protection! & 2) !== 0) return -Errno.ENODEV;
  }
  const noReplace = (flags! & MAP.fixedNoReplace) !== 0;
  const at = process.space.map(address!, length!, protection!, (flags! & MAP.fixed) !== 0 || noReplace, noReplace);
  if (at < 0 || !file) return at;
  const count = file.read(process.memory.bytes.subarray(at, at + length!), offset!);
  if (count === WOULD_BLOCK || count < 0) {
    process.space.unmap(at, length!);
    return count === WOULD_BLOCK ? -Errno.ENODEV : count;
  }
  flushWritten(process, at, length!);
  return at;
}

export const MEMORY_CALLS: Readonly<Record<string, Handler>> = {
  brk: (_kernel, process, [to]) => process.space.moveBreak(to),
  mmap: (_kernel, process, args) => map(process, args),
  munmap: (_kernel, process, [address, length]) => process.space.unmap(address, length),
  mprotect: (_kernel, process, [address, length, protection]) => process.space.protect(address, length, protection),
  mremap: (_kernel, process, [address, oldLength, newLength, flags]) =>
    (flags & 2) !== 0 ? -Errno.EINVAL : process.space.remap(address, oldLength, newLength, (flags & 1) !== 0),
  madvise: (_kernel, process, [address, length, advice]) => {
    // MADV_DONTNEED gives zeroes afterwards; other advice may be ignored.
    if (advice === 4) process.memory.writable(address, length)?.fill(0);
    return 0;
  },
  msync: () => 0,
  mlock: () => 0,
  munlock: () => 0,
  riscv_flush_icache: (_kernel, process, [start, end]) => {
    if (end > start && start >= 0 && end <= process.memory.size) process.cpu.flushCode(start, end - start);
    return 0;
  },
};
