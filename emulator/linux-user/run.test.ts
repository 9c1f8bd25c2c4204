import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Errno } from '../check/errno.ts';
import { STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind } from '../layout/state.ts';
import { X } from '../isa/riscv/registers.ts';
import { writeNumber } from './abi.ts';
import { riscv64Abi } from './abi-riscv64.ts';
import type { KernelOptions } from './kernel.ts';
import type { Outcome } from './outcome.ts';
import type { Process, UserCpu } from './process.ts';
import { Signal } from './signal.ts';
import { BUFFER, putText, testKernel, type TestKernel } from './test-kernel.ts';

/** What a process does when it is its turn: a system call, a fault, or nothing for the rest of its slice. */
type Step =
  | { readonly call: string; readonly args?: readonly number[] }
  | { readonly fault: FaultKind; readonly at: bigint }
  | { readonly trap: number }
  | 'compute';

const NUMBERS = new Map(Object.entries(riscv64Abi.systemCalls).map(([number, name]) => [name, Number(number)]));
const BREAKPOINT = 3;
const HANDLER = 0x1_0800;
const SIGUSR1 = 10;

interface Run extends TestKernel {
  readonly outcome: Outcome;
  /** Results of the calls in order. */
  readonly results: readonly bigint[];
}

/** Runs a process whose steps come from a function of the results so far; the last `exit_group` is added. */
function runSteps(
  next: (turn: number, process: Process, results: readonly bigint[]) => Step | undefined,
  options: Partial<KernelOptions> = {},
): Run {
  const results: bigint[] = [];
  const holder: { process?: Process } = {};
  let turn = 0;
  let calling = false;
  const rig = testKernel([], {
    ...options,
    createCpu: (memory) => {
      const state = new DataView(memory.memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
      let instructions = 0;
      const cpu = {
        state,
        pc: 0x1_0000n,
        cause: 0,
        value: 0n,
        flushCode: () => {},
        instructions: () => instructions,
        run: (budget: number): ExitReason => {
          if (calling) results.push(state.getBigInt64(X.offset + X.stride * 10, true));
          calling = false;
          const step = next(turn++, holder.process!, results) ?? { call: 'exit_group', args: [0] };
          if (step === 'compute') {
            instructions += budget;
            return ExitReason.budget;
          }
          instructions++;
          if ('fault' in step) {
            Object.assign(cpu, { cause: step.fault, value: step.at });
            return ExitReason.fault;
          }
          if ('trap' in step) {
            cpu.cause = step.trap;
            return ExitReason.trap;
          }
          calling = true;
          writeNumber(state, X.offset + X.stride * 17, NUMBERS.get(step.call) ?? 4000);
          [...(step.args ?? []), 0, 0, 0, 0, 0, 0]
            .slice(0, 6)
            .forEach((value, i) => writeNumber(state, X.offset + X.stride * (10 + i), value));
          cpu.cause = riscv64Abi.callCause;
          return ExitReason.trap;
        },
      };
      return cpu satisfies UserCpu;
    },
  });
  holder.process = rig.process;
  const outcome = rig.kernel.run();
  rig.kernel.shutdown();
  return { ...rig, outcome, results };
}

/** The steps one after the other. */
const inOrder = (steps: readonly Step[]) => (turn: number) => steps[turn];

test('calls are counted and answered, unknown ones with ENOSYS, and the exit code is the outcome', () => {
  const { outcome, results, kernel } = runSteps(
    inOrder([{ call: 'getpid' }, { call: 'no such call' }, { call: 'getuid' }, { call: 'exit_group', args: [0x1ff] }]),
  );
  assert.deepEqual(outcome, { kind: 'exit', code: 0xff });
  assert.deepEqual(results, [1000n, BigInt(-Errno.ENOSYS), 1000n]);
  assert.deepEqual([...kernel.counters.unknown], [['#4000', 1]]);
  assert.equal(kernel.counters.systemCalls.get('getpid'), 1);
});

test('what faults is killed with the signal of the fault, and the outcome says where', () => {
  const address = 0x123_4567n;
  for (const [step, signal, kind] of [
    [{ fault: FaultKind.load, at: address }, Signal.SIGSEGV, 'load'],
    [{ fault: FaultKind.storeMisaligned, at: address }, Signal.SIGBUS, 'misaligned store'],
    [{ trap: 2 }, Signal.SIGILL, 'trap'],
    [{ trap: BREAKPOINT }, Signal.SIGTRAP, 'trap'],
  ] as const) {
    const { outcome } = runSteps(inOrder([step]));
    assert.ok(outcome.kind === 'signal', outcome.kind);
    assert.equal(outcome.signal, signal);
    assert.equal(outcome.fault?.kind, kind);
    assert.equal(outcome.fault.pc, 0x1_0000n);
  }
});

/** Puts a `struct sigaction` where rt_sigaction will read it. */
function putAction(process: Process, handler: number, flags = 0n, mask = 0n): number {
  const { view } = process.memory;
  writeNumber(view, BUFFER, handler);
  view.setBigUint64(BUFFER + 8, flags, true);
  view.setBigUint64(BUFFER + 16, mask, true);
  return BUFFER;
}

test('a handler runs with its signal masked, and rt_sigreturn brings registers and mask back', () => {
  let before = 0n;
  let mask = 0n;
  const { outcome, kernel } = runSteps((turn, process) => {
    switch (turn) {
      case 0:
        return { call: 'rt_sigaction', args: [SIGUSR1, putAction(process, HANDLER), 0, 8] };
      case 1:
        before = process.cpu.state.getBigUint64(X.offset + X.stride * 2, true);
        return { call: 'kill', args: [process.pid, SIGUSR1] };
      case 2:
        mask = process.signals.mask;
        assert.equal(process.cpu.state.getBigUint64(X.offset + X.stride * 10, true), BigInt(SIGUSR1));
        assert.notEqual(process.cpu.state.getBigUint64(X.offset + X.stride * 2, true), before);
        return { call: 'rt_sigreturn' };
      case 3:
        assert.equal(process.signals.mask, 0n);
        assert.equal(process.cpu.state.getBigUint64(X.offset + X.stride * 2, true), before);
        return undefined;
      default:
        return undefined;
    }
  });
  assert.deepEqual(outcome, { kind: 'exit', code: 0 });
  assert.equal(mask, 1n << BigInt(SIGUSR1 - 1));
  assert.equal(kernel.counters.signals, 1);
});

test('a blocked signal waits, a signal without handler kills, and ignored ones do nothing', () => {
  const { SIGTERM } = Signal;
  const block = (process: Process, how: number, signals: bigint): Step => {
    process.memory.view.setBigUint64(BUFFER, signals, true);
    return { call: 'rt_sigprocmask', args: [how, BUFFER, BUFFER + 64, 8] };
  };
  const bit = 1n << BigInt(SIGTERM - 1);
  let pending = 0n;
  const { outcome } = runSteps((turn, process) => {
    switch (turn) {
      case 0:
        return { call: 'rt_sigaction', args: [SIGUSR1, putAction(process, 1), 0, 8] };
      case 1:
        return { call: 'kill', args: [0, SIGUSR1] };
      case 2:
        return block(process, 0, bit);
      case 3:
        return { call: 'kill', args: [process.pid, SIGTERM] };
      case 4:
        return { call: 'rt_sigpending', args: [BUFFER + 128, 8] };
      case 5:
        pending = process.memory.view.getBigUint64(BUFFER + 128, true);
        return block(process, 1, bit);
      default:
        return assert.fail('it has been killed');
    }
  });
  assert.equal(pending, bit);
  assert.ok(outcome.kind === 'signal' && outcome.signal === SIGTERM && outcome.fault === undefined);
});

test('what waits for ever is a deadlock, what computes for ever ends at the limits', () => {
  const suspend: Step = { call: 'rt_sigsuspend', args: [BUFFER, 8] };
  assert.deepEqual(runSteps(inOrder([suspend])).outcome, { kind: 'deadlock' });
  const forever = () => 'compute' as const;
  assert.deepEqual(runSteps(forever, { maximumInstructions: 1e7 }).outcome, { kind: 'limit', limit: 'instructions' });
  let now = 0;
  const outcome = runSteps(forever, { maximumInstructions: Infinity, timeout: 50, now: () => now++ }).outcome;
  assert.deepEqual(outcome, { kind: 'limit', limit: 'timeout' });
});

test('a sleep ends when its time has come, and a handler ends it earlier with EINTR', () => {
  const time = (process: Process, seconds: number, nanoseconds: number): number => {
    writeNumber(process.memory.view, BUFFER, seconds);
    writeNumber(process.memory.view, BUFFER + 8, nanoseconds);
    return BUFFER;
  };
  let clock = 0n;
  const surroundings = {
    monotonic: () => clock++,
    realtime: () => 0n,
    random: (into: Uint8Array) => into.fill(7),
    rest: (milliseconds: number) => {
      clock += BigInt(Math.ceil(milliseconds * 1e6));
    },
  };
  const slept = runSteps(
    (turn, process) => (turn === 0 ? { call: 'nanosleep', args: [time(process, 1, 5), 0] } : undefined),
    { surroundings },
  );
  assert.deepEqual(slept.results, [0n]);
  assert.ok(clock >= 1_000_000_005n);
  const interrupted = runSteps(
    (turn, process) => {
      switch (turn) {
        case 0:
          return { call: 'rt_sigaction', args: [Signal.SIGALRM, putAction(process, HANDLER), 0, 8] };
        case 1: {
          // struct itimerval: no interval, 10 ms.
          for (const [at, value] of [0, 0, 0, 10_000].entries())
            writeNumber(process.memory.view, BUFFER + 8 * at, value);
          return { call: 'setitimer', args: [0, BUFFER, 0] };
        }
        case 2:
          return { call: 'nanosleep', args: [time(process, 5, 0), 0] };
        case 3:
          return { call: 'rt_sigreturn' };
        default:
          return undefined;
      }
    },
    { surroundings },
  );
  assert.deepEqual(interrupted.outcome, { kind: 'exit', code: 0 });
  assert.equal(interrupted.results.at(-1), BigInt(-Errno.EINTR));
});

test('calls about the system, descriptors and files give what Linux gives', () => {
  const { process, call, output } = testKernel([]);
  const { view } = process.memory;
  const text = (at: number): string => process.memory.string(at) ?? '';
  assert.equal(call('uname', [BUFFER]), 0);
  assert.deepEqual([text(BUFFER), text(BUFFER + 4 * 65)], ['Linux', 'riscv64']);
  assert.equal(call('getrlimit', [7, BUFFER]), 0);
  assert.equal(view.getUint32(BUFFER, true), 1024);
  assert.equal(call('getrlimit', [16, BUFFER]), -Errno.EINVAL);
  assert.equal(call('prctl', [15, putText(process, 'a name longer than fifteen')]), 0);
  assert.equal(call('prctl', [16, BUFFER + 64]), 0);
  assert.equal(text(BUFFER + 64), 'a name longer t');
  assert.equal(call('getcwd', [BUFFER, 1]), -Errno.ERANGE);
  assert.equal(call('getcwd', [BUFFER, 64]), 2);
  assert.equal(call('setsid', []), -Errno.EPERM);
  assert.equal(call('setpgid', [0, 77]), 0);
  assert.equal(call('getpgid', [0]), 77);
  assert.equal(call('setsid', []), process.pid);
  assert.equal(call('sched_getaffinity', [0, 8, BUFFER]), 8);
  assert.equal(call('setuid', [0]), -Errno.EPERM);

  assert.equal(call('read', [0, BUFFER, 4]), 4);
  assert.deepEqual([...process.memory.bytes.subarray(BUFFER, BUFFER + 4)], [0, 1, 2, 3]);
  assert.equal(call('read', [1, BUFFER, 4]), -Errno.EBADF);
  const copy = call('fcntl', [1, 0, 10]);
  assert.equal(copy, 10);
  assert.equal(call('fcntl', [copy, 2, 1]), 0);
  assert.equal(call('fcntl', [copy, 1]), 1);
  assert.equal(call('dup3', [1, 1, 0]), -Errno.EINVAL);
  assert.equal(call('dup3', [1, 5, 0]), 5);
  putText(process, 'one two');
  // Two iovecs: "one" and " two".
  for (const [i, value] of [BUFFER, 3, BUFFER + 3, 4].entries()) writeNumber(view, BUFFER + 256 + 8 * i, value);
  assert.equal(call('writev', [5, BUFFER + 256, 2]), 7);
  assert.equal(output.text(), 'one two');
  assert.equal(call('ioctl', [1, 0x5401, BUFFER]), -Errno.ENOTTY);
  assert.equal(call('lseek', [1, 0, 0]), -Errno.ESPIPE);
  assert.equal(call('pread64', [0, BUFFER, 4, 0]), -Errno.ESPIPE);
  assert.equal(call('close_range', [5, 20, 0]), 0);
  assert.equal(call('write', [5, BUFFER, 1]), -Errno.EBADF);

  const zero = call('openat', [-100, putText(process, '/dev/zero'), 2, 0]);
  process.memory.bytes.fill(9, BUFFER, BUFFER + 16);
  for (const [i, value] of [BUFFER, 2, BUFFER + 8, 3].entries()) writeNumber(view, BUFFER + 256 + 8 * i, value);
  assert.equal(call('readv', [zero, BUFFER + 256, 2]), 5);
  assert.deepEqual([...process.memory.bytes.subarray(BUFFER, BUFFER + 12)], [0, 0, 9, 9, 9, 9, 9, 9, 0, 0, 0, 9]);
  assert.equal(call('statx', [zero, putText(process, ''), 0x1000, 0x7ff, BUFFER + 512]), 0);
  assert.equal(view.getUint16(BUFFER + 512 + 28, true) & 0o170000, 0o020000);
  const root = call('openat', [-100, putText(process, '/'), 0o200000, 0]);
  const bytes = call('getdents64', [root, BUFFER, 512]);
  const names: string[] = [];
  for (let at = BUFFER; at < BUFFER + bytes; at += view.getUint16(at + 16, true)) names.push(text(at + 19));
  assert.deepEqual(names.toSorted(), ['.', '..', 'dev', 'proc']);
  assert.equal(call('getdents64', [root, BUFFER, 512]), 0);
  assert.equal(call('fchdir', [root]), 0);
  assert.equal(call('fchdir', [zero]), -Errno.ENOTDIR);
});

test('ppoll and pselect6 say which of several files are ready, and wait for a time when none is', () => {
  const { process, call, begin } = testKernel([]);
  const { view, bytes } = process.memory;
  assert.equal(call('pipe2', [BUFFER, 0]), 0);
  const [reader, writer] = [view.getInt32(BUFFER, true), view.getInt32(BUFFER + 4, true)];
  const poll = (entries: readonly (readonly [fd: number, events: number])[]): number => {
    entries.forEach(([fd, events], i) => {
      view.setInt32(BUFFER + 8 * i, fd, true);
      view.setInt32(BUFFER + 8 * i + 4, events, true);
    });
    return BUFFER;
  };
  const revents = (i: number): number => view.getUint16(BUFFER + 8 * i + 6, true);
  const none = { seconds: BUFFER + 1024 };
  bytes.fill(0, none.seconds, none.seconds + 16);
  const three = [
    [reader, 1],
    [writer, 4],
    [99, 1],
  ] as const;
  assert.equal(call('ppoll', [poll(three), 3, none.seconds]), 2);
  assert.deepEqual([revents(0), revents(1), revents(2)], [0, 4, 32]);
  const waiting = begin('ppoll', [poll([[reader, 1]]), 1, 0]);
  assert.ok(typeof waiting === 'object');
  assert.equal(waiting.poll(), undefined);
  assert.equal(call('write', [writer, BUFFER + 2048, 1]), 1);
  assert.equal(waiting.poll(), 1);
  const sets = BUFFER + 1536;
  bytes.fill(0, sets, sets + 64);
  bytes[sets + (reader >> 3)]! |= 1 << (reader & 7);
  bytes[sets + 8 + (writer >> 3)]! |= 1 << (writer & 7);
  assert.equal(call('pselect6', [10, sets, sets + 8, 0, none.seconds]), 2);
  assert.equal(call('read', [reader, BUFFER, 8]), 1);
  assert.equal(call('pselect6', [10, sets, 0, 0, none.seconds]), 0);
  assert.equal(bytes[sets], 0);
  assert.equal(call('pselect6', [2000, sets, 0, 0, 0]), -Errno.EINVAL);
  bytes[sets + 12] = 1;
  assert.equal(call('pselect6', [200, sets, 0, 0, none.seconds]), -Errno.EBADF);
  assert.equal(call('close', [writer]), 0);
  assert.equal(call('ppoll', [poll([[reader, 1]]), 1, none.seconds]), 1);
  assert.equal(revents(0), 17);
});
