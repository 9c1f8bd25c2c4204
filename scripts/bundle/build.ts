/**
 * Makes the bundle of this checkout: `node [FLAGS] build.ts CACHE`, under the flags it is to be used with. Its V8 code is that of functions
 * which a few short guests called, so that they go through starting and translating; what they print goes where this process's output goes.
 */
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import v8 from 'node:v8';
import * as esbuild from 'esbuild';
import { HostError } from '../../emulator/check/errors.ts';
import { sourceIdentity } from '../../emulator/machine/engine-identity.ts';
import { MACHINE_GUEST_FLAGS, RUNTIME_FLAGS } from '../../emulator/machine/runtime-flags.ts';
import { elfPath, findGuest, guestArguments } from '../../suites/guests/guests.ts';
import type { KeptTables } from '../../emulator/tier/interpreter/kept-tables.ts';
import type { KeptModules } from '../../emulator/wasm/kept-modules.ts';
import { bundleFolder, bundleInput, bundleSubject, fileState, MODULE_HEAD, MODULE_TAIL, runScript } from './bundle.ts';
import type { BundleInput, BundleManifest, BundlePart, BundleParts } from './bundle.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
/** Programs that are translated, one of them floating-point. */
const PROGRAMS: readonly (readonly string[])[] = ['lz', 'nbody'].map((name) => {
  const guest = findGuest(name);
  return ['--user', elfPath(guest, 'riscv64'), '--', ...guestArguments(guest, 'quick')];
});
/** One that is translated, one that traps, one that changes its code. */
const MACHINES: readonly (readonly string[])[] = ['primes', 'traps', 'smc'].map((name) => [
  '--machine',
  'virt',
  '--bios',
  path.join(ROOT, 'suites', 'guests', 'bare', 'riscv64', name),
  // They are over before anything is hot.
  '--tier',
  'optimized',
  '--max-insns',
  '2e6',
]);
/** Where programs have flags of their own no machine is expected: without its functions a fifth less code is to be read at each start. */
const FOR_PROGRAMS = process.execArgv.join() === RUNTIME_FLAGS.join();
/** What decides the bundle beside the files in it. */
const BUILDERS = [import.meta.filename, path.join(ROOT, 'package-lock.json')];
/** File systems count time in ticks of some milliseconds: a change may seem to have been so long before. */
const CLOCK_TICK = 50;
/** Directories that no process opens any more. */
const OLD = 24 * 3600 * 1000;

const WHEN_USED = 'when-used';
const OF_NODE = 'of-node';

/** Modules of Node of which most runs use nothing are loaded when something is used. [measured: a machine's start takes 0.93 of its processor time] */
const whenUsed: esbuild.Plugin = {
  name: 'when-used',
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /^node:(child_process|crypto|net|os|tty|v8|worker_threads|zlib)$/ }, ({ path: name }) => ({
      path: name,
      namespace: WHEN_USED,
    }));
    onLoad({ filter: /./, namespace: WHEN_USED }, ({ path: name }) => ({
      // What is imported by name is looked for in the prototype of what is exported (esbuild's __toESM).
      contents: `let loaded;
        const load = () => (loaded ??= process.getBuiltinModule(${JSON.stringify(name)}));
        module.exports = Object.create(new Proxy({}, { get: (_, key) => load()[key] }));`,
    }));
  },
};

/** Modules of Node that many files import: esbuild would copy all of them for each. [measured: 1 ms of a start] */
const asTheyAre: esbuild.Plugin = {
  name: 'as-they-are',
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /^node:(fs|path)$/ }, ({ kind, path: name }) =>
      kind === 'import-statement' ? { path: name, namespace: OF_NODE } : undefined,
    );
    onLoad({ filter: /./, namespace: OF_NODE }, ({ path: name }) => {
      const members = Object.entries(Object.getOwnPropertyDescriptors(process.getBuiltinModule(name)));
      // Only functions: classes and others may be accessors that load what they stand for, unless this process has used them.
      const isPlain = ([key, { value }]: (typeof members)[0]) => typeof value === 'function' && /^[a-z]/.test(key);
      const names = members.filter(isPlain).map(([key]) => key);
      const builtin = `process.getBuiltinModule(${JSON.stringify(name)})`;
      return { contents: `const all = ${builtin}; export default all; export const { ${names.join()} } = all;` };
    });
  },
};

/** `import.meta` as the sources have it, and other commands from there. */
const asInSources: esbuild.Plugin = {
  name: 'as-in-sources',
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /\/command\/\w+\.ts$/ }, ({ kind, path: target, resolveDir }) =>
      kind === 'dynamic-import'
        ? { path: pathToFileURL(path.resolve(resolveDir, target)).href, external: true }
        : undefined,
    );
    onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
      const meta: Readonly<Record<string, string | boolean>> = {
        dirname: path.dirname(file),
        filename: file,
        url: pathToFileURL(file).href,
        main: false,
      };
      const contents = fs.readFileSync(file, 'utf8').replaceAll(/\bimport\.meta\.(\w+)/g, (_, name: string) => {
        if (!Object.hasOwn(meta, name)) throw new HostError(`import.meta.${name} is not known here`, { where: file });
        return JSON.stringify(meta[name]);
      });
      return { contents, loader: 'ts' };
    });
  },
};

