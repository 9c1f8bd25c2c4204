import { ImageError } from '../../check/errors.ts';
import { readNumber, writeNumber } from '../abi.ts';
import { Errno } from '../../check/errno.ts';
import type { Process, ProcessEnd, Waiting } from '../process.ts';
import { NO_RESULT, type Handler, type Services } from '../services.ts';
import { placeOf, selfOf, AT } from './file.ts';

const CLONE = {
  vm: 0x100,
  vfork: 0x4000,
  thread: 0x10000,
  setTls: 0x80000,
  parentSetTid: 0x100000,
  childClearTid: 0x200000,
  childSetTid: 0x1000000,
} as const;
const WAIT = { noHang: 1 } as const;
const STRING_LIMIT = 128 * 1024;
const MAXIMUM_STRINGS = 32768;
const MAXIMUM_SCRIPT_DEPTH = 4;

/** clone(2) as far as it makes processes; a child that would share memory for longer than vfork does is a thread, and those do not exist yet. */
function clone(
  kernel: Services,
  parent: Process,
  [flags, stack, parentTid, tls, childTid]: readonly number[],
): number | Waiting {
  const { abi } = kernel.options;
  if ((flags! & CLONE.thread) !== 0 || ((flags! & CLONE.vm) !== 0 && (flags! & CLONE.vfork) === 0))
    return -Errno.ENOSYS;
  if ((flags! & CLONE.parentSetTid) !== 0 && !parent.memory.writable(parentTid!, 4)) return -Errno.EFAULT;
  const child = kernel.fork(parent);
  if (!child) return -Errno.EAGAIN;
  child.cpu.pc += BigInt(abi.callLength);
  abi.setResult(child.cpu.state, 0);
  if (stack !== 0) abi.setStackPointer(child.cpu.state, stack!);
  if ((flags! & CLONE.setTls) !== 0) abi.setThreadPointer(child.cpu.state, tls!);
  if ((flags! & CLONE.parentSetTid) !== 0) parent.memory.view.setInt32(parentTid!, child.pid, true);
  if ((flags! & CLONE.childSetTid) !== 0 && child.memory.writable(childTid!, 4))
    child.memory.view.setInt32(childTid!, child.pid, true);
  if ((flags! & CLONE.childClearTid) !== 0) child.clearChildTid = childTid!;
  if ((flags! & CLONE.vfork) === 0) return child.pid;
  child.vforked = true;
  return { poll: () => (child.vforked ? undefined : child.pid), restartable: false };
}

/** A NULL-terminated array of strings, or a negated errno. */
function strings(process: Process, address: number): string[] | number {
  const list: string[] = [];
  let total = 0;
  if (address === 0) return list;
  for (let at = address; list.length < MAXIMUM_STRINGS; at += 8) {
    if (!process.memory.readable(at, 8)) return -Errno.EFAULT;
    const pointer = readNumber(process.memory.view, at);
    if (pointer === 0) return list;
    const text = process.memory.string(pointer, STRING_LIMIT);
    if (text === undefined) return -Errno.EFAULT;
    total += text.length + 1;
    if (total > 2 ** 20) return -Errno.E2BIG;
    list.push(text);
  }
  return -Errno.E2BIG;
}

function execute(
  kernel: Services,
  process: Process,
  directory: number,
  pathAddress: number,
  argvAddress: number,
  environmentAddress: number,
): number | typeof NO_RESULT {
  const path = process.memory.string(pathAddress, 4096);
  if (path === undefined) return -Errno.EFAULT;
  const argv = strings(process, argvAddress);
  const environment = strings(process, environmentAddress);
  if (typeof argv === 'number') return argv;
  if (typeof environment === 'number') return environment;
  return executePath(kernel, process, directory, path, argv, environment, 0);
}

function executePath(
  kernel: Services,
  process: Process,
  directory: number,
  path: string,
  argv: readonly string[],
  environment: readonly string[],
  depth: number,
): number | typeof NO_RESULT {
  let program = process.program;
  if (path !== '/proc/self/exe') {
    const place = placeOf(kernel, process, directory, path, true);
    if (typeof place === 'number') return place;
    if (place.guest !== '/proc/self/exe') {
      const bytes = kernel.options.files.readProgram(place, selfOf(process));
      if (typeof bytes === 'number') return bytes;
      if (bytes[0] === 0x23 && bytes[1] === 0x21)
        return executeScript(kernel, process, path, bytes, argv, environment, depth);
      program = { path: place.guest, bytes };
    }
  }
  try {
    kernel.execute(process, program, argv.length > 0 ? argv : [path], environment);
    return NO_RESULT;
  } catch (error) {
    if (error instanceof ImageError) return -Errno.ENOEXEC;
    throw error;
  }
}

/** `#!interpreter argument`: runs the interpreter with the script's name (execve(2), "Interpreter scripts"). */
function executeScript(
  kernel: Services,
  process: Process,
  path: string,
  bytes: Uint8Array,
  argv: readonly string[],
  environment: readonly string[],
  depth: number,
) {
  if (depth >= MAXIMUM_SCRIPT_DEPTH) return -Errno.ELOOP;
  const line = Buffer.from(bytes.subarray(2, 258)).toString('latin1').split('\n')[0]!.trim();
  const match = /^(\S+)(?:\s+(.*))?$/.exec(line);
  if (!match) return -Errno.ENOEXEC;
  const [, interpreter, argument] = match;
  const next = [interpreter!, ...(argument ? [argument] : []), path, ...argv.slice(1)];
  return executePath(kernel, process, AT.currentDirectory, interpreter!, next, environment, depth + 1);
}

