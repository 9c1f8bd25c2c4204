import { createHash } from 'node:crypto';
import type { Fingerprint } from '../suites/harness/measurement.ts';

/**
 * Names the machine and runtime: runs with one key may be compared in absolute figures. The harness version is left out
 * since a benchmark's own hash tells when what is measured changed.
 */
export function machineKey({ cpu, cores, memoryMiB, os, arch, runtime, v8, flags }: Fingerprint): string {
  // Hosts of one kind report a few MiB more or less from boot to boot.
  const memoryGiB = Math.round(memoryMiB / 1024);
  const facts = JSON.stringify([cpu, cores, memoryGiB, os, arch, runtime, v8, flags]);
  return createHash('sha256').update(facts).digest('hex').slice(0, 16);
}
