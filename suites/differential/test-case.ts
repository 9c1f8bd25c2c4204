/** Where tests lie, as in the filetests: one page of code, then data. riscv64-oracle.c has the same figures. */
export const CODE = 0x1000;
export const CODE_SIZE = 1024;
export const WINDOW = 0x2000;
export const WINDOW_SIZE = 512;

/** A block of code and the state it starts from. */
export interface TestCase {
  /** x0 to x31; x0 is 0. */
  readonly x: BigUint64Array;
  readonly f: BigUint64Array;
  /** frm and fflags as in fcsr. */
  readonly fcsr: number;
  /** Ends with EBREAK. At most CODE_SIZE bytes. */
  readonly code: Uint8Array;
  /** WINDOW_SIZE bytes at WINDOW. */
  readonly window: Uint8Array;
}

/** How a block came to its end. */
export type StopKind = 'breakpoint' | 'illegal' | 'fault' | 'misaligned';

/** The state a test ends in. */
export interface Answer {
  readonly stop: StopKind;
  readonly pc: bigint;
  readonly x: BigUint64Array;
  readonly f: BigUint64Array;
  readonly fcsr: number;
  readonly window: Uint8Array;
}

const REGISTER_BYTES = 64 * 8;
export const TEST_SIZE = REGISTER_BYTES + 8 + CODE_SIZE + WINDOW_SIZE;
export const ANSWER_SIZE = REGISTER_BYTES + 8 + WINDOW_SIZE;

/** Linux's signal numbers. */
const STOPS: Readonly<Record<number, StopKind>> = { 5: 'breakpoint', 4: 'illegal', 11: 'fault', 7: 'misaligned' };

/** Fills in a record of the oracle's input. */
export function writeTest({ x, f, fcsr, code, window }: TestCase, view: DataView): void {
  for (let i = 0; i < 32; i++) {
    view.setBigUint64(8 * i, x[i]!, true);
    view.setBigUint64(8 * (32 + i), f[i]!, true);
  }
  view.setUint32(REGISTER_BYTES, fcsr, true);
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  bytes.set(code, REGISTER_BYTES + 8);
  bytes.set(window, REGISTER_BYTES + 8 + CODE_SIZE);
}

/** Reads a record of the oracle's output. @throws Error when the signal is none of those it handles. */
export function readAnswer(view: DataView): Answer {
  const x = new BigUint64Array(32);
  const f = new BigUint64Array(32);
  for (let i = 0; i < 32; i++) {
    x[i] = i === 0 ? 0n : view.getBigUint64(8 * i, true);
    f[i] = view.getBigUint64(8 * (32 + i), true);
  }
  const signal = view.getUint32(REGISTER_BYTES + 4, true);
  const stop = STOPS[signal];
  if (stop === undefined) throw new Error(`the oracle answered with signal ${signal}`);
  const start = view.byteOffset + REGISTER_BYTES + 8;
  return {
    stop,
    pc: view.getBigUint64(0, true),
    x,
    f,
    fcsr: view.getUint32(REGISTER_BYTES, true),
    window: new Uint8Array(view.buffer, start, WINDOW_SIZE).slice(),
  };
}

/** What differs, in words: empty when nothing does. */
export function answerDifferences(actual: Answer, expected: Answer): string[] {
  const found: string[] = [];
  const note = (name: string, is: unknown, should: unknown) => {
    if (is !== should) found.push(`${name} is ${show(is)}, expected ${show(should)}`);
  };
  note('stop', actual.stop, expected.stop);
  note('pc', actual.pc, expected.pc);
  for (let i = 1; i < 32; i++) note(`x${i}`, actual.x[i], expected.x[i]);
  for (let i = 0; i < 32; i++) note(`f${i}`, actual.f[i], expected.f[i]);
  note('fcsr', actual.fcsr, expected.fcsr);
  for (let at = 0; at < WINDOW_SIZE; at++) note(`mem[${show(WINDOW + at)}]`, actual.window[at], expected.window[at]);
  return found;
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : `0x${(value as number | bigint).toString(16)}`;
}
