/** Starts a measuring process, reads what it says and bounds its time. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { HostError } from '../../emulator/check/errors.ts';
import { TRIAL_PROTOCOL } from './trial-protocol.ts';
import type { TrialMessage, TrialRequest } from './trial-protocol.ts';

export interface TrialPlace {
  /** Root of the checkout whose code is measured. */
  readonly directory: string;
  /** Runtime flags of the process. */
  readonly flags: readonly string[];
  /** CPU to pin to; undefined leaves placement to the system. */
  readonly cpu?: number | undefined;
  /** Folder in which compiled modules are kept between processes; absent, each compiles its own. */
  readonly compiled?: string | undefined;
  /** Milliseconds. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/** `scripts/trial.ts` of a checkout. */
export function trialScript(directory: string): string {
  return join(directory, 'scripts', 'trial.ts');
}

/**
 * Runs one process over the request and hands each message on as it comes.
 * @throws HostError when the process cannot start, speaks another protocol, dies, or runs out of time.
 */
export function runTrial(
  request: TrialRequest,
  place: TrialPlace,
  onMessage: (message: TrialMessage) => void,
): Promise<void> {
  const node = [...place.flags, trialScript(place.directory), JSON.stringify(request)];
  const [command, argv] =
    place.cpu === undefined
      ? [process.execPath, node]
      : ['taskset', ['--cpu-list', String(place.cpu), process.execPath, ...node]];
  const where = request.ids.join(', ') || request.root;
  return new Promise((resolve, reject) => {
    const child = spawn(command, argv, {
      cwd: place.directory,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C reaches the controller only, which then ends the process and whatever it started.
      detached: true,
      ...(place.compiled === undefined ? {} : { env: { ...process.env, NODE_COMPILE_CACHE: place.compiled } }),
    });
    const kill = (): void => killGroup(child.pid);
    place.signal?.addEventListener('abort', kill, { once: true });
    if (place.signal?.aborted === true) kill();
    let done = false;
    let refused: string | undefined;
    let failure: Error | undefined;
    let timedOut = false;
    let complaint = '';
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, place.timeout);
    // What a benchmark prints is not a result: it is drained, and the end of stderr is kept for the message of a crash.
    child.stdout!.resume();
    child.stderr!.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(-4000)));
    readLines(child.stdio[3] as NodeJS.ReadableStream, (line) => {
      const message = JSON.parse(line) as TrialMessage;
      if (message.type === 'done') done = message.protocol === TRIAL_PROTOCOL;
      else if (message.type === 'refused') refused = message.line;
      else onMessage(message);
    }).catch((cause: unknown) => {
      failure = new HostError('a measuring process sent what is not a message', { where, cause });
      kill();
    });
    child.on('error', (cause) => (failure = new HostError(`cannot run ${command}`, { where, cause })));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      place.signal?.removeEventListener('abort', kill);
      // What the benchmark left running must not disturb the next one.
      kill();
      if (place.signal?.aborted === true) reject(place.signal.reason as Error);
      else if (timedOut) reject(new HostError(`took more than ${place.timeout / 1000} s and was stopped`, { where }));
      else if (failure !== undefined) reject(failure);
      else if (refused !== undefined) reject(new HostError(refused));
      else if (!done || code !== 0)
        reject(new HostError(`the process ended with ${signal ?? `exit code ${code}`}${reason(complaint)}`, { where }));
      else resolve();
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // Gone already, as it should be.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The CPU measuring processes are pinned to: the last this process may use, away from where interrupts tend to land. */
export function pinnedCpu(): number | undefined {
  return usableCpus().at(-1);
}

/** The CPUs this process may use; none where taskset is missing. */
export function usableCpus(): readonly number[] {
  const answer = spawnSync('taskset', ['--cpu-list', '--pid', String(process.pid)], { encoding: 'utf8' });
  return answer.status === 0 ? parseCpuList(answer.stdout.slice(answer.stdout.lastIndexOf(':') + 1)) : [];
}

/** Reads `0,2-4` (taskset(1)); ranges with a stride are read as their ends. */
export function parseCpuList(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [, first, last] = /^\s*([0-9]+)(?:-([0-9]+))?\s*$/.exec(part) ?? [];
    if (first === undefined) return [];
    const end = Number(last ?? first);
    return Array.from({ length: Math.min(4096, Math.max(0, end - Number(first) + 1)) }, (_, i) => Number(first) + i);
  });
}

async function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): Promise<void> {
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  }
}

/** The line of a crash report that says what happened. */
function reason(complaint: string): string {
  const lines = complaint.split('\n').map((line) => line.trim());
  const said =
    lines.find((line) => /^[A-Za-z]*(?:Error|Failure)\b.*:/.test(line)) ?? lines.findLast((line) => line !== '');
  return said === undefined ? '' : `: ${said}`;
}
