import { assert } from '../check/assert.ts';
import { ExitReason } from '../layout/state.ts';
import { Errno } from '../check/errno.ts';
import type { OpenFile } from './file.ts';
import type { FileSystem } from './filesystem.ts';
import type { KernelCounters, Outcome } from './outcome.ts';
import type { Process, ProcessEnd, Program, Waiting } from './process.ts';
import { type ProcessOptions, ProcessTable } from './process-table.ts';
import { NO_RESULT, type Arguments, type Services } from './services.ts';
import { ActionFlag, signalName } from './signal.ts';
import { SignalDelivery } from './signal-delivery.ts';
import { leaveHandler } from './signal-frame.ts';
import { SYSTEM_CALLS } from './syscall/table.ts';
import { TRANSFER_CALLS } from './syscall/transfer.ts';

export interface KernelOptions extends ProcessOptions {
  readonly files: FileSystem;
  readonly maximumInstructions: number;
  /** Host milliseconds until the run is ended; Infinity for none. */
  readonly timeout: number;
  readonly now: () => number;
}

/** Instructions a process runs before another one gets its turn, and before the time limit is looked at. */
const SLICE = 4_000_000;
/** Calls that look at files or hand memory on: shared mappings are written back before them and read again after them. */
const SHARING_CALLS: ReadonlySet<string> = new Set([
  ...Object.keys(TRANSFER_CALLS),
  'msync',
  'fsync',
  'fdatasync',
  'ftruncate',
  'truncate',
]);

/** A small Linux: processes, their scheduling, signals; the system calls are in `syscall/`. */
export class Kernel implements Services {
  readonly options: KernelOptions;
  readonly counters: KernelCounters = {
    instructions: 0,
    systemCalls: new Map(),
    unknown: new Map(),
    forks: 0,
    programs: 0,
    signals: 0,
  };
  readonly #table: ProcessTable;
  readonly #signals: SignalDelivery;

  constructor(options: KernelOptions) {
    this.options = options;
    this.#table = new ProcessTable(options, this.counters);
    this.#signals = new SignalDelivery(options.abi, this);
  }

  /** Makes the first process. Throws ImageError for a program that cannot run. */
  start(
    program: Program,
    argv: readonly string[],
    environment: readonly string[],
    stdio: readonly OpenFile[],
    directory: string,
  ): Process {
    return this.#table.start(program, argv, environment, stdio, directory);
  }

