/** The types an option can have: how a value is read from text or from a file, and what it looks like in print. */
import { ConfigError } from '../check/errors.ts';

export interface ValueType<T> {
  /** The name in documentation and messages, e.g. `fraction`. */
  readonly name: string;
  /** Reads a value given as text (environment, flag) or as JSON. @throws ConfigError naming `where` when it is not one. */
  read(raw: unknown, where: string): T;
  format(value: T): string;
}

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

export const flag: ValueType<boolean> = {
  name: 'boolean',
  read(raw, where) {
    if (raw === true || raw === 'true' || raw === '1') return true;
    if (raw === false || raw === 'false' || raw === '0') return false;
    return refuse(raw, where, 'true or false');
  },
  format: String,
};

/** A whole number from `minimum` to `maximum`, both included. */
export function integer(minimum: number, maximum: number): ValueType<number> {
  return {
    name: 'integer',
    read(raw, where) {
      const value = numberOf(raw);
      if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return value;
      return refuse(raw, where, `a whole number from ${minimum} to ${maximum}`);
    },
    format: String,
  };
}

/** A share such as 0.1, also written `10%`. */
export const fraction: ValueType<number> = {
  name: 'fraction',
  read(raw, where) {
    const percent = typeof raw === 'string' && /^[0-9.]+%$/.test(raw);
    const value = percent ? numberOf(raw.slice(0, -1)) / 100 : numberOf(raw);
    if (value > 0 && value <= 10) return value;
    return refuse(raw, where, 'a fraction above 0 such as 0.1 or 10%');
  },
  format: (value) => `${Number((value * 100).toPrecision(6))}%`,
};

/** Milliseconds; a number, or text with a unit: `250ms`, `3s`, `10m`. */
export const duration: ValueType<number> = {
  name: 'duration',
  read(raw, where) {
    const match = typeof raw === 'string' ? /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)$/.exec(raw) : null;
    const value = match === null ? numberOf(raw) : Number(match[1]) * DURATION_UNITS[match[2]!]!;
    // Timers hold 31 bits of milliseconds; past that Node fires at once.
    if (value >= 0 && value < 2 ** 31) return value;
    return refuse(raw, where, 'a duration such as 250ms, 3s or 10m');
  },
  format: (value) => (value >= 60_000 && value % 60_000 === 0 ? `${value / 60_000}m` : formatSeconds(value)),
};

/** Bytes; a number, or text with a binary unit: `64K`, `256M`, `2G`. */
export const size: ValueType<number> = {
  name: 'size',
  read(raw, where) {
    const match = typeof raw === 'string' ? /^([0-9]+)([KMG]?)(?:iB|B)?$/.exec(raw) : null;
    const value = match === null ? numberOf(raw) : Number(match[1]) * SIZE_UNITS[match[2]!]!;
    if (Number.isSafeInteger(value) && value >= 0) return value;
    return refuse(raw, where, 'a size such as 64K, 256M or 2G');
  },
  format(value) {
    const unit = Object.entries(SIZE_UNITS).findLast(([, bytes]) => value >= bytes && value % bytes === 0);
    return unit === undefined ? String(value) : `${value / unit[1]}${unit[0]}`;
  },
};

/** Free text without control characters. */
export const text: ValueType<string> = {
  name: 'text',
  read(raw, where) {
    if (typeof raw === 'string' && raw.length <= 4096 && !/\p{Cc}/u.test(raw)) return raw;
    return refuse(raw, where, 'one line of text');
  },
  format: (value) => (value === '' ? '(none)' : value),
};

/** One of a closed set of words. */
export function choice<const Word extends string>(...words: readonly Word[]): ValueType<Word> {
  return {
    name: words.join('|'),
    read(raw, where) {
      const word = words.find((candidate) => candidate === raw);
      return word ?? refuse(raw, where, `one of ${words.join(', ')}`);
    },
    format: String,
  };
}

function formatSeconds(milliseconds: number): string {
  return milliseconds >= 1000 ? `${milliseconds / 1000}s` : `${milliseconds}ms`;
}

function numberOf(raw: unknown): number {
  if (typeof raw === 'number') return raw;
  // Number('') and Number(' ') are 0: an empty variable must not become a setting.
  return typeof raw === 'string' && /^-?[0-9]+(?:\.[0-9]+)?(?:e[0-9]+)?$/i.test(raw) ? Number(raw) : Number.NaN;
}

function refuse(raw: unknown, where: string, wanted: string): never {
  const shown = typeof raw === 'string' ? `'${raw.slice(0, 60)}'` : (JSON.stringify(raw)?.slice(0, 60) ?? typeof raw);
  throw new ConfigError(`${shown} is not ${wanted}`, { where });
}
