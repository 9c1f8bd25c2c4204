/** What `emulate --stats` and `--timeline` print for people. */
import type { CodeCacheCounters } from '../emulator/machine/code-cache.ts';
import type { LoggedTranslation, TranslationLog, TranslationStatistics } from '../emulator/machine/translation-log.ts';
import type { MmuCounters } from '../emulator/memory/translation-counters.ts';
import type { TranslationCounters } from '../emulator/tier/region/translator.ts';
import { columns, hexAddress } from './output.ts';

type Row = readonly [what: string, value: string, share?: string];

const thousands = (count: number): string => count.toLocaleString('en-US');
const percent = (part: number, whole: number): string => (whole === 0 ? '–' : `${((100 * part) / whole).toFixed(2)} %`);
const milliseconds = (time: number): string => `${time.toFixed(1)} ms`;
const kibibytes = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;

/** What a run of any kind of guest has counted. */
export interface RunStatistics {
  readonly seconds: number;
  readonly instructions: number;
  readonly vcpu: Readonly<Record<string, number>>;
  /** In tiers that translate; of programs also what became of it. */
  readonly translation?: TranslationCounters & Partial<TranslationStatistics>;
  /** Of guests with address translation. */
  readonly tlb?: Readonly<MmuCounters>;
  readonly cache?: Readonly<CodeCacheCounters>;
}

/** Instructions by tier, the TLB, the three levels of the translation cache, times and memory, as a table. */
export function statisticsTable(run: RunStatistics): string {
  const { vcpu, instructions, seconds, translation, tlb, cache } = run;
  const inRegions = vcpu['regionInstructions'] ?? 0;
  const rows: Row[] = [
    ['instructions', thousands(instructions), `${(instructions / seconds / 1e6).toFixed(0)} MIPS`],
    ['  in the interpreter', thousands(instructions - inRegions), percent(instructions - inRegions, instructions)],
    ['  in regions', thousands(inRegions), percent(inRegions, instructions)],
    ['seconds', seconds.toFixed(3)],
    ...(tlb === undefined ? [] : tlbRows(tlb)),
    ...(translation === undefined ? [] : [...regionRows(vcpu, translation), ...translationRows(translation)]),
    ...(cache === undefined ? [] : cacheRows(cache)),
    ['resident memory', `${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`],
  ];
  return columns(
    ['', '', ''],
    rows.map(([what, value, share = '']) => [what, value, share]),
  );
}

function tlbRows({ l1Misses, l2Hits, walks, pageFaults, fences }: Readonly<MmuCounters>): Row[] {
  return [
    ['TLB: misses of the first level', thousands(l1Misses)],
    ['  hits of the second', thousands(l2Hits), percent(l2Hits, l1Misses)],
    ['  page walks', thousands(walks), percent(walks, l1Misses)],
    ['page faults', thousands(pageFaults)],
    ['fences', thousands(fences)],
  ];
}

/** What regions were found for, and where. */
function regionRows(
  vcpu: Readonly<Record<string, number>>,
  { translated, reused, liveRegions, prefetchedUnused, store }: NonNullable<RunStatistics['translation']>,
): Row[] {
  const of = (name: string): number => vcpu[name] ?? 0;
  // Whoever leaves a region asks the jump cache, and so does the interpreter where a region begins.
  const lookups = of('chained') + of('chainMisses');
  const [first, second] = [of('chained'), of('chainRefills')];
  const missed = lookups - first - second;
  const inVain = (prefetchedUnused ?? 0) + of('prefetchedInVain');
  return [
    ['regions installed', thousands(of('regions')), liveRegions === undefined ? '' : `${liveRegions} live at the end`],
    ['  evicted or invalidated', thousands(of('regionsDropped'))],
    ['jumps between regions', thousands(lookups)],
    ['  level 1: jump cache', thousands(first), percent(first, lookups)],
    ['  level 2: live regions', thousands(second), percent(second, lookups)],
    ['  to code without a region', thousands(missed), percent(missed, lookups)],
    ['level 3: stored code', thousands(reused), percent(reused, reused + translated)],
    ...(store === undefined ? [] : storeRows(store)),
    ['  prefetched', thousands(of('prefetched')), of('prefetched') === 0 ? '' : `${thousands(inVain)} in vain`],
    ['region entries from outside', thousands(of('regionEntries'))],
    ['instructions given back', thousands(of('refusals')), percent(of('refusals'), of('regionInstructions'))],
    ['entries refused', thousands(of('unsuited'))],
  ];
}

