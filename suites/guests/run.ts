/**
 * Runs a guest program outside our emulator: natively, under qemu's user mode, or as a WebAssembly module in this
 * process. The oracle for the emulator's runs and the yardstick beside its times.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { ensureGuest } from './build.ts';
import { guestArguments } from './guests.ts';
import type { Guest, GuestIsa, GuestScale } from './guests.ts';

export interface GuestRun {
  readonly output: string;
  /** 128 + n after signal n, as a shell says it. */
  readonly status: number;
  /** Wall time of the process, or of the module's `run` (without compiling it). */
  readonly milliseconds: number;
}

const TIMEOUT_MS = 120_000;
const NATIVE: Readonly<Record<string, GuestIsa>> = { x64: 'x86_64', arm64: 'aarch64', riscv64: 'riscv64' };

/** Runs `guest`. `absent` with a reason when its program or what would run it is not on this machine. */
export async function runGuest(guest: Guest, isa: GuestIsa, scale: GuestScale): Promise<GuestRun | { absent: string }> {
  const program = await ensureGuest(guest, isa);
  if ('absent' in program) return program;
  if (isa === 'wasm32') return runModule(program.path, moduleScale(guest, scale));
  const args = guestArguments(guest, scale);
  if (process.platform === 'linux' && NATIVE[process.arch] === isa) return runProgram(program.path, args);
  return runProgram(`qemu-${isa}`, [program.path, ...args]);
}

/** The argument of a module's `run`: `guest.h` takes 0 for the smoke scale and -1 for the default one. */
export function moduleScale(guest: Guest, scale: GuestScale): number {
  if (scale === 'quick' || scale === 'long') return guest[scale];
  return scale === 'smoke' ? 0 : -1;
}

/** Runs a module built from `guest.h`: one import that takes text, one export `run(scale)` that gives the status. */
export async function runModule(path: string, scale: number): Promise<GuestRun> {
  const chunks: Uint8Array[] = [];
  const write = (address: number, length: number): void => {
    const memory = exports['memory'] as WebAssembly.Memory;
    chunks.push(new Uint8Array(memory.buffer, address >>> 0, length >>> 0).slice());
  };
  const module = await WebAssembly.compile(new Uint8Array(await readFile(path)));
  const { exports } = new WebAssembly.Instance(module, { guest: { write } });
  const run = exports['run'] as (scale: number) => number;
  const start = performance.now();
  const status = run(scale);
  const milliseconds = performance.now() - start;
  return { output: Buffer.concat(chunks).toString('utf8'), status, milliseconds };
}

function runProgram(program: string, args: readonly string[]): Promise<GuestRun | { absent: string }> {
  return new Promise((settle, reject) => {
    const start = performance.now();
    execFile(program, args, { timeout: TIMEOUT_MS }, (error, stdout) => {
      const milliseconds = performance.now() - start;
      if (error === null) settle({ output: stdout, status: 0, milliseconds });
      else if (error.code === 'ENOENT') settle({ absent: `${program} is not installed` });
      else if (error.killed) reject(new Error(`${program} ${args.join(' ')} did not end in ${TIMEOUT_MS / 1000} s`));
      else if (typeof error.code === 'number') settle({ output: stdout, status: error.code, milliseconds });
      else reject(error);
    });
  });
}
