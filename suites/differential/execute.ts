import { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { evaluateExecutor } from '../../emulator/filetests/evaluate-executor.ts';
import type { Program, Stop } from '../../emulator/filetests/executor.ts';
import { GUEST_SIZE, Image } from '../../emulator/filetests/image.ts';
import { wasmExecutor } from '../../emulator/filetests/wasm-executor.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { F, X } from '../../emulator/isa/riscv/registers.ts';
import { Cause } from '../../emulator/isa/riscv/trap.ts';
import { ExitReason, FaultKind, StateOffset } from '../../emulator/layout/state.ts';
import { type Answer, CODE, CODE_SIZE, type StopKind, type TestCase, WINDOW, WINDOW_SIZE } from './test-case.ts';

/** One of our ways to run guest code, made for one test after the other. */
export interface Executor {
  readonly name: string;
  readonly run: (test: TestCase) => { readonly answer: Answer; readonly retired: number };
}

export const EXECUTOR_NAMES = ['evaluate', 'wasm', 'interpreter'] as const;
export type ExecutorName = (typeof EXECUTOR_NAMES)[number];

/** Jumps only go forward, so that no test runs longer. */
const LIMIT = CODE_SIZE / 2;

export function createExecutor(name: ExecutorName): Executor {
  const image = new Image();
  const run = name === 'interpreter' ? interpreter(image) : runProgram(image, name);
  return {
    name,
    run: (test) => {
      load(image, test);
      const stop = run();
      return { answer: answerOf(image, stop), retired: stop.retired };
    },
  };
}

function runProgram({ memory }: Image, name: 'evaluate' | 'wasm'): () => Stop {
  const executor = name === 'evaluate' ? evaluateExecutor : wasmExecutor;
  const [start, end] = [BigInt(CODE), BigInt(CODE + CODE_SIZE)];
  const program: Program = { isa: riscv64, memory, guestSize: GUEST_SIZE, start, end, limit: LIMIT };
  return () => executor.run!(program);
}

/** One vCPU for all tests, told of new code as a machine would tell it. */
function interpreter({ memory }: Image): () => Stop {
  const vcpu = new Vcpu(riscv64, memory, { guestSize: GUEST_SIZE });
  return () => {
    vcpu.flushCode(0, GUEST_SIZE);
    vcpu.pc = BigInt(CODE);
    const before = vcpu.counters.instructions;
    const reason = vcpu.run(LIMIT);
    const { pc } = vcpu;
    const retired = vcpu.counters.instructions - before;
    if (reason === ExitReason.trap) return { kind: 'trap', cause: vcpu.cause, value: vcpu.value, pc, retired };
    if (reason === ExitReason.fault)
      return { kind: 'fault', fault: vcpu.cause as FaultKind, address: vcpu.value, pc, retired };
    return { kind: 'limit', pc, retired };
  };
}

function load(image: Image, { x, f, fcsr, code, window }: TestCase): void {
  image.reset(code, BigInt(CODE));
  image.guest.set(window, WINDOW);
  const { state } = image;
  for (let i = 0; i < 32; i++) {
    state.setBigUint64(X.offset + X.stride * i, i === 0 ? 0n : x[i]!, true);
    state.setBigUint64(F.offset + F.stride * i, f[i]!, true);
  }
  state.setUint32(StateOffset.floatFlags, fcsr & 31, true);
  state.setUint32(StateOffset.floatRounding, fcsr >>> 5, true);
}

/** As the oracle would tell it. @throws Error for a stop that no test leads to. */
function answerOf({ state, guest }: Image, stop: Stop): Answer {
  const x = new BigUint64Array(32);
  const f = new BigUint64Array(32);
  for (let i = 0; i < 32; i++) {
    x[i] = state.getBigUint64(X.offset + X.stride * i, true);
    f[i] = state.getBigUint64(F.offset + F.stride * i, true);
  }
  const fcsr = (state.getUint32(StateOffset.floatRounding, true) << 5) | state.getUint32(StateOffset.floatFlags, true);
  return { stop: stopKind(stop), pc: stop.pc, x, f, fcsr, window: guest.slice(WINDOW, WINDOW + WINDOW_SIZE) };
}

function stopKind(stop: Stop): StopKind {
  switch (stop.kind) {
    case 'illegal':
      return 'illegal';
    case 'trap':
      if (stop.cause === Cause.breakpoint) return 'breakpoint';
      if (stop.cause === Cause.illegalInstruction) return 'illegal';
      break;
    case 'fault':
      return stop.fault === FaultKind.loadMisaligned || stop.fault === FaultKind.storeMisaligned
        ? 'misaligned'
        : 'fault';
  }
  throw new Error(
    `a test ended with ${JSON.stringify(stop, (_key, value) => (typeof value === 'bigint' ? String(value) : value))}`,
  );
}
