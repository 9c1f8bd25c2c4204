import { Command } from 'commander';
import { ConfigError } from '../../emulator/check/errors.ts';
import { serializeResultDocument } from '../../reports/schema.ts';
import { machineKey } from '../../reports/machine.ts';
import { fingerprint } from '../../suites/harness/fingerprint.ts';
import { columns, print, writeWhole } from '../output.ts';
import { renderTerminal } from '../../reports/render/terminal.ts';
import { Repository } from '../repository.ts';
import { resolveResult } from '../resolve-result.ts';
import { openSession, storeOf, withSessionFlags } from '../session.ts';
import type { SessionFlags } from '../session.ts';

const EXAMPLES = `
Results are immutable; a baseline is a name that points at one.

Examples:
  dyno baseline list
  dyno baseline save before-tlb            name the newest result of this commit
  dyno baseline save v1 9f3a2b1c44         name a result by its id
  dyno baseline push origin && dyno baseline verify
  dyno baseline prune --keep 50 --dry-run`;

interface Flags extends SessionFlags {
  readonly json?: string;
}

export function command(): Command {
  const parent = new Command('baseline').description('Stored results and their names.').addHelpText('after', EXAMPLES);
  const add = (usage: string, description: string): Command =>
    withSessionFlags(parent.command(usage).description(description)).option(
      '--json <file>',
      'write the answer as JSON; - for standard output',
    );

  add('list', 'all stored results, oldest first').action(async (flags: Flags) => {
    const entries = await (await storeOf(await openSession(flags))).list();
    if (await wroteJson(flags, entries)) return;
    const rows = entries.map(({ id, startedAt, commit, dirty, profile, benchmarks, machine, names }) => {
      const state = `${commit?.slice(0, 10) ?? '(no git)'}${dirty ? ' dirty' : ''}`;
      return [id.slice(0, 12), startedAt, state, profile, String(benchmarks), machine, names.join(', ')];
    });
    const head = ['id', 'taken', 'commit', 'profile', 'benchmarks', 'machine', 'names'];
    print(`${columns(head, rows)}\n${entries.length} results`);
  });

  add('show', 'one stored result')
    .argument('<result>', 'name, commit, id or file')
    .action(async (spec: string, flags: Flags) => {
      const session = await openSession(flags);
      const { document } = await resolveResult(spec, await storeOf(session), session.directory);
      if (!(await wroteJson(flags, document))) print(renderTerminal(document));
    });

  add('save', 'give a name to a stored result')
    .argument('<name>', 'the baseline, such as main or v1')
    .argument('[result]', 'id, name, commit or file; default the newest of this commit and machine')
    .action(async (name: string, spec: string | undefined, flags: Flags) => {
      const session = await openSession(flags);
      const store = await storeOf(session);
      let id: string;
      if (spec === undefined) {
        const commit = await (await Repository.require(session.directory)).requireCommit('HEAD');
        const newest = (await store.list({ commit, machine: machineKey(fingerprint()) })).at(-1);
        if (newest === undefined) {
          throw new ConfigError(`no result is stored for commit ${commit.slice(0, 10)}`, {
            mend: "measure first: 'dyno run'",
          });
        }
        id = newest.id;
      } else {
        id = await store.put((await resolveResult(spec, store, session.directory)).document);
      }
      await store.setName(name, id);
      print(`${name} is ${id.slice(0, 12)}`);
    });

  add('prune', 'remove old results; named ones stay')
    .requiredOption('--keep <n>', 'newest results to keep per machine and profile')
    .option('--dry-run', 'only say what would go')
    .action(async (flags: Flags & { keep: string; dryRun?: boolean }) => {
      const keep = Number(flags.keep);
      if (!Number.isSafeInteger(keep) || keep < 1)
        throw new ConfigError(`'${flags.keep}' is not a count from 1 up`, { where: '--keep' });
      const outcome = await (await storeOf(await openSession(flags))).prune({ keep, dryRun: flags.dryRun ?? false });
      if (await wroteJson(flags, outcome)) return;
      for (const { id, startedAt } of outcome.removed) print(`${id.slice(0, 12)}  ${startedAt}`);
      print(`${outcome.removed.length} ${flags.dryRun === true ? 'would go' : 'removed'}, ${outcome.kept} kept`);
    });

  for (const [verb, said] of [
    ['push', 'sent'],
    ['pull', 'fetched'],
  ] as const) {
    add(verb, verb === 'push' ? 'send results to a remote' : 'fetch results from a remote')
      .argument('[remote]', 'a remote of this repository, or a path or URL', 'origin')
      .action(async (remote: string, flags: Flags) => {
        const outcome = await (await storeOf(await openSession(flags)))[verb](remote);
        if (!(await wroteJson(flags, outcome))) print(`${outcome.runs} results ${said}`);
      });
  }

  add('verify', 'read every stored result and check it').action(async (flags: Flags) => {
    const outcome = await (await storeOf(await openSession(flags))).verify();
    if (!(await wroteJson(flags, outcome))) {
      for (const problem of outcome.problems) print(problem);
      print(`${outcome.checked} checked, ${outcome.problems.length} damaged`);
    }
    if (outcome.problems.length > 0) throw new ConfigError(`${outcome.problems.length} stored results are damaged`);
  });

  add('import', 'store a result file')
    .argument('<file>', 'as written by --json')
    .action(async (file: string, flags: Flags) => {
      const id = await (await storeOf(await openSession(flags))).importFile(file);
      print(`stored as ${id.slice(0, 12)}`);
    });

  add('export', 'write a stored result to a file')
    .argument('<result>', 'name, commit or id')
    .argument('<file>', 'where to')
    .action(async (spec: string, file: string, flags: Flags) => {
      const session = await openSession(flags);
      const { document } = await resolveResult(spec, await storeOf(session), session.directory);
      await writeWhole(file, serializeResultDocument(document));
      print(`wrote ${file}`);
    });
  return parent;
}

async function wroteJson({ json }: Flags, value: unknown): Promise<boolean> {
  if (json === undefined) return false;
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (json === '-') print(text);
  else await writeWhole(json, text);
  return true;
}