/** The status word of wait(2). */
function statusWord(end: ProcessEnd): number {
  return 'code' in end ? (end.code & 0xff) << 8 : end.signal & 0x7f;
}

function wait4(
  kernel: Services,
  parent: Process,
  [pid, statusAddress, options, usage]: readonly number[],
): number | Waiting {
  if (statusAddress !== 0 && !parent.memory.writable(statusAddress!, 4)) return -Errno.EFAULT;
  if (usage !== 0 && !parent.memory.writable(usage!, 144)) return -Errno.EFAULT;
  const matches = (child: Process) =>
    pid === -1 ||
    child.pid === pid ||
    (pid === 0 && child.group === parent.group) ||
    (pid! < -1 && child.group === -pid!);
  const attempt = (): number | undefined => {
    const children = kernel.childrenOf(parent).filter(matches);
    if (children.length === 0) return -Errno.ECHILD;
    const ended = children.find((child) => child.end);
    if (!ended) return (options! & WAIT.noHang) !== 0 ? 0 : undefined;
    if (statusAddress !== 0) parent.memory.view.setInt32(statusAddress!, statusWord(ended.end!), true);
    if (usage !== 0) parent.memory.bytes.fill(0, usage, usage! + 144);
    kernel.reap(ended);
    return ended.pid;
  };
  return attempt() ?? { poll: attempt, restartable: true };
}

function exit(kernel: Services, process: Process, code: number): typeof NO_RESULT {
  if (process.clearChildTid !== 0 && process.memory.writable(process.clearChildTid, 4))
    process.memory.view.setInt32(process.clearChildTid, 0, true);
  kernel.terminate(process, { code: code & 0xff });
  return NO_RESULT;
}

function target(kernel: Services, process: Process, pid: number): Process | undefined {
  return pid === 0 ? process : kernel.find(pid);
}

/** futex(2) of a program with one thread: a wait can only time out. */
function futex(
  kernel: Services,
  process: Process,
  [address, operation, expected, timeoutAddress]: readonly number[],
): number | Waiting {
  const command = operation! & 0x7f;
  if (command === 1) return 0;
  if (command !== 0 && command !== 9) return -Errno.ENOSYS;
  if (!process.memory.readable(address!, 4)) return -Errno.EFAULT;
  if (process.memory.view.getInt32(address!, true) !== (expected! | 0)) return -Errno.EAGAIN;
  if (timeoutAddress === 0) return { poll: () => undefined, restartable: true };
  if (!process.memory.readable(timeoutAddress!, 16)) return -Errno.EFAULT;
  const time =
    BigInt(readNumber(process.memory.view, timeoutAddress!)) * 1_000_000_000n +
    BigInt(readNumber(process.memory.view, timeoutAddress! + 8));
  const deadline = command === 9 ? time : kernel.monotonic() + time;
  return { poll: () => (kernel.monotonic() >= deadline ? -Errno.ETIMEDOUT : undefined), deadline, restartable: false };
}

/** Calls that make, end and describe processes. */
export const PROCESS_CALLS: Readonly<Record<string, Handler>> = {
  clone: (kernel, process, args) => clone(kernel, process, args),
  execve: (kernel, process, [path, argv, environment]) =>
    execute(kernel, process, AT.currentDirectory, path, argv, environment),
  execveat: (kernel, process, [directory, path, argv, environment]) =>
    execute(kernel, process, directory, path, argv, environment),
  wait4: (kernel, process, args) => wait4(kernel, process, args),
  exit: (kernel, process, [code]) => exit(kernel, process, code),
  exit_group: (kernel, process, [code]) => exit(kernel, process, code),
  set_tid_address: (_kernel, process, [address]) => {
    process.clearChildTid = address;
    return process.pid;
  },
  set_robust_list: () => 0,
  futex: (kernel, process, args) => futex(kernel, process, args),
  getpid: (_kernel, process) => process.pid,
  gettid: (_kernel, process) => process.pid,
  getppid: (_kernel, process) => process.parent?.pid ?? 1,
  getpgid: (kernel, process, [pid]) => target(kernel, process, pid)?.group ?? -Errno.ESRCH,
  setpgid: (kernel, process, [pid, group]) => {
    const other = target(kernel, process, pid);
    if (!other || (other !== process && other.parent !== process)) return -Errno.ESRCH;
    if (group < 0) return -Errno.EINVAL;
    other.group = group === 0 ? other.pid : group;
    return 0;
  },
  getsid: (kernel, process, [pid]) => target(kernel, process, pid)?.session ?? -Errno.ESRCH,
  setsid: (_kernel, process) => {
    if (process.group === process.pid) return -Errno.EPERM;
    process.session = process.group = process.pid;
    return process.pid;
  },
  sched_yield: () => 0,
  sched_getaffinity: (_kernel, process, [, size, address]) => {
    if (size < 8) return -Errno.EINVAL;
    if (!process.memory.writable(address, 8)) return -Errno.EFAULT;
    writeNumber(process.memory.view, address, 1);
    return 8;
  },
  sched_setaffinity: () => 0,
  getpriority: () => 20,
  setpriority: () => 0,
  prctl: (_kernel, process, [option, address]) => {
    if (option === 15) {
      const name = process.memory.stringBytes(address, 4096);
      if (!name) return -Errno.EFAULT;
      process.name = Buffer.from(name.subarray(0, 15)).toString('latin1');
      return 0;
    }
    if (option === 16) {
      const into = process.memory.writable(address, 16);
      if (!into) return -Errno.EFAULT;
      into.fill(0);
      into.set(Buffer.from(process.name.slice(0, 15), 'latin1'));
      return 0;
    }
    return -Errno.EINVAL;
  },
};
