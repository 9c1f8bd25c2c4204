import { OPS, opRow, type OpName } from '../../ir/op.ts';
import { makeOp, type OpParts } from '../../ir/make-op.ts';
import { WIDTH } from '../../ir/type.ts';
import { PAGE_SIZE, STATE_SIZE } from '../../layout/memory-map.ts';
import { MOST_CODE_PAGES } from './code-page.ts';
import type { StoredCode } from './code-store.ts';
import type { CompiledRegion, Exit } from './translate.ts';

/** The layout of the file; another one is not read. */
const FORMAT = 4;
/** "DYNOCODE", format, length of the head. */
const MAGIC = 'DYNOCODE';
const FIXED = MAGIC.length + 8;
const EXIT_KINDS = ['interpret', 'unheld', 'indirect', 'return'] as const satisfies readonly Exit['kind'][];
const EXIT_NUMBERS = 3;
/** A region without its two byte strings, which follow the head in the order of the regions. */
interface Head extends Omit<CompiledRegion, 'bytes' | 'floatOps' | 'exits'> {
  readonly bytes: number;
  readonly source: number;
  readonly floatOps: readonly OpParts[];
  /** For each, its distance from the seed, the refund and the kind's place in EXIT_KINDS. Objects would make half of a file, read in twice the time. */
  readonly exits: readonly number[];
}

/** Why a file is not used: it is none, or it was written by another engine or for another program or options. */
export type Unusable = 'damaged' | 'foreign';

/**
 * Emitted code as the bytes of a file. The key says for what it was made; it is given again when reading. No checksum is in it: that is the
 * business of who keeps the file.
 */
