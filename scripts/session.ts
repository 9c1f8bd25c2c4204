/** What every measuring or judging command shares: where the project is, its settings, its store, and the stop signal. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { ConfigError } from '../emulator/check/errors.ts';
import { loadSettings } from '../emulator/config/load.ts';
import type { OptionKey } from '../emulator/config/option.ts';
import type { Settings } from '../emulator/config/settings.ts';
import { openStore } from '../reports/store/open-store.ts';
import type { ResultStore } from '../reports/store/result-store.ts';
import { pinnedCpu, trialScript } from '../suites/harness/trial-process.ts';
import type { TrialPlace } from '../suites/harness/trial-process.ts';

/** Flags of every such command. */
export interface SessionFlags {
  readonly directory?: string;
  readonly config?: string;
  readonly set?: readonly string[];
}

export interface Session {
  /** Root of the project: it holds `suites/`. */
  readonly directory: string;
  readonly suites: string;
  readonly settings: Settings;
  readonly signal: AbortSignal;
}

const CHECKOUT = dirname(import.meta.dirname);

/** Adds `-C`, `--config` and `--set`. */
export function withSessionFlags(command: Command): Command {
  return command
    .option('-C, --directory <dir>', 'the project to work on (default: this checkout)')
    .option('--config <file>', 'configuration file (default: dyno.config.ts or .json of the project)')
    .option('--set <key=value...>', 'set an option, over file and environment');
}

/** Reads the configuration. From here on Ctrl-C raises the session's signal instead of ending the process. */
export async function openSession(
  flags: SessionFlags,
  own: Readonly<Partial<Record<OptionKey, unknown>>> = {},
): Promise<Session> {
  const directory = resolve(flags.directory ?? CHECKOUT);
  if (!existsSync(directory)) throw new ConfigError('no such directory', { where: directory });
  const settings = await loadSettings({
    directory,
    file: flags.config,
    environment: process.env,
    flags: own,
    assignments: flags.set ?? [],
  });
  return { directory, suites: join(directory, 'suites'), settings, signal: stopSignal() };
}

/** Where and how measuring processes run for this session. @throws ConfigError when the directory cannot measure itself. */
export function placeOf(session: Session, flags: readonly string[] = [], directory = session.directory): TrialPlace {
  if (!existsSync(trialScript(directory)))
    throw new ConfigError('is no checkout of this project: it has no scripts/trial.ts', {
      where: directory,
      mend: 'name one with -C, or none for the checkout that dyno is in',
    });
  return {
    directory,
    flags,
    cpu: session.settings.get('harness.pin') ? pinnedCpu() : undefined,
    timeout: session.settings.get('harness.timeout'),
    signal: session.signal,
  };
}

/** Where results of this session are kept. Outside git that is the directory, whatever `harness.store` says. */
export function storeOf({ directory, settings }: Session): Promise<ResultStore> {
  const folder = resolve(directory, settings.get('harness.directory'));
  return openStore(directory, settings.get('harness.store') === 'git' ? { fallback: folder } : { directory: folder });
}

let controller: AbortController | undefined;

/** One signal a process. A second Ctrl-C ends it at once. */
function stopSignal(): AbortSignal {
  if (controller !== undefined) return controller.signal;
  const created = new AbortController();
  controller = created;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (created.signal.aborted) process.exit(130);
      created.abort(new Error('stopped'));
    });
  }
  return created.signal;
}
