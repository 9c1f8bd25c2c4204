/**
 * The command line for emulation as one file, with V8's compiled code of what starting and translating need: made by build.ts when sources have
 * changed, and used from then on. [measured: emulator/docs/decisions.md, "Starting"]
 *
 * A folder holds what belongs to one checkout, runtime and set of flags: `manifest.json`, and one directory for each time it was made. Whoever
 * makes one writes a directory of its own and then renames a manifest over the old one, so that processes may start and make at the same time.
 */
import type { compilerThread } from '../../emulator/machine/background-compiler.ts';
import type { serve } from '../../emulator/machine/compiler-service.ts';
import type { CaseNumbering } from '../../emulator/tier/interpreter/case-table.ts';
import type { knownSources } from '../../emulator/machine/engine-identity.ts';
import type { guestFlags } from '../guest-flags.ts';
import type { keptTranslations } from '../kept-translations.ts';
import type { InterpreterTables, KeptTables } from '../../emulator/tier/interpreter/kept-tables.ts';
import type { KeptModules } from '../../emulator/wasm/kept-modules.ts';

// Not imported: the namespace of `node:fs` would have its streams loaded. [measured: 8 ms]
const fs = process.getBuiltinModule('node:fs');
const { createRequire } = process.getBuiltinModule('node:module');
const path = process.getBuiltinModule('node:path');
const { pathToFileURL } = process.getBuiltinModule('node:url');
const vm = process.getBuiltinModule('node:vm');

/** What the bundled file exports (entry.ts). */
export interface BundledCommandLine {
  /** As cli.ts has it. */
  readonly run: (argv: readonly string[]) => Promise<number>;
  readonly guestFlags: typeof guestFlags;
  readonly knownSources: typeof knownSources;
  readonly keptTranslations: typeof keptTranslations;
  readonly keptModules: KeptModules;
  readonly keptTables: KeptTables;
  readonly compilerThread: typeof compilerThread;
  /** What the compiling thread does. */
  readonly serve: typeof serve;
}

/** Tells whether a file is as it was. [measured: loading `node:crypto` for hashes of the parts' contents took 10 ms of each start, and hashing 2] */
export interface FileState {
  readonly size: number;
  /** When the file or what is known of it was last changed, in ms: unlike the time of modification nobody can set it back. */
  readonly changed: number;
}

export interface BundleInput extends FileState {
  /** Absolute. */
  readonly file: string;
}

export interface BundlePart extends FileState {
  /** Within the folder. */
  readonly file: string;
}

export interface BundleParts {
  /** The identity of the engine's sources. */
  readonly engine: string;
  readonly script: BundlePart;
  /** V8's cached data of the script. */
  readonly code: BundlePart;
  /** The same under the flags that machines run with, which their compiling thread begins with; absent in a bundle for programs. */
  readonly machineCode?: BundlePart;
  /** What the compiling thread begins with (thread.ts). */
  readonly thread: BundlePart;
  /** Modules of WebAssembly one behind the other. */
  readonly modules: BundlePart;
  /** Where they are in it, by key: the first byte and the one after the last. */
  readonly moduleRanges: Readonly<Record<string, readonly [begin: number, end: number]>>;
  /** By ISA. */
  readonly tables: Readonly<Record<string, { readonly numbering: CaseNumbering; readonly templates: BundlePart }>>;
}

export interface BundleManifest {
  /** Says what the folder's name abbreviates. */
  readonly subject: string;
  readonly inputs: readonly BundleInput[];
  readonly parts: BundleParts;
}

/** What a compiling thread is told: where the process that began it has its bundle from. */
export interface BundleOrigin {
  readonly folder: string;
  readonly parts: BundleParts;
}

/** All that decides whether a bundle fits, beside the contents of its inputs. */
export function bundleSubject(root: string): string {
  return JSON.stringify([root, process.version, process.arch, process.platform, process.execArgv]);
}

/** Where in `cache` (NODE_COMPILE_CACHE) the bundle of the checkout `root` lies. */
export function bundleFolder(cache: string, root: string): string {
  return path.join(cache, `emulate-${abbreviation(bundleSubject(root))}`);
}

/** How a file is now; undefined if it is not there. */
export function bundleInput(file: string): BundleInput | undefined {
  const state = fileState(file);
  return state && { file, ...state };
}

export function fileState(file: string): FileState | undefined {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat && { size: stat.size, changed: stat.ctimeMs };
}

