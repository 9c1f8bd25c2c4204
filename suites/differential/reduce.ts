import { jumps, listCode } from './filetest.ts';
import { C_NOP, NOP } from './generate.ts';
import { CODE_SIZE, type TestCase, WINDOW_SIZE } from './test-case.ts';

/** A smaller test that `fails` as the given one does: instructions made no-operations and left out, inputs made zero. */
export function reduceTest(test: TestCase, fails: (test: TestCase) => boolean): TestCase {
  let smallest = test;
  const attempt = (candidate: TestCase): void => {
    if (fails(candidate)) smallest = candidate;
  };
  // From the end: what comes after the difference goes first.
  for (const { at, length } of listCode(test.code).reverse()) {
    const code = smallest.code.slice();
    for (let i = 0; i < length; i++) code[at + i] = (length === 4 ? NOP : C_NOP) >>> (8 * i);
    attempt({ ...smallest, code });
  }
  if (!jumps(smallest.code)) attempt({ ...smallest, code: withoutNops(smallest.code) });
  for (const file of ['x', 'f'] as const) {
    for (let i = 0; i < 32; i++) {
      if (smallest[file][i] === 0n) continue;
      const registers = smallest[file].slice();
      registers[i] = 0n;
      attempt({ ...smallest, [file]: registers });
    }
  }
  for (let at = 0; at < WINDOW_SIZE; at += 8) {
    if (smallest.window.subarray(at, at + 8).every((byte) => byte === 0)) continue;
    const window = smallest.window.slice();
    window.fill(0, at, at + 8);
    attempt({ ...smallest, window });
  }
  attempt({ ...smallest, fcsr: 0 });
  attempt({ ...smallest, fcsr: smallest.fcsr & ~31 });
  return smallest;
}

/** Only for code without jumps. */
function withoutNops(code: Uint8Array): Uint8Array {
  const kept: number[] = [];
  let end = 0;
  for (const { at, length, line } of listCode(code)) {
    if (line !== 'addi zero, zero, 0' && line !== 'c.nop') kept.push(...code.subarray(at, at + length));
    end = at + length;
  }
  const shorter = new Uint8Array(CODE_SIZE);
  shorter.set([...kept, ...code.subarray(end, end + 4)]);
  return shorter;
}
