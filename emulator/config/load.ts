import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError } from '../check/errors.ts';
import { suggestion } from './nearest.ts';
import { isOptionKey, OPTION_KEYS } from './option.ts';
import type { OptionKey } from './option.ts';
import { readOverrides } from './override.ts';
import type { Overrides } from './override.ts';
import { assignmentLayer, environmentLayer, flagLayer, Settings } from './settings.ts';
import type { Layer } from './settings.ts';

const FILE_NAMES = ['dyno.config.ts', 'dyno.config.json'];
/** A configuration is a page, not a payload; `JSON.parse` of megabytes of `[` takes seconds. */
const LARGEST_FILE = 1 << 20;
const DEEPEST = 8;

export interface LoadRequest {
  /** Directory in which `dyno.config.ts` or `.json` is looked for. */
  readonly directory: string;
  /** A file named by `--config`; then its absence is an error. */
  readonly file?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly flags?: Readonly<Partial<Record<OptionKey, unknown>>>;
  /** `KEY=VALUE` texts of `--set`. */
  readonly assignments?: readonly string[];
}

/** Merges defaults < file < environment < flags. @throws ConfigError naming the file, variable or flag at fault. */
export async function loadSettings(request: LoadRequest): Promise<Settings> {
  const file = await readConfigurationFile(request);
  const layers: Layer[] = [
    ...(file === undefined ? [] : [file.layer]),
    environmentLayer(request.environment),
    flagLayer(request.flags ?? {}),
    assignmentLayer(request.assignments ?? []),
  ];
  return new Settings(layers, file?.overrides);
}

/** A configuration object as a layer and its overrides; `origin` names it in messages. */
export function fileLayer(raw: unknown, origin: string): { layer: Layer; overrides: Overrides } {
  if (!isRecord(raw)) throw new ConfigError('does not hold an object', { where: origin });
  const values = new Map<OptionKey, unknown>();
  const { overrides, targets, ...options } = raw;
  collect(options, '', 0, origin, values);
  return { layer: { origin: () => origin, values }, overrides: readOverrides(overrides, targets, origin) };
}

async function readConfigurationFile(request: LoadRequest): Promise<ReturnType<typeof fileLayer> | undefined> {
  const names = request.file === undefined ? FILE_NAMES : [request.file];
  for (const name of names) {
    const path = request.file === undefined ? join(request.directory, name) : name;
    let source: string;
    try {
      source = await readFile(path, 'utf8');
    } catch (error) {
      if (request.file === undefined && isMissing(error)) continue;
      throw new ConfigError('cannot be read', { where: name, cause: error });
    }
    return fileLayer(path.endsWith('.ts') ? await importConfiguration(path, name) : parseJson(source, name), name);
  }
  return undefined;
}

async function importConfiguration(path: string, name: string): Promise<unknown> {
  try {
    const module = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
    return module['default'] ?? module['config'];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`cannot be loaded (${reason})`, { where: name, cause: error });
  }
}

function parseJson(source: string, name: string): unknown {
  if (source.length > LARGEST_FILE) throw new ConfigError('is larger than 1 MiB', { where: name });
  try {
    return JSON.parse(source);
  } catch (error) {
    throw new ConfigError(`is not JSON (${(error as Error).message})`, { where: name, cause: error });
  }
}

/** Only own keys are followed, and a key is used only once the table is known to hold it, so `__proto__` is just unknown. */
function collect(node: object, prefix: string, depth: number, origin: string, into: Map<OptionKey, unknown>): void {
  for (const [name, value] of Object.entries(node)) {
    const key = `${prefix}${name}`;
    if (isOptionKey(key)) {
      if (into.has(key)) throw new ConfigError(`'${key}' is set twice`, { where: origin });
      into.set(key, value);
    } else if (isRecord(value) && depth < DEEPEST && OPTION_KEYS.some((known) => known.startsWith(`${key}.`))) {
      collect(value, `${key}.`, depth + 1, origin, into);
    } else {
      const known = [...OPTION_KEYS, 'overrides', 'targets'];
      throw new ConfigError(`unknown option '${key}'`, {
        where: origin,
        mend: suggestion(key, known, "see 'dyno config'"),
      });
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
