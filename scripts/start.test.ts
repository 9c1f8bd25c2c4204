import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { MessageChannel, Worker } from 'node:worker_threads';
import { promisify } from 'node:util';
import { riscv64 } from '../emulator/isa/riscv/index.ts';
import type { Failure } from '../emulator/machine/background-compiler.ts';
import { MACHINE_GUEST_FLAGS, MACHINE_RUNTIME_FLAGS, RUNTIME_FLAGS } from '../emulator/machine/runtime-flags.ts';
import { VirtMachine } from '../emulator/machine/riscv-virt/machine.ts';
import { generateInterpreter, interpreterModule } from '../emulator/tier/interpreter/generate.ts';
import { Dispatcher } from '../emulator/tier/region/dispatcher.ts';
import { keptModules } from '../emulator/wasm/kept-modules.ts';
import { GUEST } from '../emulator/layout/memory-map.ts';
import { readManifest, readModules, readTables } from './bundle/bundle.ts';
import type { BundleOrigin } from './bundle/bundle.ts';

const START = path.join(import.meta.dirname, 'start.ts');
const SIEVE = path.join(import.meta.dirname, '..', 'suites', 'guests', 'riscv64', 'sieve');

let scratch: string;
before(() => {
  scratch = fs.mkdtempSync(path.join(tmpdir(), 'dyno-start-'));
});
after(() => fs.rmSync(scratch, { recursive: true }));

/** What a command line prints when compiled code is kept in a directory, or nowhere. Nothing may stand on standard error. */
async function start(cache: string | undefined, ...args: readonly string[]): Promise<string> {
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_COMPILE_CACHE: cache };
  if (cache === undefined) delete env['NODE_COMPILE_CACHE'];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [START, ...args], { env });
  assert.equal(stderr, '');
  return stdout;
}

const sieve = (cache?: string) => start(cache, 'emulate', '--user', SIEVE, '--', '3');

/** The folder of the only bundle in `cache`. */
function bundleIn(cache: string): string {
  const names = fs.readdirSync(cache).filter((name) => name.startsWith('emulate-'));
  assert.equal(names.length, 1);
  return path.join(cache, names[0]!);
}

/** A thread that is told of guests it cannot serve says so: by then it has the bundle. */
async function checkThread(origin: BundleOrigin, translated: boolean): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const signal = new Int32Array(new SharedArrayBuffer(8));
  const workerData = { port: port2, signal, subject: { isa: 'none', translated }, origin };
  const worker = new Worker(path.join(origin.folder, origin.parts.thread.file), { workerData, transferList: [port2] });
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error));
  const [message] = await Promise.race([once(port1, 'message'), failed]);
  assert.match((message as Failure).failure, /programs are RISC-V/);
  await worker.terminate();
  port1.close();
}

/** Whether V8 takes the bundle's compiled code once these flags are set. */
function isTakenUp(folder: string, part: 'code' | 'machineCode', flags: readonly string[]): boolean {
  const program = `
    import { readManifest, readPart, runScript } from ${JSON.stringify(path.join(import.meta.dirname, 'bundle', 'bundle.ts'))};
    import { setFlagsFromString } from 'node:v8';
    const [folder, part, ...flags] = process.argv.slice(1);
    for (const flag of flags) setFlagsFromString(flag);
    const { parts } = readManifest(folder);
    const { script } = runScript(readPart(folder, parts.script), folder + '/' + parts.script.file, readPart(folder, parts[part]));
    console.log(script.cachedDataRejected);`;
  const argv = ['--input-type=module', '-e', program, '--', folder, part, ...flags];
  return execFileSync(process.execPath, argv, { encoding: 'utf8' }) === 'false\n';
}

/** What is kept for interpreters is what is made without it. */
function checkTables(origin: BundleOrigin): void {
  const { numbering, templates } = readTables(origin, riscv64.name)!;
  const made = generateInterpreter(riscv64, { guestSize: 2 ** 30 });
  assert.deepEqual(numbering, made.table.numbering);
  made.templates.complete();
  // Those in the bundle were made in the order that its programs needed them in.
  assert.equal(templates.length, made.templates.numbers.length);
}

/** Modules in it are what this process generates for programs and machines. */
function checkModules(origin: BundleOrigin): void {
  const lookUp = readModules(origin);
  interpreterModule(riscv64, { guestSize: 2 ** 30 });
  const memory = new WebAssembly.Memory({ initial: GUEST / 65536 });
  assert.ok(new Dispatcher(memory, 2, () => 0, 3, false).table.length > 0);
  new VirtMachine({ memorySize: 2 ** 23, kernel: { origin: 'test', bytes: new Uint8Array(4) } }).close();
  const { generated } = keptModules;
  assert.deepEqual(new Set(Object.keys(origin.parts.moduleRanges)), new Set(generated.keys()));
  assert.ok(generated.size >= 7);
  for (const [key, bytes] of generated) assert.deepEqual(new Uint8Array(lookUp(key)!), bytes, key);
  assert.equal(lookUp('another'), undefined);
}

