import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { ConfigError } from '../../emulator/check/errors.ts';

/**
 * SHA-256 in hex over the suite file and the inputs a benchmark names, with their names and lengths, so that moving bytes
 * from one file to the next changes it. Paths enter relative to the suite file: the hash is the same in every checkout.
 */
export async function hashSources(file: string, inputs: readonly string[] = []): Promise<string> {
  const hash = createHash('sha256');
  const folder = dirname(file);
  for (const path of [file, ...inputs.map((input) => resolve(folder, input))]) {
    let content: Buffer;
    try {
      content = await readFile(path);
    } catch (cause) {
      throw new ConfigError('an input of this suite cannot be read', { where: path, cause });
    }
    hash.update(`${relative(folder, path)}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}
