/** What `dyno` runs: the command line, with functions that an earlier run has compiled. */

// As in bundle/bundle.ts.
const fs = process.getBuiltinModule('node:fs');
const path = process.getBuiltinModule('node:path');

const ROOT = path.join(import.meta.dirname, '..');
const argv = process.argv.slice(2);
const inBundle = await bundled();
process.exitCode = await (inBundle ?? (await fromSources()))(argv);
// To take apart what there is takes 4 ms of a program's time and 13 of a boot's. From sources, modules are compiled for the next start while that happens.
if (inBundle !== undefined && isDone()) process.exit();

type CommandLine = (argv: readonly string[]) => Promise<number>;

/** Whether nothing is left to be done or written: handles of standard streams stay, and what runs this is one of the event loop's. */
function isDone(): boolean {
  return process.getActiveResourcesInfo().every((name) => ['PipeWrap', 'TTYWrap', 'Immediate'].includes(name));
}

/** Emulation starts from a bundle wherever compiled code is kept. Stacks are asked for by developers, who know the sources. */
async function bundled(): Promise<CommandLine | undefined> {
  const directory = process.env['NODE_COMPILE_CACHE'];
  if (argv[0] !== 'emulate' || directory === undefined || process.env['DYNO_DEBUG'] === '1') return undefined;
  const cache = path.resolve(directory);
  const { bundleFolder, openFreshBundle } = await import('./bundle/bundle.ts');
  const folder = bundleFolder(cache, ROOT);
  const open = () => openFreshBundle(folder, ROOT);
  const bundle = open() ?? ((await makeBundle(cache)) ? open() : undefined);
  if (bundle === undefined) return undefined;
  bundle.keptTranslations.directory = path.join(cache, 'translations');
  return bundle.run;
}

/** Says on standard error why not, if not. */
async function makeBundle(cache: string): Promise<boolean> {
  // An installation without development packages, or one that this user may not write to.
  if (!fs.existsSync(path.join(ROOT, 'node_modules', 'esbuild')) || !isWritable(cache)) return false;
  const { spawnSync } = await import('node:child_process');
  const build = [...process.execArgv, path.join(ROOT, 'scripts', 'bundle', 'build.ts'), cache];
  const { status, stderr } = spawnSync(process.execPath, build, {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (status !== 0) process.stderr.write(`dyno: starting from sources, for they cannot be bundled: ${stderr}\n`);
  return status === 0;
}

function isWritable(directory: string): boolean {
  try {
    fs.mkdirSync(directory, { recursive: true });
    fs.accessSync(directory, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function fromSources(): Promise<CommandLine> {
  // CommonJS: Node takes up its kept code only under V8's usual flags.
  await import('commander');
  await import('cli-table3');
  await import('../emulator/machine/whole-functions.ts');
  (await import('./guest-flags.ts')).guestFlags.wanted = true;
  return (await import('./cli.ts')).runCommandLine;
}
