import type { Isa } from '../../isa/instruction.ts';
import type { CompileReply, CompileRequest, CompilerConnection, CompilerSubject, RegionCompilers } from './message.ts';
import { RegionCompiler } from './region-compiler.ts';

/** Compiles in this thread, and answers as late as `delay` says: how often it has been asked for answers in vain. */
export class DeferredCompilers implements RegionCompilers {
  readonly #compiler: RegionCompiler;
  readonly #delay: () => number;
  #current: DeferredConnection | undefined;
  /** From now on nobody answers. */
  lost = false;
  requests = 0;

  constructor(isa: Isa, subject: CompilerSubject, delay: () => number) {
    this.#compiler = new RegionCompiler(isa, subject);
    this.#delay = delay;
  }

  connect(): CompilerConnection {
    return new DeferredConnection(this);
  }

  isCurrent(connection: DeferredConnection): boolean {
    return this.#current === connection;
  }

  /** What is sent and what comes back are copies, as between threads. */
  answer(connection: DeferredConnection, request: CompileRequest): { reply: CompileReply; delay: number } {
    this.#current = connection;
    this.requests++;
    return { reply: structuredCloneOf(this.#compiler.handle(structuredClone(request))), delay: this.#delay() };
  }
}

class DeferredConnection implements CompilerConnection {
  readonly #compilers: DeferredCompilers;
  #asked = 0;
  readonly #queue: { reply: CompileReply; delay: number }[] = [];

  constructor(compilers: DeferredCompilers) {
    this.#compilers = compilers;
  }

  get remembered(): boolean {
    return this.#compilers.isCurrent(this);
  }

  get ready(): boolean {
    return this.#asked > 1;
  }

  get lost(): boolean {
    return this.#compilers.lost;
  }

  ran(): void {
    this.#asked++;
  }

  post(request: CompileRequest): void {
    if (!this.lost) this.#queue.push(this.#compilers.answer(this, request));
  }

  take(): CompileReply | undefined {
    const first = this.#queue[0];
    if (first === undefined || this.lost || first.delay-- > 0) return undefined;
    return this.#queue.shift()!.reply;
  }
}

/** Modules can only be cloned when they are sent. */
function structuredCloneOf(reply: CompileReply): CompileReply {
  if (reply.outcome.kind !== 'compiled') return structuredClone(reply);
  const { module, ...rest } = reply.outcome;
  return { ...structuredClone({ ...reply, outcome: rest }), outcome: { ...structuredClone(rest), module } };
}