test('programs run alike from sources, from a bundle just made, and from one that was there', async () => {
  const cache = path.join(scratch, 'alike');
  const expected = await sieve();
  assert.match(expected, /\d/);
  assert.equal(await sieve(cache), expected);
  const folder = bundleIn(cache);
  const made = fs.readFileSync(path.join(folder, 'manifest.json'), 'utf8');
  assert.equal(await sieve(cache), expected);
  assert.equal(fs.readFileSync(path.join(folder, 'manifest.json'), 'utf8'), made);

  assert.equal(isTakenUp(folder, 'code', []), true);
  assert.equal(isTakenUp(folder, 'machineCode', MACHINE_GUEST_FLAGS), true);
  assert.equal(isTakenUp(folder, 'code', MACHINE_GUEST_FLAGS), false);
  checkModules({ folder, parts: readManifest(folder)!.parts });
  checkTables({ folder, parts: readManifest(folder)!.parts });
  for (const translated of [false, true]) await checkThread({ folder, parts: readManifest(folder)!.parts }, translated);

  for (const part of ['script', 'code'] as const) {
    const before = readManifest(folder)!.parts[part].file;
    const file = path.join(folder, before);
    const damaged = fs.readFileSync(file);
    damaged[damaged.length >> 1]! ^= 1;
    fs.writeFileSync(file, damaged);
    assert.equal(await sieve(cache), expected);
    assert.notEqual(readManifest(folder)!.parts[part].file, before, 'another was made');
  }
});

test('machines find the translations of the one before, unless told not to', async () => {
  const cache = path.join(scratch, 'machines');
  const translations = path.join(cache, 'translations');
  const primes = path.join(import.meta.dirname, '..', 'suites', 'guests', 'bare', 'riscv64', 'primes');
  const file = path.join(scratch, 'stats.json');
  let said = '';
  const boot = async (
    ...options: readonly string[]
  ): Promise<Partial<Record<'loaded' | 'rejected' | 'saved', number>>> => {
    const machine = ['--machine', 'virt', '--bios', primes, '--tier', 'optimized', '--max-insns', '1e5'];
    const argv = [START, 'emulate', ...machine, '--stats', file, ...options];
    const env = { ...process.env, NODE_COMPILE_CACHE: cache };
    await assert.rejects(
      promisify(execFile)(process.execPath, argv, { env }),
      (error: { code: number; stderr: string }) => {
        said = error.stderr;
        return error.code === 124;
      },
    );
    return (JSON.parse(fs.readFileSync(file, 'utf8')) as { cache?: object }).cache ?? {};
  };
  for (const option of [['--no-cache-dir'], ['--deterministic'], ['--dump', 'regions:0'], ['--trace', '/dev/null']]) {
    assert.deepEqual(await boot(...option), {}, option.join());
    assert.equal(fs.existsSync(translations), false, option.join());
  }
  const { loaded, saved } = await boot();
  assert.ok(loaded === 0 && saved! > 0);
  assert.equal((await boot()).loaded, saved);
  assert.deepEqual(await boot('--no-cache-dir'), {});
  const elsewhere = path.join(scratch, 'elsewhere');
  assert.deepEqual((await boot('--deterministic', '--cache-dir', elsewhere)).saved, saved);
  assert.equal(fs.readdirSync(elsewhere).length, 1);
  // Nobody has asked for it, so that it cannot be is no error, and no word is said about a directory that is somebody else's.
  const [name] = fs.readdirSync(translations);
  fs.rmSync(path.join(translations, name!));
  fs.mkdirSync(path.join(translations, name!));
  assert.equal((await boot()).rejected, 1);
  assert.match(said, /^dyno: translations are not kept for the next start: .*cannot be written/m);
  fs.rmSync(translations, { recursive: true });
  fs.writeFileSync(translations, '');
  assert.deepEqual(await boot(), {});
  assert.doesNotMatch(said, /translations/);
});

test('processes that make a bundle at the same time run alike', async () => {
  const cache = path.join(scratch, 'together');
  const [expected, ...others] = await Promise.all([sieve(), sieve(cache), sieve(cache), sieve(cache)]);
  for (const each of others) assert.equal(each, expected);
  assert.equal(await sieve(cache), expected);
});

test('other commands start from sources', async () => {
  const cache = path.join(scratch, 'other');
  assert.equal(await start(cache, 'config', '--help'), await start(undefined, 'config', '--help'));
  assert.deepEqual(
    fs.readdirSync(cache).filter((name) => name.startsWith('emulate-')),
    [],
  );
});

test('the command line starts the runtime as measurements do', () => {
  const script = fs.readFileSync(path.join(import.meta.dirname, 'dyno'), 'utf8');
  for (const flags of [RUNTIME_FLAGS, MACHINE_RUNTIME_FLAGS]) {
    assert.ok(script.includes(`exec "$NODE" ${flags.join(' ')} `));
    assert.equal(execFileSync(process.execPath, [...flags, '-p', '1'], { encoding: 'utf8' }), '1\n');
  }
});
