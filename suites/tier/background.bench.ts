import assert from 'node:assert/strict';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { X } from '../../emulator/isa/riscv/registers.ts';
import { STATE, STATE_SIZE } from '../../emulator/layout/memory-map.ts';
import { StateOffset } from '../../emulator/layout/state.ts';
import { BackgroundCompiler } from '../../emulator/machine/background-compiler.ts';
import { CompilerClient } from '../../emulator/tier/background/client.ts';
import type {
  CompileReply,
  CompileRequest,
  CompilerConnection,
  CompilerSubject,
} from '../../emulator/tier/background/message.ts';
import { Interpreter } from '../../emulator/tier/interpreter/interpreter.ts';
import { AUTO } from '../../emulator/tier/policy.ts';
import { defineBench } from '../harness/define-bench.ts';
import { CODE, DATA, mixMemory } from './mix.ts';

const { traceLength, observedSteps } = AUTO;
/** The loop of the mix: behind six instructions that set it up. */
const LOOP = CODE + 6 * 4;
const EXECUTED = 10_000;
const WISHES = [{ seed: LOOP }];
const inputs = ['mix.ts'];

/** Keeps what is sent, and answers when told to. */
class Memo implements CompilerConnection {
  readonly ready = true;
  readonly lost = false;
  readonly remembered = false;
  last: CompileRequest | undefined;
  reply: CompileReply | undefined;

  ran(): void {
    throw new TypeError('it is ready');
  }

  post(request: CompileRequest): void {
    this.last = request;
  }

  take(): CompileReply | undefined {
    const { reply } = this;
    this.reply = undefined;
    return reply;
  }
}

interface Guest {
  readonly subject: CompilerSubject;
  readonly interpreter: Interpreter;
  readonly client: CompilerClient;
  readonly memo: Memo;
}

/** A guest in the middle of its loop, all of whose code has been executed. */
function guest(): Guest {
  const memory = mixMemory();
  const interpreter = new Interpreter(riscv64, memory.memory, { guestSize: memory.size });
  const state = new DataView(memory.memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
  state.setBigUint64(StateOffset.pc, BigInt(CODE), true);
  state.setBigUint64(X.offset + 10 * X.stride, BigInt(EXECUTED), true);
  state.setBigUint64(X.offset + 11 * X.stride, BigInt(DATA), true);
  interpreter.run(EXECUTED);
  const memo = new Memo();
  const client = new CompilerClient(riscv64, memory.memory, memory.size, interpreter, () => [], memo);
  const subject = { isa: riscv64.name, guestSize: memory.size, translated: false, policy: AUTO, disabledPasses: [] };
  return { subject, interpreter, client, memo };
}

/** Asks for the loop after a trace, and gives what was sent. */
function ask({ client, memo }: Guest): CompileRequest {
  for (let step = 0; step < traceLength + observedSteps; step++) client.trace(LOOP);
  client.ask(
    { reason: 'sampled', wishes: WISHES, choose: true, regions: [], refusal: false },
    EXECUTED,
    new Float64Array(),
    [],
  );
  const request = memo.last!;
  const counters = {} as CompileReply['counters'];
  memo.reply = { number: request.number, outcome: { kind: 'nothing' }, counters, passCounters: {} };
  client.take();
  return request;
}

const sizeOf = ({ news }: CompileRequest) =>
  news.pages.reduce((sum, { bytes, executed }) => sum + bytes.byteLength + executed.byteLength, 0) +
  news.state.byteLength +
  news.permission.byteLength +
  news.trace!.addresses.byteLength +
  news.trace!.registers.byteLength;

defineBench<Guest>({
  id: 'tier/background/ask',
  title: 'what asking the compiling thread for a region keeps the guest: gathering code, state and a trace',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  inputs,
  setup: guest,
  work: ask,
  check: (_, request) => assert.equal((request as CompileRequest).news.pages.length, 1),
  counters: (state) => {
    const request = ask(state);
    return { bytes: sizeOf(request), executed: request.news.pages[0]!.executed.length };
  },
});

interface Thread {
  readonly compiler: BackgroundCompiler;
  readonly connection: CompilerConnection;
  readonly asking: Guest;
}

function untilReady(compiler: BackgroundCompiler): void {
  compiler.start();
  while (!compiler.ready) {
    compiler.receive();
    assert.equal(compiler.failure, undefined);
  }
}

function roundTrip({ connection, asking }: Thread): CompileReply {
  connection.post(ask(asking));
  for (;;) {
    const reply = connection.take();
    if (reply !== undefined) return reply;
    assert.ok(!connection.lost, 'the thread is there');
  }
}

function thread(): Thread {
  const asking = guest();
  const compiler = new BackgroundCompiler(asking.subject);
  untilReady(compiler);
  return { compiler, connection: compiler.connect(), asking };
}

defineBench<Thread>({
  id: 'tier/background/hand-over',
  title: 'from asking the compiling thread for a loop of 25 instructions to its module',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  waits: true,
  inputs,
  setup: thread,
  teardown: ({ compiler }) => compiler.close(),
  work: roundTrip,
  check: (_, reply) => assert.equal((reply as CompileReply).outcome.kind, 'compiled'),
  counters: (state) => {
    const { outcome } = roundTrip(state);
    assert(outcome.kind === 'compiled');
    const { instructions, wasmBytes } = outcome.placed.code.counters;
    return { instructions, 'wasm-bytes': wasmBytes };
  },
});

defineBench<CompilerSubject>({
  id: 'tier/background/start',
  title: 'beginning the compiling thread, until it answers',
  unit: 'ms',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  waits: true,
  inputs,
  setup: () => guest().subject,
  work: async (subject) => {
    const compiler = new BackgroundCompiler(subject);
    untilReady(compiler);
    await compiler.close();
    return compiler.ready;
  },
  check: (_, ready) => assert.equal(ready, false),
});
