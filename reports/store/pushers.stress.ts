/**
 * Many clones that store and push to one bare repository at the same time; all results must arrive.
 *
 *     node reports/store/pushers.stress.ts [PUSHERS=16] [RESULTS=25]
 *
 * Exit code 1 when one is missing at the remote.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { sampleDocument } from '../sample-document.ts';
import { GitStore } from './git-store.ts';
import { git, scratchDirectory } from './scratch-repository.ts';

export interface PushOutcome {
  readonly expected: number;
  readonly arrived: number;
  readonly problems: readonly string[];
  readonly seconds: number;
}

/** Every pusher is a process of its own with a clone of its own. */
export async function pushFromMany(pushers: number, results: number): Promise<PushOutcome> {
  using place = scratchDirectory();
  const bare = join(place.path, 'shared.git');
  git(place.path, 'init', '--quiet', '--bare', bare);
  for (let pusher = 0; pusher < pushers; pusher++) git(place.path, 'clone', '--quiet', bare, `clone-${pusher}`);
  const startedAt = performance.now();
  const clones = Array.from({ length: pushers }, (_, pusher) => join(place.path, `clone-${pusher}`));
  await Promise.all(clones.map((clone, pusher) => runPusher(clone, pusher, results)));
  const seconds = (performance.now() - startedAt) / 1000;
  const store = await GitStore.open(bare);
  const arrived = new Set((await store.list()).map(({ runId }) => runId)).size;
  return { expected: pushers * results, arrived, problems: (await store.verify()).problems, seconds };
}

function runPusher(clone: string, pusher: number, results: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const argv = [import.meta.filename, '--push', clone, String(pusher), String(results)];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`pusher ${pusher} ended with ${code}`))));
  });
}

async function pushAll(clone: string, pusher: string, results: number): Promise<void> {
  const store = await GitStore.open(clone, { deadline: 1_200_000 });
  for (let number = 0; number < results; number++) {
    await store.put(sampleDocument({ runId: `pusher-${pusher}-${number}` }));
    await store.push('origin');
  }
}

if (import.meta.main) {
  const [first = '16', second = '25', third = '', fourth = ''] = process.argv.slice(2);
  if (first === '--push') {
    await pushAll(second, third, Number(fourth));
  } else {
    const outcome = await pushFromMany(Number(first), Number(second));
    console.log(JSON.stringify(outcome, null, 2));
    if (outcome.arrived !== outcome.expected || outcome.problems.length > 0) process.exitCode = 1;
  }
}
