import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { HOST_FUSES } from '../tier/host-fuses.ts';

/** Rooms whose text decides what code is emitted. */
const EMITTING = ['bits', 'ir', 'isa', 'layout', 'pass', 'tier', 'wasm'];

/** For a host that knows what `sourceIdentity` would give, and answers for it: then no source is read. */
export const knownSources: { identity: string | undefined } = { identity: undefined };

/** What this engine emits is decided by its sources, V8 and what the host's processor does. */
export function engineIdentity(): string {
  const sources = knownSources.identity ?? sourceIdentity();
  return `${sources} V8 ${process.versions.v8} fuses ${HOST_FUSES}`;
}

/** The hash of all sources that decide what code is emitted. Reads some 200 files, and loads Node's hashes: 10 to 15 ms. */
export function sourceIdentity(root = path.join(import.meta.dirname, '..')): string {
  const hash = crypto.createHash('sha256');
  for (const room of EMITTING) {
    const files = fs.readdirSync(path.join(root, room), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => name.endsWith('.ts') && !name.includes('.test')).sort())
      hash.update(file).update(fs.readFileSync(path.join(root, room, file)));
  }
  return hash.digest('hex');
}
