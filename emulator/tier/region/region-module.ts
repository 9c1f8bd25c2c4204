import { MOST_CODE_PAGES, recordsImport } from './code-page.ts';

/** What regions may import from `env` (Translator.instantiate). */
const IMPORTS: Readonly<Record<string, WebAssembly.ImportExportKind>> = {
  memory: 'memory',
  helper: 'function',
  float: 'function',
  codeWritten: 'function',
  regionLoad: 'function',
  regionStore: 'function',
  notePageCache: 'function',
  ...Object.fromEntries(Array.from({ length: MOST_CODE_PAGES }, (_, at) => [recordsImport(at), 'global'])),
};

/** What a module exports for a region: `run` where there is one (combined-module.ts). */
export function runName(at: number): string {
  return at === 0 ? 'run' : `run${at}`;
}

/** The module of these bytes if it is one, exports what so many regions are run by and imports nothing but what regions are given. */
export function regionModule(bytes: Uint8Array<ArrayBuffer>, regions = 1): WebAssembly.Module | undefined {
  const module = compile(bytes);
  if (module === undefined) return undefined;
  const exports = WebAssembly.Module.exports(module);
  const isRegion =
    exports.length === regions &&
    exports.every(({ name, kind }, at) => name === runName(at) && kind === 'function') &&
    WebAssembly.Module.imports(module).every(
      ({ module: from, name, kind }) => from === 'env' && IMPORTS[name] === kind,
    );
  return isRegion ? module : undefined;
}

function compile(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined {
  try {
    return new WebAssembly.Module(bytes);
  } catch (error) {
    if (error instanceof WebAssembly.CompileError) return undefined;
    throw error;
  }
}
