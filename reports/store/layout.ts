/**
 * What a store holds, the same in git and in a directory.
 *
 * `runs/<ab>/<id>.json` is a run's document, `<id>` the SHA-256 of its bytes and `<ab>` its first two digits;
 * `runs/<ab>/<id>.entry` what lists need of it; `names/<sha256 of the name>.json` a name and the run it points at.
 * No foreign text ever becomes a path. Every file begins with a line that carries its own checksum.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { parseHostileJson } from '../hostile-json.ts';
import { machineKey } from '../machine.ts';
import { ResultError } from '../result-error.ts';
import { parseResultDocument, serializeResultDocument } from '../schema.ts';
import type { ResultDocument } from '../schema.ts';
import type { StoreEntry } from './result-store.ts';

export type EntryFacts = Omit<StoreEntry, 'id' | 'names'>;

export interface StoredName {
  readonly name: string;
  readonly id: string;
  /** ISO 8601; when two stores moved one name, the later move wins. */
  readonly setAt: string;
}

const PATH = /^(?:runs\/([0-9a-f]{2})\/(\1[0-9a-f]{62})\.(?:json|entry)|names\/[0-9a-f]{64}\.json)$/;

export function isStorePath(path: string): boolean {
  return PATH.test(path);
}

export function runPath(id: string): string {
  return `runs/${id.slice(0, 2)}/${id}.json`;
}

export function entryPath(id: string): string {
  return `runs/${id.slice(0, 2)}/${id}.entry`;
}

export function namePath(name: string): string {
  return `names/${sha256(name)}.json`;
}

/** The id of an entry's path; undefined for other files. */
export function idOfEntry(path: string): string | undefined {
  return path.endsWith('.entry') ? PATH.exec(path)?.[2] : undefined;
}

/** The id of a document's path; undefined for other files. */
export function idOfRun(path: string): string | undefined {
  return path.endsWith('.json') ? PATH.exec(path)?.[2] : undefined;
}

export interface EncodedRun {
  readonly id: string;
  readonly document: string;
  readonly entry: string;
}

export function encodeRun(document: ResultDocument): EncodedRun {
  const body = asciiJson(serializeResultDocument(document));
  const { runId, commit, dirty, startedAt, profile, results } = document;
  const machine = machineKey(document.fingerprint);
  const facts: EntryFacts = { runId, commit, dirty, startedAt, machine, profile, benchmarks: results.length };
  return { id: sha256(body), document: sealed('run', body), entry: sealed('entry', asciiJson(JSON.stringify(facts))) };
}

/** @throws ResultError when the file is damaged or is not the run its path promises. */
export function decodeRun(text: string, id: string, origin: string): ResultDocument {
  const body = unsealed('run', text, origin);
  if (sha256(body) !== id) throw new ResultError('holds another run than its name says', { where: origin });
  return parseResultDocument(body, origin);
}

const entrySchema = z.strictObject({
  runId: z.string().max(100),
  commit: z.string().max(64).nullable(),
  dirty: z.boolean(),
  startedAt: z.iso.datetime(),
  machine: z.string().regex(/^[0-9a-f]{16}$/),
  profile: z.enum(['quick', 'full', 'counters', 'gate', 'smoke']),
  benchmarks: z.int().min(0),
});

export function decodeEntry(text: string, origin: string): EntryFacts {
  return decoded(entrySchema, unsealed('entry', text, origin), origin);
}

const nameSchema = z.strictObject({
  name: z.string(),
  id: z.string().regex(/^[0-9a-f]{64}$/),
  setAt: z.iso.datetime(),
});

export function encodeName(name: StoredName): string {
  return sealed('name', asciiJson(JSON.stringify(name)));
}

/** @throws ResultError when the file is damaged or belongs to another path. */
export function decodeName(text: string, path: string, origin: string): StoredName {
  const stored = decoded(nameSchema, unsealed('name', text, origin), origin);
  if (namePath(stored.name) !== path) throw new ResultError('holds another name than its path says', { where: origin });
  return stored;
}

/** @throws ResultError for a name that could be mistaken for an option, a path or an id. */
export function requireName(name: string): string {
  if (/^[A-Za-z][A-Za-z0-9._-]{0,99}$/.test(name) && !/^[0-9a-f]{8,64}$/.test(name)) return name;
  throw new ResultError('is not a baseline name', {
    where: JSON.stringify(name.slice(0, 100)),
    mend: 'begin with a letter, go on with letters, digits, dots, dashes and underscores, and do not look like an id',
  });
}

/** Checks the seal alone: enough to know that a file arrived as it was written. */
export function requireSealed(path: string, text: string, origin: string): void {
  const kind = path.startsWith('names/') ? 'name' : path.endsWith('.entry') ? 'entry' : 'run';
  const body = unsealed(kind, text, origin);
  const id = idOfRun(path);
  if (id !== undefined && sha256(body) !== id) {
    throw new ResultError('holds another run than its name says', { where: origin });
  }
}

export function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

type Seal = 'run' | 'entry' | 'name';

/** A file cut off anywhere, or with any bit flipped, fails its length or its checksum. */
function sealed(kind: Seal, body: string): string {
  return `vm-dyno ${kind} 1 ${body.length} ${sha256(body)}\n${body}`;
}

function unsealed(kind: Seal, text: string, origin: string): string {
  const end = text.indexOf('\n');
  const header = text.slice(0, Math.max(end, 0));
  const body = text.slice(end + 1);
  if (end !== -1 && header === `vm-dyno ${kind} 1 ${body.length} ${sha256(body)}`) return body;
  const future = /^vm-dyno [a-z]+ (\d{1,9}) /.exec(header);
  if (future !== null && Number(future[1]) > 1) {
    throw new ResultError(`was written by a newer version`, { where: origin, mend: 'update vm-dyno' });
  }
  throw new ResultError('is damaged: its checksum does not match', {
    where: origin,
    mend: 'restore it from another copy of the store (dyno baseline pull), or remove it on purpose',
  });
}

function decoded<Value>(schema: z.ZodType<Value>, body: string, origin: string): Value {
  const parsed = schema.safeParse(parseHostileJson(body, origin));
  if (parsed.success) return parsed.data;
  throw new ResultError(`is not valid: ${parsed.error.issues[0]!.message.slice(0, 200)}`, { where: origin });
}

/** Only ASCII, so that characters are bytes whatever carries the text. */
function asciiJson(json: string): string {
  return json.replaceAll(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
