/**
 * What the runtime is started with to emulate (`scripts/dyno` has them too):
 *
 * - What emulation allocates is garbage soon: a young generation of at most 3 times 2 MiB is as fast as the default, and takes 15 to 75 MiB less.
 * - V8 looks at every head of a loop whether the stack is full or something wants to interrupt. Translated code does not call itself, and comes back at the
 *   end of its budget: without these looks the guests took 0.96 of their processor time.
 * - Functions become hot by the dozen when translation begins, and wait for V8's mid-tier compiler together, each with a graph in memory: 70 of them had
 *   15 MiB. Without inlining there, and for functions called 1200 times instead of 400, `dhry` took 18 MiB less and no more processor time; pipes of
 *   short processes 0.96 of theirs. The last tier inlines anyway.
 * - V8 compiles and collects on up to four threads of its own beside the guest's, which on two processors waits for them: 0.25 s of a boot of 4.3 s. Their work
 *   is half of what one thread could do in that time. With two of them boots take 0.90 of their time, and short programs 0.965; with one, boots wait
 *   for compiled code instead.
 */
export const RUNTIME_FLAGS: readonly string[] = [
  '--max-semi-space-size=2',
  '--no-wasm-stack-checks',
  '--no-maglev-inlining',
  '--invocation-count-for-maglev=1200',
  '--v8-pool-size=2',
];

/**
 * The same for machines. A boot makes much of V8's garbage collector: each collection of a small young generation stops the guest to have other threads help,
 * which are compiling, for a dozen objects. The guest's thread took 0.89 of its processor time with these, in boots of Linux. A machine has the memory.
 */
export const MACHINE_RUNTIME_FLAGS: readonly string[] = [
  '--max-semi-space-size=16',
  '--no-parallel-scavenge',
  '--v8-pool-size=2',
];

/**
 * What V8 is told for machines when all that a start loads is there. It takes up compiled code only under the flags that the code was compiled with, and Node
 * brings its own modules' for the defaults: machines that began with these were at their first instruction 7 of 90 ms later. Programs use hardly any.
 */
export const MACHINE_GUEST_FLAGS: readonly string[] = ['--no-wasm-stack-checks'];
