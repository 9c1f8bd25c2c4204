/** From seconds and items to the unit a benchmark reports in. */
import { ConfigError } from '../../emulator/check/errors.ts';

const SECONDS: Readonly<Record<string, number>> = { ns: 1e-9, µs: 1e-6, us: 1e-6, ms: 1e-3, s: 1 };
const RATE_PREFIX: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

/** One sample in the benchmark's unit, from the seconds one call of its work took and the items that call handled. */
export type Conversion = (seconds: number, items: number) => number;

/**
 * Reads a unit: a time (`ns`, `µs`, `ms`, `s`), a time per item (`ns/instruction`), or a rate (`MiB/s`, `kop/s`, `MIPS`).
 * A plain time also divides by the items of a call, so a body that handles 100 blocks reports per block.
 * Undefined for units that are not made of time, such as `bytes`.
 */
export function conversionFor(unit: string): Conversion | undefined {
  if (unit === 'MIPS') return (seconds, items) => items / seconds / 1e6;
  const time = /^(ns|µs|us|ms|s)(?:\/[a-z-]+)?$/.exec(unit);
  if (time !== null) {
    const scale = SECONDS[time[1]!]!;
    return (seconds, items) => seconds / scale / items;
  }
  const rate = /^([kMG]i?|Ki|)([A-Za-z][a-z-]*)\/s$/.exec(unit);
  if (rate === null) return undefined;
  const scale = RATE_PREFIX[rate[1]!];
  return scale === undefined ? undefined : (seconds, items) => items / seconds / scale;
}

/** @throws ConfigError when the unit cannot express a time. */
export function requireConversion(unit: string, id: string): Conversion {
  const conversion = conversionFor(unit);
  if (conversion !== undefined) return conversion;
  throw new ConfigError(`unit '${unit}' is neither a time nor a rate`, { where: id, mend: 'use ns, ns/item, MiB/s…' });
}
