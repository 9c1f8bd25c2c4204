import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import type { Fingerprint } from './measurement.ts';

/** The machine and runtime of this process; `flags` are the runtime flags the measuring processes get. */
export function fingerprint(flags: readonly string[] = []): Fingerprint {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    os: `${type()} ${release()}`,
    arch: process.arch,
    runtime: `node ${process.versions.node}`,
    v8: process.versions.v8,
    flags: [...flags],
    harness: harnessVersion(),
  };
}

/** The version in package.json. */
export function harnessVersion(): string {
  const path = join(import.meta.dirname, '..', '..', 'package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
