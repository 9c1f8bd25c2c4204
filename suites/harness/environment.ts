/** Is this machine fit to measure on: a list of findings, each with what to do about it. */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, freemem, loadavg, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { stolenTicks } from './conditions.ts';
import { pinnedCpu } from './trial-process.ts';

export interface Finding {
  readonly name: string;
  /** `unknown` where this system does not tell. */
  readonly state: 'good' | 'poor' | 'unknown';
  readonly value: string;
  /** What to do; empty when all is well. */
  readonly advice: string;
}

/** Watches stolen time for this long, in milliseconds. */
const STEAL_WATCH = 500;
const TICKS_PER_SECOND = 100;

export async function inspectEnvironment(): Promise<Finding[]> {
  return [
    frequencyGovernor(readEach('/sys/devices/system/cpu', /^cpu[0-9]+$/, 'cpufreq/scaling_governor')),
    turbo(readText('/sys/devices/system/cpu/intel_pstate/no_turbo')),
    load(loadavg()[0]!, availableParallelism()),
    memory(availableMemory(), totalmem()),
    await steal(),
    pinning(pinnedCpu()),
    debugFlags(process.execArgv, process.env['NODE_OPTIONS']),
    cpuQuota(readText('/sys/fs/cgroup/cpu.max')),
  ];
}

export function frequencyGovernor(governors: readonly string[]): Finding {
  const name = 'frequency governor';
  if (governors.length === 0)
    return { name, state: 'unknown', value: 'not shown (usual in a virtual machine)', advice: '' };
  const kinds = [...new Set(governors)];
  const value = kinds.join(', ');
  if (kinds.every((kind) => kind === 'performance')) return { name, state: 'good', value, advice: '' };
  return { name, state: 'poor', value, advice: 'cpupower frequency-set -g performance' };
}

export function turbo(noTurbo: string | undefined): Finding {
  const name = 'turbo';
  if (noTurbo === undefined) return { name, state: 'unknown', value: 'not shown', advice: '' };
  if (noTurbo === '1') return { name, state: 'good', value: 'off', advice: '' };
  return {
    name,
    state: 'poor',
    value: 'on',
    advice: 'the clock follows the temperature; switch it off for stored baselines',
  };
}

export function load(average: number, cores: number): Finding {
  const name = 'load';
  const value = `${average.toFixed(2)} on ${cores} cores`;
  if (average <= cores * 0.3) return { name, state: 'good', value, advice: '' };
  return { name, state: 'poor', value, advice: 'end other programs, or expect wide intervals' };
}

export function memory(available: number, total: number): Finding {
  const name = 'memory';
  const value = `${Math.round(available / 2 ** 20)} of ${Math.round(total / 2 ** 20)} MiB available`;
  if (available >= Math.min(2 ** 30, total / 4)) return { name, state: 'good', value, advice: '' };
  return { name, state: 'poor', value, advice: 'free some: a machine that swaps measures its disk' };
}

export function pinning(cpu: number | undefined): Finding {
  const name = 'pinning';
  if (cpu !== undefined) return { name, state: 'good', value: `measuring processes run on CPU ${cpu}`, advice: '' };
  return { name, state: 'poor', value: 'no taskset', advice: 'install util-linux, or live with migrations' };
}

export function debugFlags(argv: readonly string[], nodeOptions: string | undefined): Finding {
  const name = 'runtime flags';
  const flags = [...argv, ...(nodeOptions ?? '').split(/\s+/)].filter((flag) => flag !== '');
  const slow = flags.filter((flag) =>
    /^--(?:inspect|jitless|no-opt|prof|cpu-prof|trace|enable-source-maps)/.test(flag),
  );
  if (slow.length === 0) return { name, state: 'good', value: flags.join(' ') || 'none', advice: '' };
  return {
    name,
    state: 'poor',
    value: slow.join(' '),
    advice: 'take them away (NODE_OPTIONS?): they slow the code measured',
  };
}

/** `cpu.max` of cgroup v2: quota and period in µs. */
export function cpuQuota(cpuMax: string | undefined): Finding {
  const name = 'CPU quota';
  const [quota, period] = cpuMax?.split(' ') ?? [];
  if (quota === undefined || period === undefined) return { name, state: 'unknown', value: 'not shown', advice: '' };
  if (quota === 'max') return { name, state: 'good', value: 'none', advice: '' };
  const cores = Number(quota) / Number(period);
  return {
    name,
    state: 'poor',
    value: `${cores.toFixed(2)} CPUs a period`,
    advice: 'a throttled group stops in mid-sample; lift the quota',
  };
}

async function steal(): Promise<Finding> {
  const name = 'stolen time';
  const before = stolenTicks();
  await sleep(STEAL_WATCH);
  const after = stolenTicks();
  if (before === undefined || after === undefined) return { name, state: 'unknown', value: 'not shown', advice: '' };
  const share = (after - before) / ((STEAL_WATCH / 1000) * TICKS_PER_SECOND * availableParallelism());
  const value = `${(share * 100).toFixed(1)} % in ${STEAL_WATCH} ms`;
  if (share < 0.01) return { name, state: 'good', value, advice: '' };
  return { name, state: 'poor', value, advice: 'neighbours on this host take CPU time; measure in pairs (dyno gate)' };
}

/** Linux counts caches that can be dropped as available; `freemem` does not everywhere. */
function availableMemory(): number {
  const kibibytes = /^MemAvailable:\s+([0-9]+) kB/m.exec(readText('/proc/meminfo') ?? '')?.[1];
  return kibibytes === undefined ? freemem() : Number(kibibytes) * 1024;
}

function readEach(folder: string, names: RegExp, path: string): string[] {
  let entries: string[];
  try {
    entries = readdirSync(folder).filter((name) => names.test(name));
  } catch {
    // No such folder on this system: nothing to read is the answer.
    return [];
  }
  return entries.map((name) => readText(`${folder}/${name}/${path}`)).filter((text) => text !== undefined);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // Absent on this system; the finding then says `unknown`.
    return undefined;
  }
}
