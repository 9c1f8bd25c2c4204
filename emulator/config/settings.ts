import { ConfigError } from '../check/errors.ts';
import { suggestion } from './nearest.ts';
import { isOptionKey, OPTIONS, OPTION_KEYS, RESERVED_VARIABLES, variableOf } from './option.ts';
import type { Option, OptionKey, OptionValue } from './option.ts';
import { NO_OVERRIDES } from './override.ts';
import type { Overrides } from './override.ts';

/** Values of one origin by option key, not yet of the right type. */
export interface Layer {
  /** Printed by `dyno config`: `default`, a file's path, a variable or a flag. */
  origin(key: OptionKey): string;
  readonly values: ReadonlyMap<OptionKey, unknown>;
}

/** The merged configuration: every option has a value and knows where it came from. */
export class Settings {
  readonly overrides: Overrides;
  readonly #values = new Map<OptionKey, unknown>();
  readonly #origins = new Map<OptionKey, string>();

  /** Later layers win. @throws ConfigError when a value is not of its option's type. */
  constructor(layers: readonly Layer[], overrides: Overrides = NO_OVERRIDES) {
    this.overrides = overrides;
    for (const key of OPTION_KEYS) {
      this.#values.set(key, OPTIONS[key].default);
      this.#origins.set(key, 'default');
    }
    for (const layer of layers) {
      for (const [key, raw] of layer.values) {
        const origin = layer.origin(key);
        this.#values.set(key, OPTIONS[key].type.read(raw, `${origin} (${key})`));
        this.#origins.set(key, origin);
      }
    }
    const order = ['thresholds.regression', 'thresholds.critical'] as const;
    if (this.get(order[0]) > this.get(order[1])) {
      throw new ConfigError(`${order[0]} is above ${order[1]}`, { where: this.origin(order[0]) });
    }
  }

  get<K extends OptionKey>(key: K): OptionValue<K> {
    return this.#values.get(key) as OptionValue<K>;
  }

  origin(key: OptionKey): string {
    return this.#origins.get(key)!;
  }

  /** One row an option, in table order, as `dyno config` prints them. */
  rows(): { key: OptionKey; value: string; origin: string; doc: string }[] {
    return OPTION_KEYS.map((key) => {
      const { type, doc } = OPTIONS[key] as Option<unknown>;
      return { key, value: type.format(this.get(key)), origin: this.origin(key), doc };
    });
  }
}

/** `DYNO_…` variables as a layer. @throws ConfigError for one with the prefix that names no option. */
export function environmentLayer(environment: Readonly<Record<string, string | undefined>>): Layer {
  const byVariable = new Map(OPTION_KEYS.map((key) => [variableOf(key), key]));
  const values = new Map<OptionKey, unknown>();
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('DYNO_') || value === undefined || RESERVED_VARIABLES.has(name)) continue;
    const key = byVariable.get(name);
    if (key === undefined) {
      const known = [...byVariable.keys(), ...RESERVED_VARIABLES.keys()];
      throw new ConfigError('unknown setting', { where: name, mend: suggestion(name, known, "see 'dyno config'") });
    }
    values.set(key, value);
  }
  return { origin: variableOf, values };
}

/** Flags that stand for options, already by key; undefined ones are left out. */
export function flagLayer(flags: Readonly<Partial<Record<OptionKey, unknown>>>): Layer {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined) as [OptionKey, unknown][];
  return { origin: () => 'flag', values: new Map(given) };
}

/** `key=value` pairs of `--set`. @throws ConfigError for an unknown key or a missing `=`. */
export function assignmentLayer(assignments: readonly string[]): Layer {
  const values = new Map<OptionKey, unknown>();
  for (const assignment of assignments) {
    const at = assignment.indexOf('=');
    if (at < 1) throw new ConfigError(`'${assignment}' is not KEY=VALUE`, { where: '--set' });
    values.set(knownKey(assignment.slice(0, at), '--set'), assignment.slice(at + 1));
  }
  return { origin: () => '--set', values };
}

/** @throws ConfigError with the nearest key when there is no such option. */
export function knownKey(key: string, where: string): OptionKey {
  if (isOptionKey(key)) return key;
  throw new ConfigError(`unknown option '${key}'`, { where, mend: suggestion(key, OPTION_KEYS, "see 'dyno config'") });
}
