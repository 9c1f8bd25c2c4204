import { CHECK, CheckLevel } from '../check/assert.ts';

/** Modules that do not depend on guests, which an earlier process from the same sources has made, for a host that keeps them. */
export interface KeptModules {
  /** The bytes of the module called `key`, or undefined: then it is generated. */
  lookUp: (key: string) => Uint8Array<ArrayBuffer> | undefined;
  /** The modules that this process has generated, by key. */
  readonly generated: Map<string, Uint8Array<ArrayBuffer>>;
}

/** Keys tell apart all that differs between modules from the same sources; whoever sets the function answers for the sources. */
export const keptModules: KeptModules = { lookUp: () => undefined, generated: new Map() };

const compiled = new Map<string, WebAssembly.Module>();

/** The bytes of the module called `key`, which `write` generates where none are kept. Where everything is checked that is done in each process. */
export function keptBytes(key: string, write: () => Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const kept = CHECK >= CheckLevel.full ? undefined : keptModules.lookUp(key);
  if (kept !== undefined) return kept;
  const bytes = write();
  keptModules.generated.set(key, bytes);
  return bytes;
}

/** The same compiled, once in a process. [measured: the four small modules of a machine took 4 ms of a start of 100 to generate] */
export function keptModule(key: string, write: () => Uint8Array<ArrayBuffer>): WebAssembly.Module {
  let module = compiled.get(key);
  if (module === undefined) compiled.set(key, (module = new WebAssembly.Module(keptBytes(key, write))));
  return module;
}