function isAs(file: string, { size, changed }: FileState): boolean {
  const now = fileState(file);
  return now?.size === size && now.changed === changed;
}

/**
 * Runs the bundled file of `folder`. Undefined when there is none, an input is no longer what it was (looks at some 330 files: 2 ms), or a part
 * is missing or damaged, which V8 would not notice.
 */
export function openFreshBundle(folder: string, root: string): BundledCommandLine | undefined {
  const manifest = readManifest(folder);
  if (manifest === undefined || !isFresh(manifest, root)) return undefined;
  return openBundle({ folder, parts: manifest.parts });
}

/** As `openFreshBundle`, whatever has become of the inputs. `code`: the part with V8's code for the flags that V8 has now. */
export function openBundle(origin: BundleOrigin, code = origin.parts.code): BundledCommandLine | undefined {
  const { folder, parts } = origin;
  const source = readPart(folder, parts.script);
  const cachedData = readPart(folder, code);
  if (source === undefined || cachedData === undefined) return undefined;
  const { bundle } = runScript(source, path.join(folder, parts.script.file), cachedData);
  bundle.guestFlags.wanted = true;
  bundle.knownSources.identity = parts.engine;
  bundle.keptModules.lookUp = readModules(origin);
  bundle.keptTables.lookUp = (isa) => readTables(origin, isa);
  bundle.compilerThread.file = pathToFileURL(path.join(folder, parts.thread.file));
  bundle.compilerThread.origin = origin;
  return bundle;
}

/** Looks for a module by key; the file is read when the first is asked for. */
export function readModules({ folder, parts }: BundleOrigin): KeptModules['lookUp'] {
  let all: Uint8Array<ArrayBuffer> | undefined = undefined;
  return (key) => {
    const range = parts.moduleRanges[key];
    if (range === undefined) return undefined;
    all ??= readPart(folder, parts.modules);
    return all?.subarray(...range);
  };
}

/** What the interpreters of an ISA begin with. */
export function readTables({ folder, parts }: BundleOrigin, isa: string): InterpreterTables | undefined {
  const kept = parts.tables[isa];
  const bytes = kept && readPart(folder, kept.templates);
  if (bytes === undefined) return undefined;
  const templates = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / Int32Array.BYTES_PER_ELEMENT);
  return { numbering: kept!.numbering, templates };
}

/** Undefined when there is none, or none that can be read. */
export function readManifest(folder: string): BundleManifest | undefined {
  const text = readIfThere(path.join(folder, 'manifest.json'));
  try {
    return text && (JSON.parse(text.toString()) as BundleManifest);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Whether the bundle is of `root` as it is now, for this runtime. */
export function isFresh({ subject, inputs }: BundleManifest, root: string): boolean {
  return subject === bundleSubject(root) && inputs.every((input) => isAs(input.file, input));
}

/** What the bundled file begins and ends with. It is kept so: joined when it is run, V8 would copy all of it once more. */
export const MODULE_HEAD = '(function (exports, require, module) {';
export const MODULE_TAIL = '})';

/** Evaluates the bundled file, which is ASCII. */
export function runScript(
  source: Buffer,
  filename: string,
  cachedData?: Buffer,
): { readonly script: import('node:vm').Script; readonly bundle: BundledCommandLine } {
  const script = new vm.Script(source.toString('latin1'), {
    filename,
    ...(cachedData === undefined ? {} : { cachedData }),
    // Commands other than `emulate` are imported from their sources.
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const module = { exports: {} };
  const evaluate = script.runInThisContext() as (exports: object, require: NodeJS.Require, module: object) => void;
  evaluate(module.exports, createRequire(filename), module);
  return { script, bundle: module.exports as BundledCommandLine };
}

/** Undefined when it is missing or not what was written. */
export function readPart(folder: string, part: BundlePart): Buffer<ArrayBuffer> | undefined {
  const file = path.join(folder, part.file);
  return isAs(file, part) ? readIfThere(file) : undefined;
}

/** 64 bits of FNV-1a (Fowler, Noll, Vo) of a short text, in hexadecimal: whoever opens a folder looks whether it is the right one. */
function abbreviation(text: string): string {
  let hash = 0xcbf2_9ce4_8422_2325n;
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100_0000_01b3n);
  return hash.toString(16).padStart(16, '0');
}

function readIfThere(file: string): Buffer<ArrayBuffer> | undefined {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
