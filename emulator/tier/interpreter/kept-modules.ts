import type { CaseNumbering } from './case-table.ts';

/** What the interpreters of one ISA begin with. */
export interface KeptTables {
  readonly numbering: CaseNumbering;
  /** As RecordTemplates has them. */
  readonly templates: Int32Array<ArrayBuffer>;
}

/** What an earlier process has made for interpreters from the same sources, for a host that keeps it. */
export interface KeptModules {
  /** The bytes of the module called `key`, or undefined: then it is generated. */
  lookUp: (key: string) => Uint8Array<ArrayBuffer> | undefined;
  /** Of an ISA, by name; undefined: then they are made. */
  lookUpTables: (isa: string) => KeptTables | undefined;
  /** The modules that this process has generated, by key. */
  readonly generated: Map<string, Uint8Array<ArrayBuffer>>;
  /** Whole tables of the ISAs that this process has interpreters of. */
  readonly tables: Map<string, () => KeptTables>;
}

/** Keys tell apart all that differs between modules from the same sources; whoever sets the functions answers for the sources. */
export const keptModules: KeptModules = {
  lookUp: () => undefined,
  lookUpTables: () => undefined,
  generated: new Map(),
  tables: new Map(),
};
