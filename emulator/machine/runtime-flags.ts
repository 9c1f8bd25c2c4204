/**
 * What the runtime is started with to emulate (`scripts/dyno` has them too):
 *
 * - What emulation allocates is garbage soon: a young generation of at most 3 times 4 MiB is as fast as the default, and takes 10 to 70 MiB less.
 * - V8 looks at every head of a loop whether the stack is full or something wants to interrupt. Translated code does not call itself, and comes back at the
 *   end of its budget: without these looks the guests took 0.96 of their processor time.
 */
export const RUNTIME_FLAGS: readonly string[] = ['--max-semi-space-size=4', '--no-wasm-stack-checks'];
