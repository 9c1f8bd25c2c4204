import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { type Answer, CODE, type TestCase, WINDOW, WINDOW_SIZE } from './test-case.ts';

/** An instruction of a test's code. */
export interface Place {
  readonly at: number;
  readonly length: number;
  readonly name: string;
  /** In assembly, as filetests have it. */
  readonly line: string;
  readonly operands: Readonly<Record<string, number>>;
}

/** The instructions up to the EBREAK that ends a test, or to bytes that are none. */
export function listCode(code: Uint8Array): Place[] {
  const places: Place[] = [];
  for (let at = 0; ;) {
    const decoded = riscv64.decode(code, at);
    if (decoded === undefined || decoded.row.mnemonic === 'ebreak' || decoded.row.mnemonic === 'c.ebreak')
      return places;
    const line = riscv64
      .disassemble(decoded, BigInt(CODE + at))
      .replaceAll(/\s+/g, ' ')
      .replaceAll(',', ', ');
    places.push({ at, length: decoded.length, name: decoded.row.name, line, operands: decoded.operands });
    at += decoded.length;
  }
}

/** A test and the state it must end in as a case of a filetest: source lines, then its run. */
export function filetestCase(test: TestCase, expected: Answer): string[] {
  return [...listCode(test.code).map(({ line }) => line), filetestRun(test, expected)];
}

/** `; run: IN => OUT`; OUT names what has changed. */
export function filetestRun(test: TestCase, expected: Answer): string {
  const given: string[] = [];
  const changed: string[] = [];
  for (const file of ['x', 'f'] as const) {
    for (let i = 0; i < 32; i++) {
      const [before, after] = [test[file][i]!, expected[file][i]!];
      if (before !== 0n) given.push(`${file}${i}=${hex(before)}`);
      if (after !== before) changed.push(`${file}${i}=${hex(after)}`);
    }
  }
  const fields = [
    ['frm', test.fcsr >>> 5, expected.fcsr >>> 5],
    ['fflags', test.fcsr & 31, expected.fcsr & 31],
  ] as const;
  for (const [name, before, after] of fields) {
    if (before !== 0) given.push(`${name}=${before}`);
    if (after !== before) changed.push(`${name}=${after}`);
  }
  for (let at = 0; at < WINDOW_SIZE; at += 8) {
    const before = test.window.subarray(at, at + 8);
    const after = expected.window.subarray(at, at + 8);
    const key = `mem[${hex(WINDOW + at)}]`;
    if (before.some((byte) => byte !== 0)) given.push(`${key}=${Buffer.from(before).toString('hex')}`);
    if (Buffer.compare(before, after) !== 0) changed.push(`${key}=${Buffer.from(after).toString('hex')}`);
  }
  const end = CODE + (listCode(test.code).at(-1)?.at ?? 0) + (listCode(test.code).at(-1)?.length ?? 0);
  switch (expected.stop) {
    case 'breakpoint':
      if (expected.pc !== BigInt(end) || jumps(test.code)) changed.push(`pc=${hex(expected.pc)}`);
      break;
    case 'illegal':
      changed.push('trap=2', `pc=${hex(expected.pc)}`);
      break;
    default:
      // The oracle does not say which access it was.
      changed.push(`fault=${expected.stop}`, `pc=${hex(expected.pc)}`);
  }
  return `; run: ${given.join(' ')} => ${changed.join(' ')}`.replaceAll(/ +/g, ' ').trimEnd();
}

/** Whether pc may be elsewhere than behind the code. */
export function jumps(code: Uint8Array): boolean {
  return listCode(code).some(({ name, operands }) => 'target' in operands || /^(jalr|c\.jr|c\.jalr)$/.test(name));
}

function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}
