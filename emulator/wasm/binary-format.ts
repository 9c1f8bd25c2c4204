/** Section identifiers (Core specification 2.0, Binary Format, "Modules"). */
export const Section = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
} as const;

/** What an import or export is, in binary order. */
export const ExternalKind = { function: 0, table: 1, memory: 2, global: 3 } as const;
