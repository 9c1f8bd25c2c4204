/** Which benchmarks of a list a command works on. */
import picomatch from 'picomatch';
import { ConfigError } from '../../emulator/check/errors.ts';
import { suggestion } from '../../emulator/config/nearest.ts';

/** What a filter can look at. */
export interface Selectable {
  readonly id: string;
  readonly aliases: readonly string[];
  readonly tags: readonly string[];
}

/**
 * Keeps what any filter chooses: a glob over ids, a leading part of an id, or `tag:NAME`. No filter keeps everything.
 * @throws ConfigError for a filter that chooses nothing, with the nearest id.
 */
export function selectBenchmarks<T extends Selectable>(all: readonly T[], filters: readonly string[]): T[] {
  if (filters.length === 0) return [...all];
  const chosen = new Set<T>();
  for (const filter of filters) {
    const matches = matcherFor(filter);
    const hits = all.filter(matches);
    if (hits.length === 0) {
      const parts = new Set(all.flatMap(({ id, aliases }) => [id, ...aliases].flatMap(leadingParts)));
      throw new ConfigError(`no benchmark matches '${filter}'`, { mend: suggestion(filter, parts, "see 'dyno list'") });
    }
    for (const hit of hits) chosen.add(hit);
  }
  return all.filter((one) => chosen.has(one));
}

/** Benchmarks between others that say nearly the same: quick runs of everything leave them out. */
export const THOROUGH = 'thorough';

/** What a quick run without filters measures. */
export function withoutThorough<T extends Selectable>(all: readonly T[]): T[] {
  return all.filter(({ tags }) => !tags.includes(THOROUGH));
}

/** Part `index` of `count`, from 1: each benchmark is in exactly one part, whatever the machine and the order given. */
export function shardOf<T extends Selectable>(all: readonly T[], index: number, count: number): T[] {
  const ids = all.map(({ id }) => id).sort();
  const inShard = new Set(ids.filter((_, position) => position % count === index - 1));
  return all.filter(({ id }) => inShard.has(id));
}

function matcherFor(filter: string): (one: Selectable) => boolean {
  if (filter.startsWith('tag:')) {
    const tag = filter.slice('tag:'.length);
    return ({ tags }) => tags.includes(tag);
  }
  const glob = picomatch(filter);
  const stem = filter.replace(/\/+$/, '');
  return ({ id, aliases }) =>
    [id, ...aliases].some((name) => glob(name) || name === stem || name.startsWith(`${stem}/`));
}

/** `a/b/c` is also reached by `a/b` and `a`. */
function leadingParts(name: string): string[] {
  return name.split('/').map((_, last, words) => words.slice(0, last + 1).join('/'));
}
