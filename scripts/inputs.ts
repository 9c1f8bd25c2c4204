/**
 * Real inputs: programs, firmware and kernels out of Debian's packages, unpacked below `.cache/inputs/`.
 *
 * `inputs.json` pins each package by version and SHA-256. Groups other than `user` are large and are fetched only on
 * request (`scripts/inputs.ts --group firmware`). Nothing here throws for want of a network: the answer then is
 * `{ absent: reason }`, and a test prints the reason and skips.
 */
import { readFile, mkdir, mkdtemp, readdir, rename, rm, writeFile, copyFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { fetchFromArchive, readPackages, sha256OfFile, unpackDeb } from './debian-archive.ts';
import type { Absent, PackageRecord } from './debian-archive.ts';

const PINS = join(import.meta.dirname, 'inputs.json');
const CACHE = join(import.meta.dirname, '..', '.cache', 'inputs');
/** Fetched by `input()` without being asked for by group: the user-mode programs, about 1 MB each. */
const AUTOMATIC_GROUP = 'user';

const inputSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]+$/),
  group: z.enum(['user', 'firmware', 'kernel']),
  release: z.string(),
  architecture: z.string(),
  /** Package name; for a kernel the one the metapackage `via` depends on. */
  package: z.string(),
  via: z.string().optional(),
  version: z.string(),
  pool: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Paths in the package to keep, the main one first; a `*` may end a component. Kept by base name. */
  files: z.array(z.string().regex(/^[^/*][^/*]*\*?(?:\/[^/*]*\*?)*$/)).min(1),
});
const pinsSchema = z.strictObject({ inputs: z.array(inputSchema) });

export type InputPin = z.infer<typeof inputSchema>;
/** `path` is the main file; `files` are all kept files by base name. */
export interface InputFiles {
  readonly path: string;
  readonly files: Readonly<Record<string, string>>;
}

/** Everything that `inputs.json` pins. */
export async function listInputs(): Promise<InputPin[]> {
  return pinsSchema.parse(JSON.parse(await readFile(PINS, 'utf8'))).inputs;
}

export interface InputOptions {
  /** Fetch whatever the group; without it only the small ones. */
  readonly onRequest?: boolean;
  /** Directory to unpack below, by default `.cache/inputs`. */
  readonly cache?: string;
}

/**
 * The input called `name`, fetched when it is not in the cache and its group allows. An unknown name is a mistake of
 * the caller and throws.
 */
export async function input(name: string, options: InputOptions = {}): Promise<InputFiles | Absent> {
  const pins = await listInputs();
  const pin = pins.find((each) => each.name === name);
  if (pin === undefined) throw new Error(`no input is called ${name}; there are ${pins.map((p) => p.name).join(', ')}`);
  const directory = join(options.cache ?? CACHE, pin.name, pin.sha256.slice(0, 16));
  const cached = await readCached(directory);
  if (cached !== undefined) return cached;
  if (pin.group !== AUTOMATIC_GROUP && options.onRequest !== true) {
    return { absent: `${name} is fetched on request: scripts/with-runtime scripts/inputs.ts --group ${pin.group}` };
  }
  return provide(pin, directory);
}

async function provide(pin: InputPin, directory: string): Promise<InputFiles | Absent> {
  const cache = dirname(dirname(directory));
  await mkdir(cache, { recursive: true });
  const scratch = await mkdtemp(join(cache, 'unpack-'));
  try {
    const deb = await fetchFromArchive(pin.pool, join(scratch, 'package.deb'), pin.sha256);
    if ('absent' in deb) return { absent: `${pin.name} (${pin.package} ${pin.version}): ${deb.absent}` };
    const tree = await unpackDeb(deb.path, join(scratch, 'tree'));
    if ('absent' in tree) return tree;
    const staged = join(scratch, 'staged');
    await mkdir(staged);
    const digests: Record<string, string> = {};
    for (const pattern of pin.files) {
      const found = await matching(tree.path, pattern);
      if (found === undefined) return { absent: `${pin.package} ${pin.version} holds no ${pattern}` };
      await copyFile(found, join(staged, basename(found)));
      digests[basename(found)] = await sha256OfFile(found);
    }
    await writeFile(join(staged, 'digests.json'), `${JSON.stringify(digests, undefined, 2)}\n`);
    await publish(staged, directory);
    return (await readCached(directory)) ?? { absent: `${directory} changed while it was read` };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Moves `staged` into place. Another process may have been first: then its copy, made from the same bytes, stays. */
async function publish(staged: string, directory: string): Promise<void> {
  await mkdir(dirname(directory), { recursive: true });
  if ((await readCached(directory)) !== undefined) return;
  await rm(directory, { recursive: true, force: true });
  await rename(staged, directory).catch(async (error: unknown) => {
    if ((await readCached(directory)) === undefined) throw error;
  });
}

/** The files of a finished directory, or undefined when it is not there or a file no longer has its digest. */
async function readCached(directory: string): Promise<InputFiles | undefined> {
  const digests = parseDigests(await readFile(join(directory, 'digests.json'), 'utf8').catch(() => ''));
  if (digests === undefined) return undefined;
  const files: Record<string, string> = {};
  let main: string | undefined;
  for (const [name, digest] of Object.entries(digests)) {
    const path = join(directory, name);
    const actual = await sha256OfFile(path).catch(() => undefined);
    if (actual !== digest) return undefined;
    files[name] = path;
    main ??= path;
  }
  return main === undefined ? undefined : { path: main, files };
}

/** Undefined for text that is not ours, such as a file cut short: the input is then unpacked again. */
function parseDigests(text: string): Record<string, string> | undefined {
  try {
    return z.record(z.string().regex(/^[^/]+$/), z.string()).parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The first path below `tree` that the pattern's components match, in alphabetical order. */
async function matching(tree: string, pattern: string): Promise<string | undefined> {
  const [wanted, ...rest] = pattern.split('/');
  const names = (await readdir(tree).catch(() => [])).sort();
  for (const name of names) {
    if (wanted!.endsWith('*') ? !name.startsWith(wanted!.slice(0, -1)) : name !== wanted) continue;
    const path = join(tree, name);
    const found = rest.length === 0 ? path : await matching(path, rest.join('/'));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Resolves `pin` anew in its release's index: the current version, path and digest of the same package. */
async function repin(pin: InputPin): Promise<InputPin | Absent> {
  const index = join(CACHE, 'index');
  const root = pin.via ?? pin.package;
  const wanted = (name: string): boolean => name === root || (pin.via !== undefined && name.startsWith('linux-image-'));
  const architecture = pin.architecture === 'all' ? 'riscv64' : pin.architecture;
  const found = await readPackages(pin.release, architecture, wanted, index);
  if ('absent' in found) return found;
  const byName = (name: string): PackageRecord | undefined => found.records.find((record) => record.package === name);
  const record = pin.via === undefined ? byName(root) : byName(firstDependency(byName(root)?.depends ?? ''));
  if (record === undefined) return { absent: `${pin.release} has no ${root} for ${architecture}` };
  const { version, pool, sha256 } = record;
  return { ...pin, package: record.package, version, pool, sha256 };
}

function firstDependency(depends: string): string {
  return depends.split(/[ ,(|]/)[0] ?? '';
}

async function repinAll(): Promise<number> {
  const fresh: InputPin[] = [];
  for (const pin of await listInputs()) {
    const found = await repin(pin);
    if ('absent' in found) {
      console.error(`inputs: ${pin.name}: ${found.absent}`);
      return 2;
    }
    console.log(`${pin.name.padEnd(18)} ${found.package} ${pin.version} -> ${found.version}`);
    fresh.push(found);
  }
  await writeFile(PINS, `${JSON.stringify({ inputs: fresh }, undefined, 2)}\n`);
  return 0;
}

const USAGE = `usage: inputs.ts [NAME…] [--group user|firmware|kernel] [--list] [--pin]
  without arguments: fetches the group "user"
  --list  what is pinned, and whether it is in the cache
  --pin   takes the releases' current versions into inputs.json`;

async function main(): Promise<number> {
  const options = { group: { type: 'string' }, list: { type: 'boolean' }, pin: { type: 'boolean' } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.pin) return repinAll();
  const pins = await listInputs();
  const group = values.group ?? (positionals.length === 0 && !values.list ? AUTOMATIC_GROUP : undefined);
  const unknown = positionals.find((name) => !pins.some((pin) => pin.name === name));
  if (unknown !== undefined || (group !== undefined && !pins.some((pin) => pin.group === group))) {
    console.error(`inputs: nothing is called ${unknown ?? group}\n${USAGE}`);
    return 2;
  }
  let status = 0;
  for (const pin of pins) {
    if (!values.list && pin.group !== group && !positionals.includes(pin.name)) continue;
    const found = values.list
      ? ((await readCached(join(CACHE, pin.name, pin.sha256.slice(0, 16)))) ?? { absent: 'not in the cache' })
      : await input(pin.name, { onRequest: true });
    const detail = 'absent' in found ? found.absent : found.path;
    console.log(`${pin.name.padEnd(18)} ${pin.group.padEnd(9)} ${pin.version.padEnd(20)} ${detail}`);
    if ('absent' in found && !values.list) status = 2;
  }
  return status;
}

if (import.meta.main) {
  process.exitCode = await main().catch((error: unknown) => {
    console.error(`inputs: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  });
}
