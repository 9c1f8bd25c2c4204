import { fingerprint } from '../../bits/murmur3.ts';
import { riscv64 } from '../../isa/riscv/index.ts';
import type { TierPolicy } from '../../tier/policy.ts';
import { CodeCache } from '../code-cache.ts';
import { beginningOf } from './boot.ts';
import type { VirtOptions } from './machine.ts';

/** Bytes of an image that tell it apart from others of its size: more would be hashed by JavaScript that has only begun. [measured: 64 KiB in 4 ms] */
const TELLING = 4096;

/**
 * The file of a machine's translations, when it has a directory for them and translates. Images are told apart by their sizes and beginnings: to hash
 * all of a kernel takes longer than this is worth. Throws HostError.
 */
export function openCache(
  { cacheDirectory, firmware, kernel }: VirtOptions,
  guestSize: number,
  policy: TierPolicy | undefined,
): CodeCache | undefined {
  if (cacheDirectory === undefined || policy === undefined) return undefined;
  const images = [firmware, kernel].map((image) => {
    const beginning = image && beginningOf(image);
    return beginning && [beginning.length, fingerprint(beginning.head.subarray(0, TELLING))];
  });
  return new CodeCache(cacheDirectory, {
    program: Buffer.from(JSON.stringify(images)),
    isa: riscv64.name,
    guestSize,
    translated: true,
    policy,
  });
}
