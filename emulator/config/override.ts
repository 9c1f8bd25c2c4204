/** Per-benchmark thresholds and absolute targets, chosen by glob over benchmark ids. */
import picomatch from 'picomatch';
import { ConfigError } from '../check/errors.ts';
import { suggestion } from './nearest.ts';
import { fraction } from './value.ts';

const THRESHOLD_NAMES = ['regression', 'improvement', 'critical'] as const;
type ThresholdName = (typeof THRESHOLD_NAMES)[number];

/** Shares of change, as in the option table. */
export type ThresholdOverride = Partial<Record<ThresholdName, number>>;

interface Rule<T> {
  readonly glob: string;
  readonly matches: (id: string) => boolean;
  readonly value: T;
}

/** Rules in the order written; where several match, the last one wins. */
export interface Overrides {
  readonly origin: string;
  readonly thresholds: readonly Rule<ThresholdOverride>[];
  /** In the benchmark's own unit. */
  readonly targets: readonly Rule<number>[];
}

export const NO_OVERRIDES: Overrides = { origin: 'default', thresholds: [], targets: [] };

/** Reads `overrides` (`{ GLOB: { regression: 0.2 } }`) and `targets` (`{ GLOB: 50 }`) of a configuration file. */
export function readOverrides(overrides: unknown, targets: unknown, origin: string): Overrides {
  return {
    origin,
    thresholds: rulesOf(overrides, `${origin} (overrides)`, readThresholds),
    targets: rulesOf(targets, `${origin} (targets)`, readTarget),
  };
}

/** The thresholds the file sets for this benchmark; names no rule sets are absent. */
export function thresholdsFor(overrides: Overrides, id: string): ThresholdOverride {
  const merged: ThresholdOverride = {};
  for (const rule of overrides.thresholds) {
    if (rule.matches(id)) Object.assign(merged, rule.value);
  }
  return merged;
}

/** The absolute target the file sets for this benchmark, and the file that says so. */
export function targetFor(overrides: Overrides, id: string): { value: number; from: string } | undefined {
  const rule = overrides.targets.findLast((candidate) => candidate.matches(id));
  return rule === undefined ? undefined : { value: rule.value, from: overrides.origin };
}

function rulesOf<T>(raw: unknown, where: string, read: (value: unknown, where: string) => T): Rule<T>[] {
  if (raw === undefined) return [];
  if (!isRecord(raw)) throw new ConfigError('is not an object of globs', { where });
  return Object.entries(raw).map(([glob, value]) => {
    if (glob === '' || glob.length > 200) throw new ConfigError('a glob has 1 to 200 characters', { where });
    return { glob, matches: picomatch(glob), value: read(value, `${where} '${glob}'`) };
  });
}

function readThresholds(raw: unknown, where: string): ThresholdOverride {
  if (!isRecord(raw)) throw new ConfigError('is not an object of thresholds', { where });
  const thresholds: ThresholdOverride = {};
  for (const [name, value] of Object.entries(raw)) {
    const known = THRESHOLD_NAMES.find((candidate) => candidate === name);
    if (known === undefined) {
      const mend = suggestion(name, THRESHOLD_NAMES, `use ${THRESHOLD_NAMES.join(', ')}`);
      throw new ConfigError(`unknown threshold '${name}'`, { where, mend });
    }
    thresholds[known] = fraction.read(value, `${where} (${known})`);
  }
  return thresholds;
}

function readTarget(raw: unknown, where: string): number {
  if (typeof raw === 'number' && Number.isFinite(raw)) return raw;
  throw new ConfigError('is not a finite number', { where });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
