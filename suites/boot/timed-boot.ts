/** Boots as processes, here and in qemu-system-riscv64, watched by what they print. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

export interface BootScenario {
  readonly name: string;
  /** Words that the peers understand alike: name and value in turn. */
  readonly files: readonly string[];
  readonly firmware: string | undefined;
  readonly phases: readonly { readonly name: string; readonly until: string }[];
  /** Typed when the phase after which it can be understood is over. */
  readonly answers: Readonly<Record<string, string>>;
}

/** As users start it. */
const DYNO = [join(import.meta.dirname, '..', '..', 'scripts', 'dyno'), 'emulate', '--machine', 'virt'];
export const QEMU = ['qemu-system-riscv64', '-machine', 'virt', '-nographic', '-no-reboot'] as const;
const LIMIT_MS = 300_000;

/** Seconds from the start of the process until each phase was over and until its end. */
export function timeBoot(argv: readonly string[], { phases, answers }: BootScenario): Promise<readonly number[]> {
  const begin = performance.now();
  const seconds = (): number => (performance.now() - begin) / 1000;
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'], timeout: LIMIT_MS });
  const reached: number[] = [];
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString('latin1');
    for (let next = phases[reached.length]; next !== undefined; next = phases[reached.length]) {
      const at = shown.indexOf(next.until);
      if (at < 0) return;
      shown = shown.slice(at + next.until.length);
      reached.push(seconds());
      const answer = answers[next.name];
      if (answer !== undefined) child.stdin.write(answer);
    }
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0 && reached.length === phases.length) resolve([...reached, seconds()]);
      else
        reject(
          new Error(`${argv[0]} ended with ${code ?? signal} after ${reached.length} phases: ${shown.slice(-300)}`),
        );
    });
  });
}

/** Both with 256 MiB and one hart. `cache`: where translations of earlier boots are, and are kept. */
export function dynoCommand({ firmware, files }: BootScenario, cache?: string): string[] {
  return [
    ...DYNO,
    ...(cache === undefined ? ['--no-cache-dir'] : ['--cache-dir', cache]),
    ...(firmware === undefined ? [] : ['--bios', firmware]),
    ...files.map((word, n) => (n % 2 === 0 ? `--${word}` : word)),
  ];
}

/** It has no SBI of its own and takes the firmware that it comes with. */
export function qemuCommand({ firmware, files }: BootScenario): string[] {
  return [
    ...QEMU,
    '-m',
    '256',
    '-bios',
    firmware ?? 'default',
    ...files.map((word, n) => (n % 2 === 0 ? `-${word}` : word)),
  ];
}
