/**
 * The built-in supervisor execution environment: what OpenSBI would do for a kernel, without a firmware image (RISC-V Supervisor Binary
 * Interface Specification, version 2.0). Functions over an interface of what they need; the run loop calls `supervisorCall` when an `ecall`
 * comes out of supervisor mode.
 */
import { X } from '../../isa/riscv/registers.ts';
import { StateOffset } from '../../layout/state.ts';
import type { PhysicalMemory } from '../../memory/mmio.ts';

/** "Standard SBI Errors". */
export const SbiError = {
  success: 0,
  failed: -1,
  notSupported: -2,
  invalidParameter: -3,
  denied: -4,
  invalidAddress: -5,
  alreadyAvailable: -6,
} as const;
export type SbiError = (typeof SbiError)[keyof typeof SbiError];

/** "HSM Hart States". */
export const HartState = {
  started: 0,
  stopped: 1,
  startPending: 2,
  stopPending: 3,
  suspended: 4,
  suspendPending: 5,
  resumePending: 6,
} as const;
export type HartState = (typeof HartState)[keyof typeof HartState];

/** What a remote fence covers: `start` and `size` are absent when it is everything. */
export type RemoteFence =
  | { readonly kind: 'instructions' }
  | { readonly kind: 'translations'; readonly start?: bigint; readonly size?: bigint; readonly asid?: bigint };

/** "System Reset Types". */
export type SystemReset = 'shutdown' | 'cold reboot' | 'warm reboot';

/** What the calls need of the machine. Harts are numbered from 0 without gaps. */
export interface SbiMachine {
  readonly harts: number;
  readonly memory: PhysicalMemory;
  /** Takes all bytes, which are only lent. */
  consoleWrite(bytes: Uint8Array): void;
  /** Puts waiting bytes into `into`; returns how many, 0 when there are none. */
  consoleRead(into: Uint8Array): number;
  /** Lowers the hart's supervisor timer interrupt and raises it once `time` has reached `deadline`. */
  setTimer(hart: number, deadline: bigint): void;
  /** Sets the hart's supervisor software interrupt. */
  raiseSoftwareInterrupt(hart: number): void;
  /** Clears it; returns whether it was pending. */
  clearSoftwareInterrupt(hart: number): boolean;
  /** Done before the hart's next instruction. */
  fence(hart: number, fence: RemoteFence): void;
  hartState(hart: number): HartState;
  /** Supervisor mode at `address` with satp and sstatus.SIE 0, a0 the hart and a1 `argument`. */
  startHart(hart: number, address: bigint, argument: bigint): void;
  stopHart(hart: number): void;
  /** Until an interrupt is pending; then on behind the call, or as by `startHart` when `resume` is given. */
  suspendHart(hart: number, resume?: { readonly address: bigint; readonly argument: bigint }): void;
  /** Ends the run, or starts it anew. */
  systemReset(reset: SystemReset, failure: boolean): void;
  /** The aligned 64-bit word at a virtual address of the hart, undefined when it faults: only legacy calls pass pointers. */
  readVirtual(hart: number, address: bigint): bigint | undefined;
}

/** a0 and a1 after the call; a legacy call leaves a1 alone; undefined when the call does not return. */
export type SbiReply = { readonly error: bigint; readonly value?: bigint } | undefined;

interface Call {
  readonly machine: SbiMachine;
  readonly hart: number;
  /** a0 to a5, unsigned. */
  readonly arguments: readonly bigint[];
}
type SbiFunction = (call: Call) => SbiReply;

interface Extension {
  /** The chapter of the specification. */
  readonly name: string;
  /** By function number. */
  readonly functions: readonly SbiFunction[];
}

/**
 * Delegation that suits an environment in which nothing runs in machine mode: every exception but calls from S and M mode goes to the
 * supervisor, as do the three supervisor interrupts, and it may read all counters.
 */
export const SUPERVISOR_DELEGATION = { medeleg: 0xb1ffn, mideleg: 0x222n, mcounteren: 0xffff_ffffn } as const;

const ALL = (1n << 64n) - 1n;
const SPECIFICATION_VERSION = (2n << 24n) | 0n;
/** Not among the registered "SBI Implementation IDs": "dyno" in ASCII. */
const IMPLEMENTATION = 0x6479_6e6fn;
const IMPLEMENTATION_VERSION = 1n;
const A0 = 10;
/** One console write; longer ones are cut short, as the specification allows, so that a call's time is bounded. */
const CONSOLE_CHUNK = 65536;

/** Makes the call that the `ecall` at the state's pc asks for, and moves the hart behind it. */
export function supervisorCall(machine: SbiMachine, hart: number, state: DataView): void {
  const a = (n: number): bigint => state.getBigUint64(X.offset + X.stride * (A0 + n), true);
  // Before the call, which may send this hart elsewhere.
  state.setBigUint64(StateOffset.pc, state.getBigUint64(StateOffset.pc, true) + 4n, true);
  const values = [a(0), a(1), a(2), a(3), a(4), a(5)];
  const reply = callSbi(machine, hart, a(7), a(6), values);
  if (reply === undefined) return;
  state.setBigInt64(X.offset + X.stride * A0, reply.error, true);
  if (reply.value !== undefined)
    state.setBigUint64(X.offset + X.stride * (A0 + 1), BigInt.asUintN(64, reply.value), true);
}

