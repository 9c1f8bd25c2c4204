import { assert } from '../check/assert.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import type { CompileRequest } from '../tier/background/message.ts';
import { RegionCompiler } from '../tier/background/region-compiler.ts';
import { Signal, type Failure, type ThreadData } from './background-compiler.ts';

/** Answers requests from the port until the thread is ended, or one cannot be answered: then it says so and answers no more. */
export function serve({ port, signal, subject }: Omit<ThreadData, 'compileCache' | 'origin'>): void {
  const send = (message: unknown) => {
    port.postMessage(message);
    Atomics.add(signal, Signal.sent, 1);
  };
  const attempt = <Result>(work: () => Result): Result | undefined => {
    try {
      return work();
    } catch (error) {
      failed = true;
      const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
      send({ failure } satisfies Failure);
      return undefined;
    }
  };
  let failed = false;
  const compiler = attempt(() => {
    assert(subject.isa === riscv64.name, 'programs are RISC-V');
    return new RegionCompiler(riscv64, subject, () => performance.now());
  });
  // Also after a failure: a thread that has nothing to wait for ends, and what it has sent with it.
  port.on('message', (request: CompileRequest) => {
    if (!failed) attempt(() => send(compiler!.handle(request)));
  });
  if (!failed) Atomics.store(signal, Signal.ready, 1);
}
