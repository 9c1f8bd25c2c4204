/** The compiling thread of a process that was started from a bundle: compiler-thread.ts, from the same bundle. */
import { openBundle } from './bundle.ts';
import type { BundleOrigin } from './bundle.ts';
import type { ThreadData } from '../../emulator/machine/background-compiler.ts';
import { HostError } from '../../emulator/check/errors.ts';

const { workerData } = process.getBuiltinModule('node:worker_threads');
const { origin, ...data } = workerData as ThreadData;
const { folder, parts } = origin as BundleOrigin;
const bundle = openBundle({ folder, parts }, data.subject.translated ? parts.machineCode : parts.code);
if (bundle === undefined) throw new HostError('was damaged since this process began', { where: folder });
bundle.serve(data);
