import { Command } from 'commander';
import type { BenchmarkResult } from '../../reports/schema.ts';
import { selectBenchmarks } from '../../suites/harness/select.ts';
import { judgeDocuments } from '../judge.ts';
import { deliverComparison, withComparisonFlags } from '../render.ts';
import type { ComparisonFlags } from '../render.ts';
import { resolveResult } from '../resolve-result.ts';
import type { ResolvedResult } from '../resolve-result.ts';
import { openSession, storeOf, withSessionFlags } from '../session.ts';
import type { SessionFlags } from '../session.ts';

const EXAMPLES = `
BASE and HEAD are results that are stored already: a commit, a baseline's name, a result's id or a file. Counters are
compared exactly. Times of two runs carry the noise between processes; most rows say so. To judge a change, use 'dyno gate'.

Exit codes: 0 pass, 1 regression, 2 error, 3 could not tell, 4 nothing compared.

Examples:
  dyno compare main HEAD
  dyno compare before results.json harness/statistics --html comparison.html`;

export function command(): Command {
  return withComparisonFlags(withSessionFlags(new Command('compare')))
    .description('Compare two stored results.')
    .argument('<base>', 'commit, baseline, id or file')
    .argument('<head>', 'commit, baseline, id or file')
    .argument('[filter...]', 'which benchmarks')
    .addHelpText('after', EXAMPLES)
    .action(async (baseSpec: string, headSpec: string, filters: string[], flags: SessionFlags & ComparisonFlags) => {
      const session = await openSession(flags);
      const store = await storeOf(session);
      const base = await resolveResult(baseSpec, store, session.directory);
      const head = await resolveResult(headSpec, store, session.directory);
      const chosen = chosenIds([...base.document.results, ...head.document.results], filters);
      const comparison = judgeDocuments(narrowed(base, chosen), narrowed(head, chosen), session.settings);
      await deliverComparison(comparison, flags);
      process.exitCode = comparison.exitCode;
    });
}

function chosenIds(results: readonly BenchmarkResult[], filters: readonly string[]): ReadonlySet<string> {
  return new Set(selectBenchmarks(results, filters).flatMap(({ id, aliases }) => [id, ...aliases]));
}

function narrowed({ document, label }: ResolvedResult, ids: ReadonlySet<string>): ResolvedResult {
  return { label, document: { ...document, results: document.results.filter(({ id }) => ids.has(id)) } };
}