function storeRows({ warmHits, warmed, cooled, forgotten }: TranslationStatistics['store']): Row[] {
  return [
    ['  warm: compiled already', thousands(warmHits)],
    ['  from cold to warm and back', `${thousands(warmed)} and ${thousands(cooled)}`],
    ['  forgotten', thousands(forgotten)],
  ];
}

function translationRows(translation: NonNullable<RunStatistics['translation']>): Row[] {
  const { passes = {}, liveBytes, storeBytes } = translation;
  return [
    [
      'translations',
      thousands(translation.translated),
      `${thousands(translation.guestInstructions)} guest instructions`,
    ],
    ['  made too late to be used', thousands(translation.outdated)],
    ...(translation.compilersLost === 0
      ? []
      : [['  compiling threads lost', thousands(translation.compilersLost)] satisfies Row]),
    ['  IR operations', thousands(translation.irOps), perInstruction(translation.irOps, translation)],
    ['  WebAssembly operators', thousands(translation.wasmOps), perInstruction(translation.wasmOps, translation)],
    ['  WebAssembly', kibibytes(translation.wasmBytes), perInstruction(translation.wasmBytes, translation)],
    ['  finding, lifting and passes', milliseconds(translation.discoverMilliseconds)],
    ['  emitting', milliseconds(translation.milliseconds)],
    ['  V8: module and instance', milliseconds(translation.compileMilliseconds)],
    ...Object.entries(passes).map(([name, { opsBefore, opsAfter, nanoseconds }]): Row => [
      `  pass ${name}`,
      milliseconds(nanoseconds / 1e6),
      `${thousands(opsBefore)} to ${thousands(opsAfter)} ops`,
    ]),
    ...(liveBytes === undefined ? [] : [['live WebAssembly', kibibytes(liveBytes)] satisfies Row]),
    ...(storeBytes === undefined ? [] : [['stored WebAssembly', kibibytes(storeBytes)] satisfies Row]),
  ];
}

function cacheRows({ loaded, rejected, saved, bytes }: Readonly<CodeCacheCounters>): Row[] {
  return [
    ['code directory: read', thousands(loaded), rejected > 0 ? 'its file was damaged' : ''],
    ['code directory: written', thousands(saved), kibibytes(bytes)],
  ];
}

function perInstruction(count: number, { guestInstructions }: { readonly guestInstructions: number }): string {
  return guestInstructions === 0 ? '' : `${(count / guestInstructions).toFixed(2)} per guest instruction`;
}

/** The tier timeline: one row for each translation, in the order they were made. */
export function timelineTable({ entries, dropped }: TranslationLog): string {
  const reason = ({ reason: why, reused, generation }: LoggedTranslation): string =>
    [why, ...(reused ? ['from the store'] : []), ...(generation > 0 ? [`generation ${generation}`] : [])].join(', ');
  const table = columns(
    ['at instruction', 'region', 'nodes', 'instructions', 'IR ops', 'bytes', 'why'],
    entries.map((entry) => [
      thousands(entry.at),
      hexAddress(entry.seed),
      String(entry.nodes),
      String(entry.instructions),
      String(entry.irOps),
      String(entry.wasmBytes),
      reason(entry),
    ]),
  );
  return dropped === 0 ? table : `${table}\n${dropped} more are not listed.`;
}