export function encodeCode(regions: Iterable<StoredCode>, key: string): Uint8Array<ArrayBuffer> {
  const heads: Head[] = [];
  const parts: Uint8Array[] = [];
  for (const { code, source } of regions) {
    const floatOps = code.floatOps.map(({ name, type, from, signed, args }) => ({
      name,
      type,
      args: args.map(() => 0),
      ...(from === undefined ? {} : { from }),
      ...(signed === undefined ? {} : { signed }),
    }));
    const exits = code.exits.flatMap(({ pc, refund, kind }) => [pc - code.seed, refund, EXIT_KINDS.indexOf(kind)]);
    heads.push({ ...code, floatOps, exits, bytes: code.bytes.length, source: source.length });
    parts.push(code.bytes, source);
  }
  const head = new TextEncoder().encode(JSON.stringify({ key, regions: heads }));
  const file = new Uint8Array(parts.reduce((sum, { length }) => sum + length, FIXED + head.length));
  file.set(new TextEncoder().encode(MAGIC));
  const view = new DataView(file.buffer);
  view.setUint32(MAGIC.length, FORMAT, true);
  view.setUint32(MAGIC.length + 4, head.length, true);
  file.set(head, FIXED);
  let at = FIXED + head.length;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/** Where a guest's code can be: below an address, or, behind address translation, anywhere. */
export type CodeAddresses = number | 'anywhere';

/**
 * The regions of a file, or why there are none. Whatever the bytes are, what comes out can be looked up: every field is checked. The modules are not
 * looked into (CodeStore.verify). It is still as trustworthy as who wrote it, like any compiled code.
 */
export function decodeCode(
  file: Uint8Array<ArrayBuffer>,
  key: string,
  addresses: CodeAddresses,
): StoredCode[] | Unusable {
  if (file.length < FIXED || Buffer.from(file.buffer, file.byteOffset, MAGIC.length).toString('latin1') !== MAGIC)
    return 'damaged';
  const view = new DataView(file.buffer, file.byteOffset);
  if (view.getUint32(MAGIC.length, true) !== FORMAT) return 'foreign';
  const headLength = view.getUint32(MAGIC.length + 4, true);
  if (headLength > file.length - FIXED) return 'damaged';
  const head = parse(file.subarray(FIXED, FIXED + headLength));
  if (!isRecord(head) || typeof head['key'] !== 'string' || !Array.isArray(head['regions'])) return 'damaged';
  if (head['key'] !== key) return 'foreign';
  const regions: StoredCode[] = [];
  let at = FIXED + headLength;
  for (const region of head['regions'] as unknown[]) {
    if (!isHead(region, addresses)) return 'damaged';
    const end = at + region.bytes + region.source;
    if (end > file.length) return 'damaged';
    const bytes = file.subarray(at, at + region.bytes);
    const source = file.subarray(at + region.bytes, end);
    const { source: _, floatOps, exits, ...code } = region;
    regions.push({
      code: { ...code, floatOps: floatOps.map(makeOp), exits: exitsOf(code.seed, exits), bytes },
      source,
    });
    at = end;
  }
  return at === file.length ? regions : 'damaged';
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    // What is no JSON is no head; the caller says so.
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An integer from `low` to `high`, both included. */
function isWithin(value: unknown, low: number, high: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high;
}

function isList(value: unknown, isElement: (element: unknown) => boolean): value is readonly unknown[] {
  return Array.isArray(value) && value.every(isElement);
}

function isHead(value: unknown, addresses: CodeAddresses): value is Head {
  if (!isRecord(value)) return false;
  const isAnywhere = addresses === 'anywhere';
  const isAddress = (address: unknown) =>
    isAnywhere ? Number.isSafeInteger(address) : isWithin(address, 0, addresses);
  const { seed, bytes, source, floatOps, exits, entries, ranges, pages, longest } = value as Partial<
    Record<keyof Head, unknown>
  >;
  const { circumstances, assumptions, counters } = value as Partial<Record<keyof Head, unknown>>;
  return (
    isAddress(seed) &&
    isWithin(bytes, 0, 2 ** 31) &&
    isWithin(longest, 1, 2 ** 31 - 1) &&
    isList(floatOps, isFloatOp) &&
    areExits(exits, seed as number, isAddress) &&
    isList(entries, (entry) => isRecord(entry) && isAddress(entry['pc']) && typeof entry['inlined'] === 'boolean') &&
    (entries[0] as { readonly pc: number } | undefined)?.pc === seed &&
    areRanges(ranges, isAddress) &&
    isList(pages, isAddress) &&
    (isAnywhere ? arePages(pages as readonly number[], seed, ranges, entries) : pages.length === 0) &&
    source === ranges.reduce((sum, [low, high]) => sum + high - low, 0) &&
    isRecord(circumstances) &&
    typeof circumstances['inexactAccrued'] === 'boolean' &&
    isList(circumstances['modes'], isMode) &&
    isList(assumptions, (assumption) => !isAnywhere && isAssumption(assumption, isAddress)) &&
    isRecord(counters) &&
    ['nodes', 'instructions', 'irOps', 'wasmOps', 'wasmBytes'].every((name) => isWithin(counters[name], 0, 2 ** 31))
  );
}

/** What `exactFloat` can compute. */
function isFloatOp(value: unknown): value is OpParts {
  if (!isRecord(value) || typeof value['name'] !== 'string' || !Object.hasOwn(OPS, value['name'])) return false;
  const isType = (type: unknown) => typeof type === 'string' && Object.hasOwn(WIDTH, type);
  return (
    opRow(value['name'] as OpName).evaluateFloat !== undefined &&
    isType(value['type']) &&
    (value['from'] === undefined || isType(value['from'])) &&
    (value['signed'] === undefined || typeof value['signed'] === 'boolean') &&
    isList(value['args'], (arg) => arg === 0)
  );
}

function areExits(exits: unknown, seed: number, isAddress: (address: unknown) => boolean): boolean {
  if (!Array.isArray(exits) || exits.length % EXIT_NUMBERS !== 0) return false;
  for (let at = 0; at < exits.length; at += EXIT_NUMBERS) {
    const distance: unknown = exits[at];
    if (!Number.isSafeInteger(distance) || !isAddress(seed + (distance as number))) return false;
    if (!isWithin(exits[at + 1], 0, 2 ** 31 - 1) || !isWithin(exits[at + 2], 0, EXIT_KINDS.length - 1)) return false;
  }
  return true;
}

function exitsOf(seed: number, numbers: readonly number[]): Exit[] {
  const exits: Exit[] = [];
  for (let at = 0; at < numbers.length; at += EXIT_NUMBERS)
    exits.push({ pc: seed + numbers[at]!, refund: numbers[at + 1]!, kind: EXIT_KINDS[numbers[at + 2]!]! });
  return exits;
}

/** Whether all of a region's code lies in its pages, and its first instruction in the first of them. */
function arePages(
  pages: readonly number[],
  seed: unknown,
  ranges: readonly (readonly [number, number])[],
  entries: readonly unknown[],
): boolean {
  const isIn = (address: number) => pages.includes(Math.floor(address / PAGE_SIZE) * PAGE_SIZE);
  return (
    pages.length > 0 &&
    pages.length <= MOST_CODE_PAGES &&
    pages.every((page) => page % PAGE_SIZE === 0) &&
    pages[0] === Math.floor((seed as number) / PAGE_SIZE) * PAGE_SIZE &&
    (entries as readonly { readonly pc: number }[]).every(({ pc }) => isIn(pc)) &&
    ranges.every(([low, high]) => {
      let at = low;
      // Where a page is missing is known before all of a long range has been looked at.
      while (at < high && isIn(at)) at = Math.floor(at / PAGE_SIZE) * PAGE_SIZE + PAGE_SIZE;
      return at >= high;
    })
  );
}

function areRanges(
  value: unknown,
  isAddress: (address: unknown) => boolean,
): value is readonly (readonly [number, number])[] {
  let end = -Infinity;
  return isList(value, (range) => {
    if (!isList(range, isAddress) || range.length !== 2) return false;
    const [low, high] = range as readonly [number, number];
    const ascends = low > end && high > low;
    end = high;
    return ascends;
  });
}

/** A mode register's place in the state, and what it holds as i32. */
function isMode(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    isWithin(value[0], 0, STATE_SIZE - 4) &&
    isWithin(value[1], -(2 ** 31), 2 ** 31 - 1)
  );
}

function isAssumption(value: unknown, isAddress: (address: unknown) => boolean): boolean {
  return isRecord(value) && isAddress(value['low']) && isAddress(value['high']) && typeof value['write'] === 'boolean';
}
