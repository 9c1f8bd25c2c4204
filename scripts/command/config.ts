import { Command } from 'commander';
import { columns, print, writeWhole } from '../output.ts';
import { openSession, withSessionFlags } from '../session.ts';
import type { SessionFlags } from '../session.ts';

const EXAMPLES = `
Examples:
  dyno config
  DYNO_HARNESS_QUICK_SAMPLES=10 dyno config
  dyno config --set thresholds.regression=15% --json -`;

export function command(): Command {
  return withSessionFlags(new Command('config'))
    .description('Print the merged configuration and where each value came from.')
    .option('--json <file>', 'write it as JSON; - for standard output')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: SessionFlags & { json?: string }) => {
      const { settings } = await openSession(flags);
      const rows = settings.rows();
      if (flags.json !== undefined) {
        const text = `${JSON.stringify({ options: rows, overrides: settings.overrides }, null, 2)}\n`;
        if (flags.json === '-') print(text);
        else await writeWhole(flags.json, text);
        return;
      }
      const cells = rows.map(({ key, value, origin, doc }) => [key, value, origin, doc]);
      print(columns(['option', 'value', 'from', 'meaning'], cells));
      for (const { glob, value } of settings.overrides.thresholds)
        print(`thresholds of '${glob}': ${JSON.stringify(value)}`);
      for (const { glob, value } of settings.overrides.targets) print(`target of '${glob}': ${value}`);
    });
}
