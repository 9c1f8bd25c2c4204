/** Who may import whom: the house of ARCHITECTURE, held by `npm test`. */
import { importsOf } from './source.ts';
import type { ImportLine, Objection, SourceFile } from './source.ts';

/** A folder of `emulator/` imports only from lower ranks or from itself. */
export const RANKS: readonly (readonly string[])[] = [
  ['bits', 'check', 'trace'],
  // The evaluator reads guest state where the layout says it lies.
  ['layout'],
  ['ir', 'wasm', 'sync', 'alloc', 'config'],
  ['isa', 'pass', 'memory', 'gc'],
  ['tier', 'translate', 'device', 'loader'],
  ['cpu', 'linux-user'],
  ['machine'],
  // The corpora's runner and executors: every part is on trial there.
  ['filetests'],
];

/** Edges the ranks would allow but the design does not. */
const FORBIDDEN: readonly { from: string; to: string; why: string }[] = [
  { from: 'emulator/device', to: 'emulator/isa', why: 'a device gets a bus, a memory view and an interrupt line' },
  ...['ir', 'pass', 'memory', 'gc', 'isa', 'tier', 'translate', 'device', 'loader', 'cpu', 'linux-user'].map(
    (folder) => ({
      from: `emulator/${folder}`,
      to: 'emulator/config',
      why: 'machines and scripts read the configuration and hand values down',
    }),
  ),
];

export function checkRanks(files: readonly SourceFile[]): Objection[] {
  return (
    files
      // Tests may reach for oracles and real inputs; what ships may not.
      .filter(({ path }) => !path.endsWith('.test.ts'))
      .flatMap(importsOf)
      .flatMap((line) => {
        const message = objectionTo(line);
        return message === undefined ? [] : [{ file: line.file, line: line.line, message }];
      })
  );
}

function objectionTo({ file, target, typeOnly }: ImportLine): string | undefined {
  const from = file.split('/');
  const to = target.split('/');
  if (!['emulator', 'suites', 'reports', 'scripts'].includes(to[0]!)) return undefined;
  switch (from[0]) {
    case 'emulator':
      return to[0] === 'emulator' ? withinEmulator(from, to) : `emulator imports ${to[0]}`;
    case 'suites':
      if (to[0] === 'scripts') return 'suites imports scripts';
      if (to[0] === 'reports' && from[1] === 'harness') return 'suites/harness imports reports';
      return undefined;
    case 'reports':
      if (to[0] === 'scripts') return 'reports imports scripts';
      if (to[0] !== 'suites') return undefined;
      if (to[1] !== 'harness') return `reports imports ${target}; only suites/harness is open to it`;
      return typeOnly ? undefined : 'reports imports more than types of suites/harness';
    default:
      return undefined;
  }
}

function withinEmulator(from: readonly string[], to: readonly string[]): string | undefined {
  // Files directly in emulator/ are its public face.
  if (from.length === 2) return undefined;
  if (to.length === 2) return 'the inside imports the public face';
  const [source, target] = [from[1]!, to[1]!];
  const forbidden = FORBIDDEN.find((edge) => edge.from === `emulator/${source}` && edge.to === `emulator/${target}`);
  if (forbidden !== undefined) return `${source} imports ${target}: ${forbidden.why}`;
  if (source === target) return withinIsa(from, to);
  const sourceRank = RANKS.findIndex((folders) => folders.includes(source));
  const targetRank = RANKS.findIndex((folders) => folders.includes(target));
  if (sourceRank < 0) return `folder ${source} has no rank; add it to scripts/check/ranks.ts`;
  if (targetRank < 0) return `folder ${target} has no rank; add it to scripts/check/ranks.ts`;
  if (targetRank < sourceRank) return undefined;
  return `${source} (rank ${sourceRank}) imports ${target} (rank ${targetRank})`;
}

/** No instruction set imports another, nor does the machinery they share import any of them. */
function withinIsa(from: readonly string[], to: readonly string[]): string | undefined {
  if (from[1] !== 'isa' || to.length < 4) return undefined;
  if (from.length < 4) return `the shared isa machinery imports ${to[2]}`;
  return from[2] === to[2] ? undefined : `isa/${from[2]} imports isa/${to[2]}`;
}
