/**
 * Imported before all else, lets the kept code of modules (`module.enableCompileCache`, `NODE_COMPILE_CACHE`) have all their functions. Node
 * keeps what V8 has compiled when a module is loaded, and usually V8 compiles a function when it is first called: in a short program that
 * is a part of what everything takes before the guest is fast. [measured: emulator/docs/decisions.md, "Starting"]
 */
import { getCompileCacheDir } from 'node:module';
import v8 from 'node:v8';

/** Needed in any case: what Node brings of them in compiled form is of no use once the flag is set. */
const OF_NODE = ['assert/strict', 'crypto', 'fs', 'os', 'path', 'url', 'util', 'worker_threads'];

if (getCompileCacheDir() !== undefined) {
  for (const name of OF_NODE) process.getBuiltinModule(`node:${name}`);
  // Code is taken up again only under the flags it was compiled with, so it stays set.
  v8.setFlagsFromString('--no-lazy');
}
