/** Whole processes: a fresh one a sample, metered from outside. */
import { spawn } from 'node:child_process';
import { ConfigError, HostError } from '../../emulator/check/errors.ts';
import type { ProcessSpec } from './define-bench.ts';
import { FEWEST_SAMPLES } from './engine.ts';
import type { EngineResult, EngineRun } from './engine.ts';
import { requireConversion } from './unit.ts';

const LARGEST_OUTPUT = 16 << 20;

export interface ProcessOutcome {
  readonly stdout: string;
  /** Seconds, or KiB for peak memory. */
  readonly value: number;
}

export async function sampleProcesses({ bench, state, sampling }: EngineRun): Promise<EngineResult> {
  const items = bench.items?.(state) ?? 1;
  const start = performance.now();
  const samples: number[] = [];
  let processes = 0;
  while (processes < sampling.samples) {
    const spec = bench.process!(state);
    const outcome = await runProcess(spec, bench.id);
    await bench.check?.(state, outcome.stdout);
    const value = inUnit(spec, outcome.value, bench.unit, bench.id, items);
    processes++;
    // The first process finds cold page caches; it warms them for the rest.
    if (processes > 1 || sampling.samples === 1) samples.push(value);
    if (samples.length >= FEWEST_SAMPLES && performance.now() - start > sampling.time) break;
  }
  return { samples, conditions: { processes } };
}

/** Runs one process to its end. @throws HostError when it cannot start, ends otherwise than it should or floods its output. */
export function runProcess(spec: ProcessSpec, where: string): Promise<ProcessOutcome> {
  const [program, ...rest] = spec.argv;
  const metered = spec.metric === 'peak-memory' || spec.metric === 'user';
  if (metered && program !== 'node') {
    throw new ConfigError(`${spec.metric} of ${program} cannot be metered`, {
      where,
      mend: 'only node reports it exactly',
    });
  }
  const command = program === 'node' ? process.execPath : program;
  const argv = metered ? ['--import', METER, ...rest] : rest;
  return new Promise((resolve, reject) => {
    const start = performance.now();
    let firstOutput: number | undefined;
    const child = spawn(command, argv, {
      env: { ...process.env, ...spec.env },
      stdio: [spec.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', metered ? 'pipe' : 'ignore'],
    });
    const stdout = collect(child.stdout!, () => (firstOutput ??= performance.now()));
    const stderr = collect(child.stderr!);
    const meter = metered ? collect(child.stdio[3] as NodeJS.ReadableStream) : undefined;
    child.stdin?.on('error', () => {
      // The program may end without reading its input; its exit code tells whether that is a fault.
    });
    child.stdin?.end(spec.stdin);
    child.on('error', (cause) => reject(new HostError(`cannot start ${program}`, { where, cause })));
    child.on('close', (code, signal) => {
      const wall = (performance.now() - start) / 1e3;
      if (code !== (spec.exitCode ?? 0)) {
        const said = stderr.text().trim().split('\n').at(-1) ?? '';
        reject(new HostError(`${program} ended with ${signal ?? `exit code ${code}`} ${said}`.trim(), { where }));
        return;
      }
      if (spec.metric === 'first-output' && firstOutput === undefined) {
        reject(new HostError(`${program} printed nothing`, { where }));
        return;
      }
      const usage = meter === undefined ? undefined : (JSON.parse(meter.text()) as { user: number; peak: number });
      const value = {
        wall,
        user: (usage?.user ?? 0) / 1e6,
        'first-output': ((firstOutput ?? start) - start) / 1e3,
        'peak-memory': usage?.peak ?? 0,
      }[spec.metric];
      resolve({ stdout: stdout.text(), value });
    });
  });
}

/** Preloaded into the measured runtime: writes its own resource use to descriptor 3 when it ends, exact where polling is not. */
const METER = `data:text/javascript,${encodeURIComponent(`
import { writeSync } from 'node:fs';
process.on('exit', () => {
  const { userCPUTime, maxRSS } = process.resourceUsage();
  writeSync(3, JSON.stringify({ user: userCPUTime, peak: maxRSS }));
});
`)}`;

function inUnit(spec: ProcessSpec, value: number, unit: string, id: string, items: number): number {
  if (spec.metric !== 'peak-memory') return requireConversion(unit, id)(value, items);
  const scale = { KiB: 1, MiB: 2 ** 10, bytes: 1 / 2 ** 10 }[unit];
  if (scale === undefined) throw new HostError(`unit '${unit}' is not one of KiB, MiB, bytes`, { where: id });
  return value / scale;
}

function collect(stream: NodeJS.ReadableStream, onData?: () => void): { text: () => string } {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.on('data', (chunk: Buffer) => {
    onData?.();
    // Past the limit output is dropped, not kept: the check then fails on a short text instead of the host on memory.
    if (length < LARGEST_OUTPUT) chunks.push(chunk);
    length += chunk.length;
  });
  return { text: () => Buffer.concat(chunks).toString('utf8') };
}
