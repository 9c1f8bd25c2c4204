import type { Handler } from '../services.ts';
import { DESCRIPTOR_CALLS } from './descriptor.ts';
import { FILE_CALLS } from './file.ts';
import { MEMORY_CALLS } from './memory.ts';
import { POLL_CALLS } from './poll.ts';
import { PROCESS_CALLS } from './process.ts';
import { SIGNAL_CALLS } from './signal.ts';
import { SYSTEM_INFORMATION_CALLS } from './system-information.ts';
import { TIME_CALLS } from './time.ts';
import { TRANSFER_CALLS } from './transfer.ts';

/** Every system call that exists here, by name; all others give ENOSYS and are counted. */
export const SYSTEM_CALLS: ReadonlyMap<string, Handler> = new Map(
  Object.entries({
    ...DESCRIPTOR_CALLS,
    ...FILE_CALLS,
    ...MEMORY_CALLS,
    ...POLL_CALLS,
    ...TRANSFER_CALLS,
    ...PROCESS_CALLS,
    ...SIGNAL_CALLS,
    ...SYSTEM_INFORMATION_CALLS,
    ...TIME_CALLS,
  }),
);
