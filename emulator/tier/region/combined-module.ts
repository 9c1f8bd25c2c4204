import { ExternalKind, Section } from '../../wasm/binary-format.ts';
import { BinaryReader } from '../../wasm/binary-reader.ts';
import { MalformedModuleError } from '../../wasm/error.ts';
import { ByteBuffer } from '../../wasm/leb128.ts';
import { BRANCH_HINTS } from '../../wasm/module.ts';
import type { SharedFunctions } from '../../wasm/module-model.ts';
import { openSection } from '../../wasm/section.ts';
import { runName } from './region-module.ts';

const RUN = new TextEncoder().encode(runName(0));
const NOTHING: Uint8Array = new Uint8Array();
const HINTS = new TextEncoder().encode(BRANCH_HINTS);

/** The parts of a region's module, whose last function is what it is run by. */
interface Parts {
  /** All before the functions: types and imports. */
  readonly head: Uint8Array;
  /** The functions before the last, which many modules have: how many, their types and their bodies. */
  readonly shared: SharedFunctions;
  readonly type: number;
  /** The last function's index. */
  readonly index: number;
  /** Its branch hints, from their number on. */
  readonly hints: Uint8Array | undefined;
  /** Its body, with the length. */
  readonly body: Uint8Array;
}

/** One module for several. */
export interface CombinedModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Which of the modules are in it: by their places in the list that was given, in the order of their names (`runName`). */
  readonly members: readonly number[];
}

/**
 * One module with the functions of several regions, as many as import the same as the first and have the same functions before their last; undefined
 * when these are not two. What a module costs beside its code, V8's description of it, its own pages for code and an instance, they then have together.
 */
export function combineModules(modules: readonly Uint8Array[]): CombinedModule | undefined {
  const first = modules[0] && partsOf(modules[0]);
  if (first === undefined || !isRunByLast(first)) return undefined;
  const members = [0];
  const parts = [first];
  for (let at = 1; at < modules.length; at++) {
    const other = partsOf(modules[at]!);
    if (other === undefined || !isLike(other, first)) continue;
    members.push(at);
    parts.push(other);
  }
  return parts.length < 2 ? undefined : { bytes: encode(parts), members };
}

function encode(parts: readonly Parts[]): Uint8Array<ArrayBuffer> {
  const { head, index, shared } = parts[0]!;
  const out = new ByteBuffer(
    parts.reduce(
      (sum, { body, hints }) => sum + body.length + (hints?.length ?? 0) + 16,
      head.length + shared.bodies.length + 256,
    ),
  );
  out.append(head);
  writeVector(out, Section.function, shared.count, shared.types, parts, ({ type }) => out.u32(type));
  writeVector(out, Section.export, 0, NOTHING, parts, (_, at) => {
    out.name(runName(at));
    out.byte(ExternalKind.function);
    out.u32(index + at);
  });
  const hinted = parts.filter(({ hints }) => hints !== undefined).length;
  if (hinted > 0) {
    const slot = openSection(out, Section.custom);
    out.name(BRANCH_HINTS);
    out.u32(hinted);
    for (const [at, { hints }] of parts.entries()) {
      if (hints === undefined) continue;
      out.u32(index + at);
      out.append(hints);
    }
    out.closeSlot(slot);
  }
  writeVector(out, Section.code, shared.count, shared.bodies, parts, ({ body }) => out.append(body));
  return out.toBytes();
}

/** Writes a section of entries that are encoded already and one for each part. */
function writeVector(
  out: ByteBuffer,
  section: number,
  count: number,
  encoded: Uint8Array,
  parts: readonly Parts[],
  write: (part: Parts, at: number) => void,
) {
  const slot = openSection(out, section);
  out.u32(count + parts.length);
  out.append(encoded);
  for (const [at, part] of parts.entries()) write(part, at);
  out.closeSlot(slot);
}

/** Undefined where a module has another shape. Its bytes may be anything: whether what comes out is valid, V8 says. */
function partsOf(module: Uint8Array): Parts | undefined {
  try {
    return readParts(new BinaryReader(module));
  } catch (error) {
    if (error instanceof MalformedModuleError) return undefined;
    throw error;
  }
}

function readParts(reader: BinaryReader): Parts | undefined {
  const { bytes } = reader;
  reader.take(8);
  let [head, count, type, index] = [0, 0, -1, -1];
  let types = NOTHING;
  let hints: Uint8Array | undefined;
  while (!reader.done) {
    const start = reader.offset;
    const id = reader.byte();
    const length = reader.u32();
    const end = reader.offset + length;
    const isCode = id === Section.code;
    if (end > bytes.length || isCode !== (end === bytes.length)) return undefined;
    if (id === Section.custom) {
      if (!isName(reader, HINTS) || reader.u32() !== 1 || reader.u32() !== index) return undefined;
      hints = bytes.subarray(reader.offset, end);
    } else if (id === Section.function) {
      head = start;
      count = reader.count() - 1;
      const first = reader.offset;
      for (let at = 0; at < count; at++) reader.u32();
      types = bytes.subarray(first, reader.offset);
      type = reader.u32();
    } else if (id === Section.export) {
      if (reader.u32() !== 1 || !isName(reader, RUN) || reader.byte() !== ExternalKind.function) return undefined;
      index = reader.u32();
    } else if (isCode) {
      if (head === 0 || index < 0 || reader.u32() !== count + 1) return undefined;
      const first = reader.offset;
      for (let at = 0; at < count; at++) reader.take(reader.count());
      const shared = { count, types, bodies: bytes.subarray(first, reader.offset) };
      const body = bytes.subarray(reader.offset, end);
      return { head: bytes.subarray(0, head), shared, type, index, hints, body };
    } else if (id !== Section.type && id !== Section.import) {
      return undefined;
    }
    if (reader.offset > end) return undefined;
    reader.offset = end;
  }
  return undefined;
}

/** Whether the index of the function that is exported is the last one's. */
function isRunByLast({ head, shared, index }: Parts): boolean {
  try {
    return index === countImported(new BinaryReader(head)) + shared.count;
  } catch (error) {
    if (error instanceof MalformedModuleError) return false;
    throw error;
  }
}

/** The functions that a module imports; NaN where it imports what no region does. */
function countImported(reader: BinaryReader): number {
  reader.take(8);
  while (!reader.done) {
    const id = reader.byte();
    const length = reader.u32();
    if (id !== Section.import) {
      reader.take(length);
      continue;
    }
    let functions = 0;
    for (let left = reader.count(); left > 0; left--) {
      reader.take(reader.count());
      reader.take(reader.count());
      const kind = reader.byte();
      if (kind === ExternalKind.function) {
        functions++;
        reader.u32();
      } else if (kind === ExternalKind.global) {
        reader.take(2);
      } else if (kind === ExternalKind.memory) {
        // Limits without a maximum.
        if (reader.byte() !== 0) return NaN;
        reader.u32();
      } else {
        return NaN;
      }
    }
    return functions;
  }
  return 0;
}

function isLike(other: Parts, { head, shared, index }: Parts): boolean {
  return (
    other.index === index &&
    other.shared.count === shared.count &&
    isSame(other.head, head) &&
    isSame(other.shared.types, shared.types) &&
    isSame(other.shared.bodies, shared.bodies)
  );
}

/** Whether the next name is this one. Modules by the hundred are asked that: to decode each takes longer than all else. */
function isName(reader: BinaryReader, name: Uint8Array): boolean {
  return isSame(reader.take(reader.count()), name);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
