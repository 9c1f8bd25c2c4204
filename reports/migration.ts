/** Brings documents of older schema versions up to date, one version at a time. */
import { ResultError } from './result-error.ts';

type Fields = Readonly<Record<string, unknown>>;

/** From the version of its key to the next one. Empty while only version 1 has ever been written. */
const MIGRATIONS: ReadonlyMap<number, (document: Fields) => Fields> = new Map();

/** @throws ResultError when `value` has no version, a newer one, or one that no longer can be read. */
export function migrate(
  value: unknown,
  current: number,
  origin: string,
  migrations: ReadonlyMap<number, (document: Fields) => Fields> = MIGRATIONS,
): Fields {
  let document = versioned(value, origin);
  while (document.schema < current) {
    const step = migrations.get(document.schema);
    if (step === undefined) {
      throw new ResultError(`schema ${document.schema} is too old to read`, {
        where: origin,
        mend: 'measure again',
      });
    }
    document = { ...step(document), schema: document.schema + 1 };
  }
  if (document.schema > current) {
    throw new ResultError(`schema ${document.schema} is newer than ${current}, the newest this version reads`, {
      where: origin,
      mend: 'update vm-dyno',
    });
  }
  return document;
}

function versioned(value: unknown, origin: string): Fields & { readonly schema: number } {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const { schema } = value as Fields;
    if (typeof schema === 'number' && Number.isSafeInteger(schema) && schema >= 0) return { ...value, schema };
  }
  throw new ResultError('has no schema version', { where: origin, mend: 'give a result document of vm-dyno' });
}
