import { MOST_CODE_PAGES, recordsImport } from './code-page.ts';

/** What regions may import from `env` (Translator.instantiate). */
const IMPORTS: Readonly<Record<string, WebAssembly.ImportExportKind>> = {
  memory: 'memory',
  helper: 'function',
  float: 'function',
  codeWritten: 'function',
  regionLoad: 'function',
  regionStore: 'function',
  ...Object.fromEntries(Array.from({ length: MOST_CODE_PAGES }, (_, at) => [recordsImport(at), 'global'])),
};

/** The module of these bytes if it is one, exports `run` and imports nothing but what regions are given. */
export function regionModule(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined {
  const module = compile(bytes);
  if (module === undefined) return undefined;
  const [run, ...others] = WebAssembly.Module.exports(module);
  const isRegion =
    run?.name === 'run' &&
    run.kind === 'function' &&
    others.length === 0 &&
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
