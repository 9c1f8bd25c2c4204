import { getCompileCacheDir } from 'node:module';
import path from 'node:path';
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';
import type {
  CompileReply,
  CompileRequest,
  CompilerConnection,
  CompilerSubject,
  RegionCompilers,
} from '../tier/background/message.ts';

/** Indices of the words that thread and guests share. */
export const Signal = {
  /** Messages that the thread has sent. */
  sent: 0,
  /** Not 0 when it has begun to answer. */
  ready: 1,
} as const;

/** What the thread begins with. */
export interface ThreadData {
  readonly port: MessagePort;
  readonly signal: Int32Array<SharedArrayBuffer>;
  readonly subject: CompilerSubject;
  /** Where Node keeps the compiled code of modules, if it does. */
  readonly compileCache: string | undefined;
  /** As `compilerThread` has it. */
  readonly origin: unknown;
}

/** The file that the thread begins with, and what it needs to know for that. Set by a host that has the engine in another form than its sources. */
export const compilerThread: { file: URL; origin: unknown } = {
  file: new URL('./compiler-thread.ts', import.meta.url),
  origin: undefined,
};

/** The thread cannot go on; the text is for people. */
export interface Failure {
  readonly failure: string;
}

/** Compiles regions in a thread of its own, for all guest processes of a run: for the one that asked last it remembers what it was told. */
export class BackgroundCompiler implements RegionCompilers {
  readonly #subject: CompilerSubject;
  #worker: Worker | undefined;
  #port: MessagePort | undefined;
  readonly #signal = new Int32Array(new SharedArrayBuffer(8));
  readonly #inboxes = new Map<number, { readonly connection: Connection; readonly number: number }>();
  #current: Connection | undefined;
  #received = 0;
  /** Instructions that guests have retired, and those that they have translated for themselves. */
  #retired = 0;
  #translated = 0;
  #next = 1;
  #failure: string | undefined;

  constructor(subject: CompilerSubject) {
    this.#subject = subject;
  }

  /** Begins the thread unless there is one. [measured: 110 ms of processor time, beside the guest, until it is ready] */
  start(): void {
    if (this.#worker !== undefined || this.#failure !== undefined) return;
    const { port1, port2 } = new MessageChannel();
    const { file, origin } = compilerThread;
    const data: ThreadData = {
      port: port2,
      signal: this.#signal,
      subject: this.#subject,
      compileCache: cacheRoot(),
      origin,
    };
    const worker = new Worker(file, { workerData: data, transferList: [port2] });
    // The run does not last longer for it.
    worker.unref();
    port1.unref();
    worker.on('error', (error) => (this.#failure ??= String(error)));
    worker.on('exit', () => (this.#failure ??= 'the thread has ended'));
    this.#worker = worker;
    this.#port = port1;
  }

  /** Some guest has retired so many more instructions, and translated so many more. */
  ran(instructions: number, translated: number): void {
    const { backgroundAfter, backgroundWork } = this.#subject.policy;
    this.#retired += instructions;
    this.#translated += translated;
    if (this.#retired > backgroundAfter && this.#translated >= backgroundWork) this.start();
  }

  /** Whether the thread has been begun. */
  get begun(): boolean {
    return this.#worker !== undefined;
  }

  get ready(): boolean {
    return this.#failure === undefined && Atomics.load(this.#signal, Signal.ready) !== 0;
  }

  /** Why nothing is compiled in the background any more. */
  get failure(): string | undefined {
    return this.#failure;
  }

  connect(): CompilerConnection {
    return new Connection(this);
  }

  isCurrent(connection: Connection): boolean {
    return this.#current === connection;
  }

  post(connection: Connection, request: CompileRequest): void {
    this.#current = connection;
    const number = this.#next++;
    this.#inboxes.set(number, { connection, number: request.number });
    const { pages, mapping, state, permission, trace } = request.news;
    const buffers = [
      request.elsewhere.buffer,
      mapping.buffer,
      state.buffer,
      permission.buffer,
      ...pages.flatMap((page) => [page.bytes.buffer, page.executed.buffer]),
    ];
    if (trace !== undefined) buffers.push(trace.addresses.buffer, trace.registers.buffer);
    this.#port!.postMessage({ ...request, number }, buffers);
  }

  /** Puts the replies that have come into the inboxes of those who asked. */
  receive(): void {
    while (this.#failure === undefined && Atomics.load(this.#signal, Signal.sent) !== this.#received) {
      const message = receiveMessageOnPort(this.#port!)?.message as CompileReply | Failure | undefined;
      if (message === undefined) return;
      this.#received = (this.#received + 1) | 0;
      if ('failure' in message) {
        this.#failure = message.failure;
        return;
      }
      const asked = this.#inboxes.get(message.number);
      this.#inboxes.delete(message.number);
      asked?.connection.inbox.push({ ...message, number: asked.number });
    }
  }

  /** Ends the thread, if there is one; resolves when it has ended. */
  async close(): Promise<void> {
    this.#failure ??= 'it has been closed';
    this.#port?.close();
    await this.#worker?.terminate();
  }
}

class Connection implements CompilerConnection {
  readonly inbox: CompileReply[] = [];
  /** Instructions that the guest has retired and translated, as far as told. */
  #ran = 0;
  #translated = 0;
  readonly #compiler: BackgroundCompiler;

  constructor(compiler: BackgroundCompiler) {
    this.#compiler = compiler;
  }

  get remembered(): boolean {
    return this.#compiler.isCurrent(this);
  }

  get ready(): boolean {
    return this.#compiler.ready;
  }

  get lost(): boolean {
    return this.#compiler.failure !== undefined;
  }

  ran(instructions: number, translated: number): void {
    this.#compiler.ran(instructions - this.#ran, translated - this.#translated);
    this.#ran = instructions;
    this.#translated = translated;
  }

  post(request: CompileRequest): void {
    this.#compiler.post(this, request);
  }

  take(): CompileReply | undefined {
    if (this.inbox.length === 0) this.#compiler.receive();
    return this.inbox.shift();
  }
}

/** The directory that modules' compiled code was asked to be kept in; Node adds one for its version. */
function cacheRoot(): string | undefined {
  const directory = getCompileCacheDir();
  return directory === undefined ? undefined : path.dirname(directory);
}