  /** Runs until the first process has ended, a limit is reached or nothing can go on any more. */
  run(): Outcome {
    const { main } = this.#table;
    assert(main, 'start comes before run');
    const deadline = this.options.now() + this.options.timeout;
    for (;;) {
      let progressed = false;
      for (const process of this.#table.all.slice()) {
        if (process.end) continue;
        this.#signals.checkAlarm(process);
        if (process.waiting && !this.#tryWaiting(process)) continue;
        progressed = true;
        const left = this.options.maximumInstructions - this.counters.instructions;
        if (left <= 0) return { kind: 'limit', limit: 'instructions' };
        this.#runSlice(process, Math.min(SLICE, left));
        if (main.end) return this.#outcome(main, main.end);
      }
      if (main.end) return this.#outcome(main, main.end);
      if (this.options.now() >= deadline) return { kind: 'limit', limit: 'timeout' };
      if (!progressed && !this.#rest(deadline)) return { kind: 'deadlock' };
    }
  }

  /** Closes what is still open. */
  shutdown(): void {
    this.#table.shutdown();
  }

  monotonic(): bigint {
    return this.options.surroundings.monotonic(this.counters.instructions);
  }

  realtime(): bigint {
    return this.options.surroundings.realtime(this.counters.instructions);
  }

  processes(): readonly Process[] {
    return this.#table.all.filter((process) => !process.end);
  }

  find(pid: number): Process | undefined {
    return this.#table.find(pid);
  }

  childrenOf(parent: Process): readonly Process[] {
    return this.#table.childrenOf(parent);
  }

  reap(child: Process): void {
    this.#table.reap(child);
  }

  fork(parent: Process): Process | undefined {
    return this.#table.fork(parent);
  }

  execute(process: Process, program: Program, argv: readonly string[], environment: readonly string[]): void {
    this.#table.execute(process, program, argv, environment);
  }

  terminate(process: Process, end: ProcessEnd): void {
    this.#table.terminate(process, end);
  }

  leaveHandler(process: Process): boolean {
    return leaveHandler(this.options.abi, process);
  }

  #runSlice(process: Process, budget: number): void {
    const { shared } = process.space;
    // A process that is alone has nobody to see its stores before it looks at the files itself.
    if (shared.size > 0 && this.#table.all.length > 1) shared.pull();
    let left = budget;
    while (left > 0 && !process.end && !process.waiting) {
      const before = process.cpu.instructions();
      const { cpu } = process;
      const reason = cpu.run(left);
      const done = cpu.instructions() - before;
      left -= done;
      this.counters.instructions += done;
      if (reason === ExitReason.budget) break;
      if (reason === ExitReason.trap && cpu.cause === this.options.abi.callCause) {
        // The call itself retires, and counts, though the vCPU left before it did.
        left--;
        this.counters.instructions++;
        this.#call(process);
      } else if (reason === ExitReason.trap || reason === ExitReason.fault) this.#signals.fault(process, reason);
      if (process.signals.interrupting && !process.end && !process.waiting) this.#signals.deliver(process);
    }
    if (process.space.shared.size > 0 && this.#table.all.length > 1) process.space.shared.push();
  }

  #call(process: Process): void {
    const { abi } = this.options;
    const { state } = process.cpu;
    const number = abi.callNumber(state);
    const name = abi.systemCalls[number] ?? `#${number}`;
    this.counters.systemCalls.set(name, (this.counters.systemCalls.get(name) ?? 0) + 1);
    const handler = SYSTEM_CALLS.get(name);
    if (!handler) {
      this.counters.unknown.set(name, (this.counters.unknown.get(name) ?? 0) + 1);
      this.#finishCall(process, -Errno.ENOSYS);
      return;
    }
    const { shared } = process.space;
    const sharing = shared.size > 0 && SHARING_CALLS.has(name);
    if (sharing) shared.push();
    const args = [0, 1, 2, 3, 4, 5].map((index) => abi.argument(state, index));
    const result = handler(this, process, args as unknown as Arguments);
    if (sharing) shared.pull();
    if (result === NO_RESULT) return;
    if (typeof result === 'number') this.#finishCall(process, result);
    else {
      process.waiting = result;
      this.#tryWaiting(process);
    }
  }

  /** Steps over the call; only now, so that a handler run meanwhile can have it begun anew. */
  #finishCall(process: Process, result: number): void {
    const { abi } = this.options;
    process.cpu.pc += BigInt(abi.callLength);
    abi.setResult(process.cpu.state, result);
  }

  #tryWaiting(process: Process): boolean {
    const waiting = process.waiting as Waiting;
    const result = waiting.poll();
    if (result !== undefined) {
      process.waiting = undefined;
      this.#finishCall(process, result);
    } else if (process.signals.interrupting) {
      process.waiting = undefined;
      waiting.cancel?.();
      const next = process.signals.take()!;
      const restart = waiting.restartable && (process.signals.action(next.signal).flags & ActionFlag.restart) !== 0n;
      if (!restart) this.#finishCall(process, -Errno.EINTR);
      this.#signals.handle(process, next);
    } else return false;
    if (process.signals.interrupting && !process.end) this.#signals.deliver(process);
    return !process.end;
  }

  /** Every process waits: rests until the next deadline or for a moment when the outside may bring something. False when nothing ever will. */
  #rest(deadline: number): boolean {
    let milliseconds = Infinity;
    const now = this.monotonic();
    for (const process of this.#table.all) {
      if (process.end) continue;
      const times = [process.waiting?.deadline, process.alarm?.due].filter((time) => time !== undefined);
      for (const time of times) milliseconds = Math.min(milliseconds, Math.max(0, Number(time - now) / 1e6));
      if (process.waiting?.external) milliseconds = Math.min(milliseconds, 5);
    }
    if (milliseconds === Infinity) return false;
    this.options.surroundings.rest(Math.min(milliseconds, 100, Math.max(0, deadline - this.options.now())));
    return true;
  }

  #outcome(main: Process, end: ProcessEnd): Outcome {
    if ('code' in end) return { kind: 'exit', code: end.code };
    const { signal } = end;
    const { fault } = main;
    return { kind: 'signal', signal, name: signalName(signal), ...(fault ? { fault } : {}) };
  }
}
