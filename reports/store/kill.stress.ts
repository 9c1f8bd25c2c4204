/**
 * Kills a writing process group at random moments and checks that nothing acknowledged is lost and the next write goes through.
 *
 *     node reports/store/kill.stress.ts [KILLS=1000] [git|directory]
 *
 * The writer prints an id only after `put` resolved. Exit code 1 when a run is lost, damaged or a write is blocked.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { sampleDocument } from '../sample-document.ts';
import { DirectoryStore } from './directory-store.ts';
import { GitStore } from './git-store.ts';
import type { ResultStore } from './result-store.ts';
import { scratchDirectory, scratchRepository } from './scratch-repository.ts';

export type StoreKind = 'git' | 'directory';

export interface KillOutcome {
  readonly kills: number;
  readonly acknowledged: number;
  /** Acknowledged, but not readable afterwards. */
  readonly lost: number;
  readonly problems: readonly string[];
  /** Kills that left the ref's lock behind. */
  readonly locksLeft: number;
  /** The longest the first write after a kill took, in ms. */
  readonly slowestNextWrite: number;
}

/** Each round starts a writer, kills it at a random moment, then times one write of our own. */
export async function killWriters(kind: StoreKind, kills: number, random: () => number): Promise<KillOutcome> {
  using place = kind === 'git' ? scratchRepository() : scratchDirectory();
  const acknowledged = new Set<string>();
  let locksLeft = 0;
  let slowestNextWrite = 0;
  for (let kill = 0; kill < kills; kill++) {
    await writeUntilKilled(kind, place.path, kill, random, (id) => acknowledged.add(id));
    if (existsSync(join(place.path, '.git', 'refs', 'dyno', 'results.lock'))) locksLeft++;
    const startedAt = performance.now();
    const store = await openKind(kind, place.path);
    acknowledged.add(await store.put(sampleDocument({ runId: `after-${kill}` })));
    slowestNextWrite = Math.max(slowestNextWrite, performance.now() - startedAt);
  }
  const store = await openKind(kind, place.path);
  const present = new Set((await store.list()).map(({ id }) => id));
  const lost = [...acknowledged].filter((id) => !present.has(id)).length;
  // An unlisted document of a killed writer is no loss: its `put` never resolved.
  const problems = (await store.verify()).problems.filter((problem) => !problem.endsWith('store the run again'));
  return { kills, acknowledged: acknowledged.size, lost, problems, locksLeft, slowestNextWrite };
}

async function openKind(kind: StoreKind, path: string): Promise<ResultStore> {
  return kind === 'git' ? GitStore.open(path) : new DirectoryStore(join(path, 'store'));
}

function writeUntilKilled(
  kind: StoreKind,
  path: string,
  round: number,
  random: () => number,
  acknowledge: (id: string) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // Its own process group, so that the kill takes the git it runs with it.
    const argv = [import.meta.filename, '--write', kind, path, String(round)];
    const child = spawn(process.execPath, argv, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    let armed = false;
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line !== 'ready') acknowledge(line);
      if (armed) return;
      armed = true;
      setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), random() * 300);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal === 'SIGKILL') resolve();
      else reject(new Error(`the writer ended by itself (${signal ?? code})`));
    });
  });
}

async function writeForever(kind: StoreKind, path: string, round: string): Promise<never> {
  const store = await openKind(kind, path);
  process.stdout.write('ready\n');
  for (let number = 0; ; number++) {
    const id = await store.put(sampleDocument({ runId: `run-${round}-${number}` }));
    process.stdout.write(`${id}\n`);
  }
}

if (import.meta.main) {
  const [first = '1000', kind = 'git', path = '', round = ''] = process.argv.slice(2);
  if (first === '--write') await writeForever(kind as StoreKind, path, round);
  const outcome = await killWriters(kind as StoreKind, Number(first), Math.random);
  console.log(JSON.stringify(outcome, null, 2));
  if (outcome.lost > 0 || outcome.problems.length > 0) process.exitCode = 1;
}