/** The call itself: extension and function as in a7 and a6, then a0 to a5, all unsigned. */
export function callSbi(
  machine: SbiMachine,
  hart: number,
  extension: bigint,
  functionId: bigint,
  values: readonly bigint[],
): SbiReply {
  const call: Call = { machine, hart, arguments: values };
  const legacy = LEGACY.get(extension);
  if (legacy !== undefined) return legacy(call);
  const functions = EXTENSIONS.get(extension)?.functions ?? [];
  if (functionId >= BigInt(functions.length)) return failure(SbiError.notSupported);
  return functions[Number(functionId)]!(call);
}

const TIMER: SbiFunction = ({ machine, hart, arguments: [deadline] }) => {
  machine.setTimer(hart, deadline!);
  return success();
};

const EXTENSIONS: ReadonlyMap<bigint, Extension> = new Map<bigint, Extension>([
  [
    0x10n,
    {
      name: 'Base Extension',
      functions: [
        () => success(SPECIFICATION_VERSION),
        () => success(IMPLEMENTATION),
        () => success(IMPLEMENTATION_VERSION),
        ({ arguments: [id] }) => success(EXTENSIONS.has(id!) || LEGACY.has(id!) ? 1n : 0n),
        () => success(0n),
        () => success(0n),
        () => success(0n),
      ],
    },
  ],
  [0x5449_4d45n, { name: 'Timer Extension', functions: [TIMER] }],
  [
    0x73_5049n,
    {
      name: 'IPI Extension',
      functions: [(call) => forHarts(call, (hart) => call.machine.raiseSoftwareInterrupt(hart))],
    },
  ],
  [
    0x5246_4e43n,
    {
      name: 'RFENCE Extension',
      functions: [
        (call) => forHarts(call, (hart) => call.machine.fence(hart, { kind: 'instructions' })),
        (call) => forHarts(call, (hart) => call.machine.fence(hart, translations(call.arguments.slice(2, 4)))),
        (call) => forHarts(call, (hart) => call.machine.fence(hart, translations(call.arguments.slice(2, 5)))),
        // 3 to 6 are for the hypervisor extension, which the harts do not have.
      ],
    },
  ],
  [0x48_534dn, { name: 'Hart State Management Extension', functions: [hartStart, hartStop, hartStatus, hartSuspend] }],
  [0x5352_5354n, { name: 'System Reset Extension', functions: [systemReset] }],
  [0x4442_434en, { name: 'Debug Console Extension', functions: [consoleWrite, consoleRead, consoleWriteByte] }],
]);

/** "Legacy Extensions": a number each, a value in a0, nothing in a1. */
const LEGACY: ReadonlyMap<bigint, SbiFunction> = new Map<bigint, SbiFunction>([
  [0n, (call) => valueOnly(TIMER(call))],
  [
    1n,
    ({ machine, arguments: [character] }) => {
      machine.consoleWrite(Uint8Array.of(Number(character! & 0xffn)));
      return { error: 0n };
    },
  ],
  [
    2n,
    ({ machine }) => {
      const byte = new Uint8Array(1);
      return { error: machine.consoleRead(byte) === 1 ? BigInt(byte[0]!) : -1n };
    },
  ],
  [3n, ({ machine, hart }) => ({ error: machine.clearSoftwareInterrupt(hart) ? 1n : 0n })],
  [4n, (call) => forLegacyMask(call, (hart) => call.machine.raiseSoftwareInterrupt(hart))],
  [5n, (call) => forLegacyMask(call, (hart) => call.machine.fence(hart, { kind: 'instructions' }))],
  [6n, (call) => forLegacyMask(call, (hart) => call.machine.fence(hart, translations(call.arguments.slice(1, 3))))],
  [7n, (call) => forLegacyMask(call, (hart) => call.machine.fence(hart, translations(call.arguments.slice(1, 4))))],
  [
    8n,
    ({ machine }) => {
      machine.systemReset('shutdown', false);
      return undefined;
    },
  ],
]);

/** "Function: Hart start". */
function hartStart({ machine, arguments: [target, address, argument] }: Call): SbiReply {
  if (target! >= BigInt(machine.harts)) return failure(SbiError.invalidParameter);
  if (!executable(machine, address!)) return failure(SbiError.invalidAddress);
  const hart = Number(target);
  if (machine.hartState(hart) !== HartState.stopped) return failure(SbiError.alreadyAvailable);
  machine.startHart(hart, address!, argument!);
  return success();
}

/** "Function: Hart stop". */
function hartStop({ machine, hart }: Call): SbiReply {
  machine.stopHart(hart);
  return undefined;
}

/** "Function: Hart get status". */
function hartStatus({ machine, arguments: [target] }: Call): SbiReply {
  if (target! >= BigInt(machine.harts)) return failure(SbiError.invalidParameter);
  return success(BigInt(machine.hartState(Number(target))));
}

