/** What `emulate --stats` and `--timeline` print for people. */
import type { UserResult } from '../emulator/machine/user.ts';
import type { LoggedTranslation, TranslationLog } from '../emulator/machine/translation-log.ts';
import { columns, hexAddress } from './output.ts';

type Row = readonly [what: string, value: string, share?: string];

const thousands = (count: number): string => count.toLocaleString('en-US');
const percent = (part: number, whole: number): string => (whole === 0 ? '–' : `${((100 * part) / whole).toFixed(2)} %`);
const milliseconds = (time: number): string => `${time.toFixed(1)} ms`;
const kibibytes = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;

/** Instructions by tier, the three levels of the translation cache, times and memory, as a table. */
export function statisticsTable(result: UserResult): string {
  const { vcpu, counters, seconds, translation, cache } = result;
  const instructions = counters.instructions;
  const of = (name: string): number => vcpu[name] ?? 0;
  const inRegions = of('regionInstructions');
  const rows: Row[] = [
    ['instructions', thousands(instructions), `${(instructions / seconds / 1e6).toFixed(0)} MIPS`],
    ['  in the interpreter', thousands(instructions - inRegions), percent(instructions - inRegions, instructions)],
    ['  in regions', thousands(inRegions), percent(inRegions, instructions)],
    ['seconds', seconds.toFixed(3)],
  ];
  if (translation !== undefined) {
    // Whoever leaves a region asks the jump cache, and so does the interpreter where a region begins.
    const lookups = of('chained') + of('chainMisses');
    const { translated, reused } = translation;
    rows.push(
      ['regions installed', thousands(of('regions')), `${translation.liveRegions} live at the end`],
      ['  evicted or invalidated', thousands(of('regionsDropped'))],
      ['jumps between regions', thousands(lookups)],
      ['  level 1: jump cache', thousands(of('chained')), percent(of('chained'), lookups)],
      ['  level 2: live regions', thousands(of('chainRefills')), percent(of('chainRefills'), lookups)],
      [
        '  to code without a region',
        thousands(lookups - of('chained') - of('chainRefills')),
        percent(lookups - of('chained') - of('chainRefills'), lookups),
      ],
      ['level 3: stored code', thousands(reused), percent(reused, reused + translated)],
      ['  warm: compiled already', thousands(translation.store.warmHits)],
      [
        '  from cold to warm and back',
        `${thousands(translation.store.warmed)} and ${thousands(translation.store.cooled)}`,
      ],
      [
        '  prefetched',
        thousands(of('prefetched')),
        of('prefetched') === 0 ? '' : `${thousands(translation.prefetchedUnused + of('prefetchedInVain'))} in vain`,
      ],
      ['  forgotten', thousands(translation.store.forgotten)],
      ['region entries from outside', thousands(of('regionEntries'))],
      ['instructions given back', thousands(of('refusals')), percent(of('refusals'), inRegions)],
      ['entries refused', thousands(of('unsuited'))],
      ['translations', thousands(translated), `${thousands(translation.guestInstructions)} guest instructions`],
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
      ...Object.entries(translation.passes).map(([name, { opsBefore, opsAfter, nanoseconds }]): Row => [
        `  pass ${name}`,
        milliseconds(nanoseconds / 1e6),
        `${thousands(opsBefore)} to ${thousands(opsAfter)} ops`,
      ]),
      ['live WebAssembly', kibibytes(translation.liveBytes)],
      ['stored WebAssembly', kibibytes(translation.storeBytes)],
    );
  }
  if (cache !== undefined)
    rows.push(
      ['code directory: read', thousands(cache.loaded), cache.rejected > 0 ? 'its file was damaged' : ''],
      ['code directory: written', thousands(cache.saved), kibibytes(cache.bytes)],
    );
  rows.push(['resident memory', `${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`]);
  return columns(
    ['', '', ''],
    rows.map(([what, value, share = '']) => [what, value, share]),
  );
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
