import { Command } from 'commander';
import { listBenchmarks } from '../../suites/harness/runner.ts';
import { selectBenchmarks } from '../../suites/harness/select.ts';
import { columns, print, writeWhole } from '../output.ts';
import { openSession, placeOf, withSessionFlags } from '../session.ts';
import type { SessionFlags } from '../session.ts';

const EXAMPLES = `
A FILTER is a glob over ids, a leading part of an id, or tag:NAME.

Examples:
  dyno list
  dyno list harness/statistics 'isa/**/decode'
  dyno list --ids | wc -l`;

export function command(): Command {
  return withSessionFlags(new Command('list'))
    .description('List the benchmarks of the suites.')
    .argument('[filter...]', 'which benchmarks')
    .option('--ids', 'ids only, one a line')
    .option('--json <file>', 'write the list as JSON; - for standard output')
    .addHelpText('after', EXAMPLES)
    .action(async (filters: string[], flags: SessionFlags & { ids?: boolean; json?: string }) => {
      const session = await openSession(flags);
      const benches = selectBenchmarks(await listBenchmarks(placeOf(session), session.suites), filters);
      if (flags.json !== undefined) {
        const text = `${JSON.stringify(benches, null, 2)}\n`;
        if (flags.json === '-') print(text);
        else await writeWhole(flags.json, text);
      } else if (flags.ids === true) {
        print(benches.map(({ id }) => id).join('\n'));
      } else {
        const rows = benches.map(({ id, title, unit, engine, target }) => {
          return [id, title, unit, engine, target === undefined ? '' : `${target.value} (${target.from})`];
        });
        print(`${columns(['id', 'title', 'unit', 'engine', 'target'], rows)}\n${benches.length} benchmarks`);
      }
    });
}
