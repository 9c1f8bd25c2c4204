import { readNumber, writeNumber } from '../abi.ts';
import { Errno } from '../../check/errno.ts';
import type { Process } from '../process.ts';
import { NO_RESULT, type Handler, type Services } from '../services.ts';
import { Signal, valid } from '../signal.ts';

const MASK_SIZE = 8;

function action(process: Process, [signal, address, old, size]: readonly number[]): number {
  if (size !== MASK_SIZE || !valid(signal!)) return -Errno.EINVAL;
  const { view } = process.memory;
  if (address !== 0 && !process.memory.readable(address!, 24)) return -Errno.EFAULT;
  const previous = process.signals.action(signal!);
  if (old !== 0) {
    if (!process.memory.writable(old!, 24)) return -Errno.EFAULT;
  }
  let result = 0;
  if (address !== 0)
    result = process.signals.setAction(signal!, {
      handler: readNumber(view, address!),
      flags: view.getBigUint64(address! + 8, true),
      mask: view.getBigUint64(address! + 16, true),
    });
  if (old !== 0 && result === 0) {
    writeNumber(view, old!, previous.handler);
    view.setBigUint64(old! + 8, previous.flags, true);
    view.setBigUint64(old! + 16, previous.mask, true);
  }
  return result;
}

function changeMask(process: Process, [how, address, old, size]: readonly number[]): number {
  if (size !== MASK_SIZE) return -Errno.EINVAL;
  const { view } = process.memory;
  const before = process.signals.mask;
  if (address !== 0) {
    if (!process.memory.readable(address!, 8)) return -Errno.EFAULT;
    const set = view.getBigUint64(address!, true);
    if (how === 0) process.signals.setMask(before | set);
    else if (how === 1) process.signals.setMask(before & ~set);
    else if (how === 2) process.signals.setMask(set);
    else return -Errno.EINVAL;
  }
  if (old !== 0) {
    if (!process.memory.writable(old!, 8)) return -Errno.EFAULT;
    view.setBigUint64(old!, before, true);
  }
  return 0;
}

/** kill(2): to one process, the caller's group (0), every process (-1) or a group (below -1). */
function kill(kernel: Services, sender: Process, pid: number, signal: number): number {
  if (signal !== 0 && !valid(signal)) return -Errno.EINVAL;
  const targets = kernel.processes().filter((target) => {
    if (pid > 0) return target.pid === pid;
    if (pid === 0) return target.group === sender.group;
    return pid === -1 ? target !== sender : target.group === -pid;
  });
  if (targets.length === 0) return -Errno.ESRCH;
  if (signal !== 0)
    for (const target of targets) target.signals.raise({ signal, code: 0, address: 0n, sender: sender.pid });
  return 0;
}

function alternateStack(process: Process, [address, old]: readonly number[]): number {
  const { view } = process.memory;
  const before = process.signals.alternateStack;
  if (address !== 0) {
    if (!process.memory.readable(address!, 24)) return -Errno.EFAULT;
    const flags = view.getInt32(address! + 8, true);
    const next = { pointer: readNumber(view, address!), flags, size: readNumber(view, address! + 16) };
    if ((flags & 2) !== 0) process.signals.alternateStack = { pointer: 0, flags: 2, size: 0 };
    else if (next.size < 2048) return -Errno.ENOMEM;
    else process.signals.alternateStack = { ...next, flags: 0 };
  }
  if (old !== 0) {
    if (!process.memory.writable(old!, 24)) return -Errno.EFAULT;
    writeNumber(view, old!, before.pointer);
    writeNumber(view, old! + 8, before.flags);
    writeNumber(view, old! + 16, before.size);
  }
  return 0;
}

export const SIGNAL_CALLS: Readonly<Record<string, Handler>> = {
  rt_sigaction: (_kernel, process, args) => action(process, args),
  rt_sigprocmask: (_kernel, process, args) => changeMask(process, args),
  rt_sigpending: (_kernel, process, [address, size]) => {
    if (size > MASK_SIZE) return -Errno.EINVAL;
    if (!process.memory.writable(address, 8)) return -Errno.EFAULT;
    process.memory.view.setBigUint64(address, process.signals.pendingMask, true);
    return 0;
  },
  rt_sigsuspend: (_kernel, process, [address, size]) => {
    if (size !== MASK_SIZE) return -Errno.EINVAL;
    if (!process.memory.readable(address, 8)) return -Errno.EFAULT;
    process.signals.savedMask = process.signals.mask;
    process.signals.setMask(process.memory.view.getBigUint64(address, true));
    return { poll: () => undefined, restartable: false };
  },
  rt_sigreturn: (kernel, process) => {
    // A frame that cannot be read back is the program's own doing; Linux kills it with SIGSEGV as well.
    if (!kernel.leaveHandler(process)) kernel.terminate(process, { signal: Signal.SIGSEGV });
    return NO_RESULT;
  },
  sigaltstack: (_kernel, process, args) => alternateStack(process, args),
  kill: (kernel, process, [pid, signal]) => kill(kernel, process, pid, signal),
  tkill: (kernel, process, [pid, signal]) => (pid <= 0 ? -Errno.EINVAL : kill(kernel, process, pid, signal)),
  tgkill: (kernel, process, [, pid, signal]) => (pid <= 0 ? -Errno.EINVAL : kill(kernel, process, pid, signal)),
};
