import crypto from 'node:crypto';
import { riscv64 } from '../../isa/riscv/index.ts';
import type { TierPolicy } from '../../tier/policy.ts';
import { CodeCache } from '../code-cache.ts';
import type { VirtOptions } from './machine.ts';

/** Images are told apart by their sizes and so many of their first bytes: to hash all of a kernel takes longer than this is worth. */
const TELLING = 65536;

/** The file of a machine's translations, when it has a directory for them and translates. Throws HostError. */
export function openCache(
  { cacheDirectory, firmware, kernel }: VirtOptions,
  guestSize: number,
  policy: TierPolicy | undefined,
): CodeCache | undefined {
  if (cacheDirectory === undefined || policy === undefined) return undefined;
  const hash = crypto.createHash('sha256');
  for (const image of [firmware, kernel])
    hash.update(`${image?.bytes.length}:`).update(image?.bytes.subarray(0, TELLING) ?? '');
  return new CodeCache(cacheDirectory, {
    program: hash.digest(),
    isa: riscv64.name,
    guestSize,
    translated: true,
    policy,
  });
}
