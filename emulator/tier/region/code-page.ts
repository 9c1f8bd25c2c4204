/** A page of a region's code behind address translation, as it is in this run. */
export interface CodePage {
  /** Guest address, as a signed number. */
  readonly pc: number;
  /** Its place (tier/code-space.ts). */
  readonly place: number;
  /** Linear address of its decoded records, which no other page has as long as they live. */
  readonly records: number;
}

/** Pages that instructions of a region behind address translation may begin in: each is looked up at every entry. */
export const MOST_PAGES = 4;
/** From each of them one instruction may run on into another page. */
export const MOST_CODE_PAGES = 2 * MOST_PAGES;

/** The name by which regions import where the records of their page number `at` are. */
export function recordsImport(at: number): string {
  return `records${at}`;
}
