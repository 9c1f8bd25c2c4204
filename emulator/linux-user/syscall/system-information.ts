import { writeNumber } from '../abi.ts';
import { Errno } from '../../check/errno.ts';
import type { Process } from '../process.ts';
import type { Handler } from '../services.ts';

/** The user and group the guest runs as. */
const IDENTITY = 1000;
const UNLIMITED = -1;
const RESOURCE = { stack: 3, descriptors: 7 } as const;
const UTS_FIELD = 65;

function limit(process: Process, resource: number, address: number): number {
  if (resource < 0 || resource > 15) return -Errno.EINVAL;
  if (address === 0) return 0;
  if (!process.memory.writable(address, 16)) return -Errno.EFAULT;
  const value = resource === RESOURCE.stack ? 8 * 2 ** 20 : resource === RESOURCE.descriptors ? 1024 : UNLIMITED;
  writeNumber(process.memory.view, address, value);
  writeNumber(process.memory.view, address + 8, value);
  return 0;
}

function writeThree(process: Process, addresses: readonly number[]): number {
  for (const address of addresses.slice(0, 3)) {
    if (!process.memory.writable(address, 4)) return -Errno.EFAULT;
    process.memory.view.setUint32(address, IDENTITY, true);
  }
  return 0;
}

/** Accepts only what the process already is. */
const keepIdentity: Handler = (_kernel, _process, ids) =>
  ids.slice(0, 1).every((id) => (id | 0) === IDENTITY || (id | 0) === -1) ? 0 : -Errno.EPERM;

/** Calls that tell about the system and the user. */
export const SYSTEM_INFORMATION_CALLS: Readonly<Record<string, Handler>> = {
  uname: (kernel, process, [address]) => {
    const into = process.memory.writable(address, 6 * UTS_FIELD);
    if (!into) return -Errno.EFAULT;
    into.fill(0);
    const fields = ['Linux', 'vm-dyno', '6.1.0', '#1 vm-dyno', kernel.options.abi.machine, '(none)'];
    fields.forEach((field, i) => into.set(Buffer.from(field), i * UTS_FIELD));
    return 0;
  },
  sysinfo: (kernel, process, [address]) => {
    const into = process.memory.writable(address, 112);
    if (!into) return -Errno.EFAULT;
    into.fill(0);
    const { view, size } = process.memory;
    writeNumber(view, address, Number(kernel.monotonic() / 1_000_000_000n));
    writeNumber(view, address + 32, size);
    writeNumber(view, address + 40, size - process.space.mappedBytes());
    view.setUint16(address + 80, kernel.processes().length, true);
    view.setUint32(address + 104, 1, true);
    return 0;
  },
  getrlimit: (_kernel, process, [resource, address]) => limit(process, resource, address),
  setrlimit: () => 0,
  prlimit64: (_kernel, process, [, resource, , old]) => limit(process, resource, old),
  getrusage: (kernel, process, [, address]) => {
    const into = process.memory.writable(address, 144);
    if (!into) return -Errno.EFAULT;
    into.fill(0);
    const now = kernel.monotonic();
    writeNumber(process.memory.view, address, Number(now / 1_000_000_000n));
    writeNumber(process.memory.view, address + 8, Number((now % 1_000_000_000n) / 1000n));
    writeNumber(process.memory.view, address + 32, process.space.mappedBytes() / 1024);
    return 0;
  },
  getrandom: (kernel, process, [buffer, length]) => {
    if (length < 0) return -Errno.EINVAL;
    const into = process.memory.writable(buffer, length);
    if (!into) return -Errno.EFAULT;
    kernel.options.surroundings.random(into);
    return length;
  },
  getcpu: (_kernel, process, [cpu, node]) => {
    for (const address of [cpu, node]) {
      if (address === 0) continue;
      if (!process.memory.writable(address, 4)) return -Errno.EFAULT;
      process.memory.view.setUint32(address, 0, true);
    }
    return 0;
  },
  getuid: () => IDENTITY,
  geteuid: () => IDENTITY,
  getgid: () => IDENTITY,
  getegid: () => IDENTITY,
  getresuid: (_kernel, process, addresses) => writeThree(process, addresses),
  getresgid: (_kernel, process, addresses) => writeThree(process, addresses),
  getgroups: (_kernel, process, [size, address]) => {
    if (size === 0) return 1;
    if (!process.memory.writable(address, 4)) return -Errno.EFAULT;
    process.memory.view.setUint32(address, IDENTITY, true);
    return 1;
  },
  setuid: keepIdentity,
  setgid: keepIdentity,
  setreuid: keepIdentity,
  setregid: keepIdentity,
  setresuid: keepIdentity,
  setresgid: keepIdentity,
};
