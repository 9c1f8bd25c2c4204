import { Command } from 'commander';
import { mergeShards, serializeResultDocument } from '../../reports/schema.ts';
import { readResultFile } from '../../reports/store/tree-store.ts';
import { print, writeWhole } from '../output.ts';
import { openSession, storeOf, withSessionFlags } from '../session.ts';
import type { SessionFlags } from '../session.ts';

const EXAMPLES = `
Examples:
  dyno run --shard 1/2 --json one.json      on one machine
  dyno run --shard 2/2 --json two.json      on another one like it
  dyno merge one.json two.json --json whole.json`;

export function command(): Command {
  return withSessionFlags(new Command('merge'))
    .description('Join the results of all shards of a run.')
    .argument('<file...>', 'one result file a shard, in any order')
    .option('--json <file>', 'write the whole result here; otherwise it is stored')
    .addHelpText('after', EXAMPLES)
    .action(async (files: string[], flags: SessionFlags & { json?: string }) => {
      const documents = [];
      for (const file of files) documents.push(await readResultFile(file));
      const whole = mergeShards(documents);
      if (flags.json !== undefined) {
        await writeWhole(flags.json, serializeResultDocument(whole));
        print(`wrote ${whole.results.length} benchmarks of ${files.length} shards to ${flags.json}`);
        return;
      }
      const id = await (await storeOf(await openSession(flags))).put(whole);
      print(`stored ${whole.results.length} benchmarks of ${files.length} shards as ${id.slice(0, 12)}`);
    });
}
