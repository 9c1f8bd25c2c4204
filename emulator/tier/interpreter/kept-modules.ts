/** Modules of interpreters that an earlier process has made from the same sources, for a host that keeps them. */
export interface KeptModules {
  /** The bytes of the module called `key`, or undefined: then it is generated. */
  lookUp: (key: string) => Uint8Array<ArrayBuffer> | undefined;
  /** The modules that this process has generated, by key. */
  readonly generated: Map<string, Uint8Array<ArrayBuffer>>;
}

/** Keys tell apart all that differs between modules from the same sources; whoever sets `lookUp` answers for the sources. */
export const keptModules: KeptModules = { lookUp: () => undefined, generated: new Map() };
