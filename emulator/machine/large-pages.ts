/**
 * Large pages of the host for large mappings of guest programs, as far as Linux gives them to whoever asks (madvise(2), MADV_HUGEPAGE): what waits for memory
 * misses the processor's TLB less often, and 2 MiB are zeroed at one fault instead of 512. [measured: emulator/docs/decisions.md, "Memory and disks"]
 */
import type { AskForLargePages } from '../linux-user/address-space.ts';

const MADV_HUGEPAGE = 14;

type Advise = (at: bigint, length: bigint, advice: number) => number;

/** What asks for them; it does nothing where that is not possible, for they are not needed. The runtime's foreign functions are loaded when it is first called. */
export function largePages(): AskForLargePages {
  let advise: Advise | undefined;
  let getRawPointer: ((buffer: ArrayBuffer) => bigint) | undefined;
  let isTried = process.platform !== 'linux';
  return (buffer, begin, length) => {
    if (!isTried) {
      isTried = true;
      ({ advise, getRawPointer } = foreignFunctions() ?? {});
    }
    if (advise === undefined || getRawPointer === undefined) return;
    advise(getRawPointer(buffer) + BigInt(begin), BigInt(length), MADV_HUGEPAGE);
  };
}

/** Undefined in a runtime without them, or that must not use them (--permission). */
function foreignFunctions():
  { readonly advise: Advise; readonly getRawPointer: (buffer: ArrayBuffer) => bigint } | undefined {
  const { emitWarning } = process;
  // That the module may change; it is tried, and done without.
  process.emitWarning = () => {};
  try {
    const ffi = process.getBuiltinModule('node:ffi');
    const { functions } = ffi.dlopen(null, { madvise: { return: 'int32', arguments: ['pointer', 'uint64', 'int32'] } });
    return { advise: functions.madvise as unknown as Advise, getRawPointer: ffi.getRawPointer };
  } catch {
    return undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}