async function build(cache: string): Promise<void> {
  const folder = bundleFolder(cache, ROOT);
  const begun = Date.now();
  // As a module it could not be kept with V8's code of functions that are called later.
  const main = await bundleFrom('entry.ts', 'cjs');
  const thread = await bundleFrom('thread.ts', 'esm');
  const bundled = [main, thread].flatMap(({ metafile }) =>
    Object.keys(metafile.inputs).filter(
      (input) => ![WHEN_USED, OF_NODE].some((namespace) => input.startsWith(`${namespace}:`)),
    ),
  );
  const files = [...new Set([...bundled.map((file) => path.resolve(ROOT, file)), ...BUILDERS])];
  const inputs = files.map((file) => bundleInput(file)).filter((input): input is BundleInput => input !== undefined);
  // What was changed in the meantime may be in the bundle or not; the next start makes another.
  if (inputs.length < files.length || inputs.some(({ changed }) => changed >= begun - CLOCK_TICK)) return;

  fs.mkdirSync(folder, { recursive: true });
  removeOld(folder);
  const directory = fs.mkdtempSync(path.join(folder, 'made-'));
  const write = (name: string, bytes: Uint8Array): BundlePart => {
    writeWhole(path.join(directory, name), bytes);
    return { file: path.join(path.basename(directory), name), ...fileState(path.join(directory, name))! };
  };
  const script = write('emulate.cjs', main.outputFiles[0]!.contents);
  const engine = sourceIdentity();
  const { code, machineCode, keptModules, keptTables } = await train(path.join(folder, script.file), engine);
  const parts: BundleParts = {
    engine,
    script,
    code: write('emulate.v8', code),
    ...(machineCode === undefined ? {} : { machineCode: write('machine.v8', machineCode) }),
    thread: write('thread.mjs', thread.outputFiles[0]!.contents),
    modules: write('modules', Buffer.concat([...keptModules.generated.values()])),
    moduleRanges: rangesOf(keptModules.generated),
    tables: Object.fromEntries(
      [...keptTables.made].map(([isa, tables]) => {
        const { numbering, templates } = tables();
        const bytes = new Uint8Array(templates.buffer, templates.byteOffset, templates.byteLength);
        return [isa, { numbering, templates: write(`templates-${isa}`, bytes) }];
      }),
    ),
  };
  const manifest: BundleManifest = { subject: bundleSubject(ROOT), inputs, parts };
  const temporary = path.join(directory, 'manifest.json');
  writeWhole(temporary, Buffer.from(JSON.stringify(manifest)));
  fs.renameSync(temporary, path.join(folder, 'manifest.json'));
}

/** On the disk before this returns: after a failure of power there must not be a file of this size and time without its contents. */
function writeWhole(file: string, bytes: Uint8Array): void {
  fs.writeFileSync(file, bytes, { flush: true });
}

function bundleFrom(name: string, format: 'cjs' | 'esm') {
  return esbuild.build({
    absWorkingDir: ROOT,
    entryPoints: [path.join(import.meta.dirname, name)],
    bundle: true,
    platform: 'node',
    format,
    target: 'node26',
    write: false,
    metafile: true,
    logLevel: 'silent',
    // Not of names: errors go by their classes'.
    minifyWhitespace: true,
    ...(format === 'cjs' ? { banner: { js: MODULE_HEAD }, footer: { js: MODULE_TAIL } } : {}),
    plugins: [...(format === 'cjs' ? [whenUsed, asTheyAre] : []), asInSources],
  });
}

interface Training {
  /** V8's code of all functions that were called. */
  readonly code: Buffer;
  /** The same under the flags that machines run with, where any are expected. */
  readonly machineCode: Buffer | undefined;
  readonly keptModules: KeptModules;
  /** What interpreters begin with. */
  readonly keptTables: KeptTables;
}

/** Runs guests in the bundle at `file`, and has this thread translate them. */
async function train(file: string, engine: string): Promise<Training> {
  // V8 throws away code that has not run for some collections. The flag is set back, for V8 takes up code only under the flags it was kept with.
  v8.setFlagsFromString('--no-flush-bytecode');
  const { script, bundle } = runScript(fs.readFileSync(file), file);
  bundle.knownSources.identity = engine;
  const run = (argv: readonly string[]) => bundle.run(['emulate', '--compilation', 'synchronous', ...argv]);
  for (const argv of PROGRAMS) await run(argv);
  if (!FOR_PROGRAMS) {
    // The first is translated, the second begins with that.
    const kept = ['--cache-dir', path.join(path.dirname(file), 'translations')];
    for (const argv of [MACHINES[0]!, ...MACHINES]) await run([...kept, ...argv]);
  }
  v8.setFlagsFromString('--flush-bytecode');
  const code = script.createCachedData();
  const { keptModules, keptTables } = bundle;
  if (FOR_PROGRAMS) return { code, machineCode: undefined, keptModules, keptTables };
  for (const flag of MACHINE_GUEST_FLAGS) v8.setFlagsFromString(flag);
  return { code, machineCode: script.createCachedData(), keptModules, keptTables };
}

/** Where each of them is when they lie one behind the other. */
function rangesOf(modules: KeptModules['generated']): BundleParts['moduleRanges'] {
  let end = 0;
  return Object.fromEntries([...modules].map(([key, { length }]) => [key, [end, (end += length)]]));
}

function removeOld(folder: string): void {
  for (const name of fs.readdirSync(folder).filter((each) => each.startsWith('made-'))) {
    const directory = path.join(folder, name);
    const stat = fs.statSync(directory, { throwIfNoEntry: false });
    if (stat !== undefined && Date.now() - stat.mtimeMs > OLD) fs.rmSync(directory, { recursive: true, force: true });
  }
}

await build(process.argv[2]!);
// Guests have set it.
process.exitCode = 0;
