import { Errno } from '../../check/errno.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { FileType, WOULD_BLOCK, type OpenFile } from '../file.ts';
import { OpenFlag } from '../filesystem.ts';
import type { Process } from '../process.ts';
import type { Handler } from '../services.ts';
import { flushWritten } from './transfer.ts';

const MAP = { shared: 1, private: 2, fixed: 0x10, anonymous: 0x20, fixedNoReplace: 0x10_0000 } as const;

/** mmap(2). A shared mapping of a file that is open for reading only is a private copy. */
function map(process: Process, [address, length, protection, flags, fd, offset]: readonly number[]): number {
  const shared = (flags! & MAP.shared) !== 0;
  if (!shared && (flags! & MAP.private) === 0) return -Errno.EINVAL;
  const file = (flags! & MAP.anonymous) === 0 ? process.descriptors.get(fd!) : undefined;
  if ((flags! & MAP.anonymous) === 0) {
    if (!file) return -Errno.EBADF;
    if (offset! < 0 || offset! % 4096 !== 0) return -Errno.EINVAL;
    if ((file.flags & OpenFlag.accessMode) === 1) return -Errno.EACCES;
    if (shared && (protection! & 2) !== 0 && !writable(file)) return -Errno.EACCES;
  }
  const noReplace = (flags! & MAP.fixedNoReplace) !== 0;
  const at = process.space.map(address!, length!, protection!, (flags! & MAP.fixed) !== 0 || noReplace, noReplace);
  if (at < 0) return at;
  const size = Math.ceil(length! / PAGE_SIZE) * PAGE_SIZE;
  if (!file) {
    if (shared) process.space.shared.addAnonymous(at, size);
    return at;
  }
  if (shared && writable(file)) {
    const status = file.status();
    if (typeof status === 'number' || (status.mode & 0o170000) !== FileType.regular) {
      process.space.unmap(at, length!);
      return -Errno.ENODEV;
    }
    process.space.shared.addFile(at, size, file, offset!);
    return at;
  }
  const count = file.read(process.memory.bytes.subarray(at, at + length!), offset!);
  if (count === WOULD_BLOCK || count < 0) {
    process.space.unmap(at, length!);
    return count === WOULD_BLOCK ? -Errno.ENODEV : count;
  }
  flushWritten(process, at, length!);
  return at;
}

/** Stores to a shared mapping go to their place in the file, so it may not be one that is only appended to. */
function writable({ flags }: OpenFile): boolean {
  return (flags & OpenFlag.accessMode) === 2 && (flags & OpenFlag.append) === 0;
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
    if (advice === 4 && process.space.shared.holding(address, length) === 'none')
      process.memory.writable(address, length)?.fill(0);
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
