import type { CaseNumbering } from './case-table.ts';

/** What the interpreters of one ISA begin with. */
export interface InterpreterTables {
  readonly numbering: CaseNumbering;
  /** As RecordTemplates has them. */
  readonly templates: Int32Array<ArrayBuffer>;
}

/** What an earlier process from the same sources has made, for a host that keeps it. */
export interface KeptTables {
  /** Of an ISA, by name; undefined: then they are made. */
  lookUp: (isa: string) => InterpreterTables | undefined;
  /** Whole tables of the ISAs that this process has interpreters of. */
  readonly made: Map<string, () => InterpreterTables>;
}

/** Whoever sets the function answers for the sources. */
export const keptTables: KeptTables = { lookUp: () => undefined, made: new Map() };