/** "Function: Hart suspend": the two default types; there are no others of the platform's own. */
function hartSuspend({ machine, hart, arguments: [type, address, argument] }: Call): SbiReply {
  switch (Number(BigInt.asUintN(32, type!))) {
    case 0:
      machine.suspendHart(hart);
      return success();
    case 0x8000_0000:
      if (!executable(machine, address!)) return failure(SbiError.invalidAddress);
      machine.suspendHart(hart, { address: address!, argument: argument! });
      return undefined;
    default:
      return failure(SbiError.invalidParameter);
  }
}

/** "Function: System reset". */
function systemReset({ machine, arguments: [type, reason] }: Call): SbiReply {
  const resets = ['shutdown', 'cold reboot', 'warm reboot'] as const;
  const reset = resets[Number(BigInt.asUintN(32, type!))];
  const why = Number(BigInt.asUintN(32, reason!));
  if (reset === undefined || why > 1) return failure(SbiError.invalidParameter);
  machine.systemReset(reset, why === 1);
  return undefined;
}

/** "Function: Console Write". */
function consoleWrite({ machine, arguments: [length, low, high] }: Call): SbiReply {
  if (!isRam(machine, length!, low!, high!)) return failure(SbiError.invalidParameter);
  const count = Math.min(Number(length), CONSOLE_CHUNK);
  if (count > 0) machine.consoleWrite(machine.memory.view(Number(low), count)!);
  return success(BigInt(count));
}

/** "Function: Console Read". */
function consoleRead({ machine, arguments: [length, low, high] }: Call): SbiReply {
  if (!isRam(machine, length!, low!, high!)) return failure(SbiError.invalidParameter);
  const bytes = machine.memory.view(Number(low), Math.min(Number(length), CONSOLE_CHUNK));
  const count = bytes === undefined || bytes.length === 0 ? 0 : machine.consoleRead(bytes);
  if (count > 0) machine.memory.written(Number(low), count);
  return success(BigInt(count));
}

/** "Function: Console Write Byte". */
function consoleWriteByte({ machine, arguments: [byte] }: Call): SbiReply {
  machine.consoleWrite(Uint8Array.of(Number(byte! & 0xffn)));
  return success();
}

/** "Hart list parameter": a0 is the mask and a1 the hart of its bit 0; nothing is done when one of them does not exist. */
function forHarts({ machine, arguments: [mask, base] }: Call, act: (hart: number) => void): SbiReply {
  const every = base === ALL;
  if (!every && base! >= BigInt(machine.harts)) return failure(SbiError.invalidParameter);
  if (!every && mask! << base! >= 1n << BigInt(machine.harts)) return failure(SbiError.invalidParameter);
  for (let hart = 0; hart < machine.harts; hart++) {
    if (every || ((mask! << base!) & (1n << BigInt(hart))) !== 0n) act(hart);
  }
  return success();
}

/**
 * Legacy masks lie in the caller's memory; a null pointer means all harts. Harts that do not exist are passed over.
 *
 * NON-SPEC: a fault on reading the mask is an error code instead of a fault of the caller's; no kernel of this decade makes these calls.
 */
function forLegacyMask({ machine, hart, arguments: [pointer] }: Call, act: (hart: number) => void): SbiReply {
  const words: bigint[] = [];
  for (let n = 0; n < Math.ceil(machine.harts / 64); n++) {
    const word = pointer === 0n ? ALL : machine.readVirtual(hart, BigInt.asUintN(64, pointer! + BigInt(8 * n)));
    if (word === undefined) return { error: BigInt(SbiError.invalidAddress) };
    words.push(word);
  }
  for (let target = 0; target < machine.harts; target++) {
    if (((words[target >>> 6]! >> BigInt(target & 63)) & 1n) === 1n) act(target);
  }
  return { error: 0n };
}

/** "The remote fence operation applies to the entire address space if": both 0, or the size all ones. */
function translations([start, size, asid]: readonly bigint[]): RemoteFence {
  const everything = (start === 0n && size === 0n) || size === ALL;
  return {
    kind: 'translations',
    ...(everything ? {} : { start: start!, size: size! }),
    ...(asid === undefined ? {} : { asid }),
  };
}

function executable(machine: SbiMachine, address: bigint): boolean {
  return (address & 1n) === 0n && isRam(machine, 2n, address, 0n);
}

/** "Shared memory physical address range parameter": all of it is RAM; an empty range need only begin in it. */
function isRam({ memory }: SbiMachine, length: bigint, low: bigint, high: bigint): boolean {
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  if (high !== 0n || low > limit || length > limit) return false;
  return memory.view(Number(low), Number(length)) !== undefined;
}

function success(value = 0n): SbiReply {
  return { error: 0n, value };
}

function failure(error: SbiError): SbiReply {
  return { error: BigInt(error), value: 0n };
}

function valueOnly(reply: SbiReply): SbiReply {
  return reply && { error: reply.error };
}
