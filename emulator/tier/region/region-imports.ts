import { CHECK, CheckLevel } from '../../check/assert.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import type { ModuleModel } from '../../wasm/module-model.ts';
import { ValType } from '../../wasm/type.ts';
import { importRuntime, type RuntimeFunctions, type RuntimeOptions } from '../runtime.ts';
import { recordsImport } from './code-page.ts';
import { importRegionAccess, type RegionAccess } from './shared-access.ts';

/** What the modules of regions import and have in common, and the functions among that by their places. */
export interface RegionImports {
  readonly model: ModuleModel;
  readonly runtimeFunctions: RuntimeFunctions;
  /** Behind address translation. */
  readonly slowPaths: RegionAccess | undefined;
  /** The globals with the addresses of their pages' records. */
  readonly records: readonly number[];
}

/** By the options of those who translate, and twice the number of pages, with one more for page caches. */
const known = new WeakMap<RuntimeOptions, RegionImports[]>();

/** The imports of regions that lie in so many pages and have page caches or not; made once for all that are translated with the same options. */
export function importsOf(options: RuntimeOptions, pages: number, pageCaches: boolean): RegionImports {
  // Where it is alone, the page is the dispatcher's to look at, as the one that is entered always is.
  const imported = pages < 2 ? 0 : pages;
  let byPages = known.get(options);
  if (byPages === undefined) known.set(options, (byPages = []));
  return (byPages[2 * imported + (pageCaches ? 1 : 0)] ??= makeImports(options, imported, pageCaches));
}

/** `pages`: those whose records' addresses are imported, each run's own, so that the same bytes serve wherever the pages are. */
function makeImports(options: RuntimeOptions, pages: number, pageCaches: boolean): RegionImports {
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full });
  const records: number[] = [];
  for (let at = 0; at < pages; at++) records.push(module.importGlobal('env', recordsImport(at), ValType.i32, false));
  const runtimeFunctions = importRuntime(module, options);
  const slowPaths = options.translated === true ? importRegionAccess(module, pageCaches) : undefined;
  return { model: module.asModel(), runtimeFunctions, slowPaths, records };
}
