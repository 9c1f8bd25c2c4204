/** The thread of a BackgroundCompiler (background-compiler.ts). */
import { enableCompileCache, flushCompileCache } from 'node:module';
import { workerData } from 'node:worker_threads';
import type { ThreadData } from './background-compiler.ts';

const { compileCache, ...data } = workerData as ThreadData;
// Before anything else is loaded: most of the time to the first region is in loading the translator.
if (compileCache !== undefined) enableCompileCache(compileCache);
const { serve } = await import('./compiler-service.ts');
serve(data);
if (compileCache !== undefined) flushCompileCache();
