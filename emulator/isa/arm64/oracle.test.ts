// Holds random A64 instructions against qemu: registers, flags, memory.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomWords, testSeed } from '../../bits/float-operands.ts';
import { askOracle, biased, BlockMachine, CODE, WINDOW, WINDOW_SIZE } from '../../filetests/single-instruction.ts';
import { Builder } from '../../ir/builder.ts';
import type { Decoded } from '../instruction.ts';
import { arm64 } from './index.ts';
import { C, N, STACK, V, X, Z } from './registers.ts';
import { A64 } from './rows.ts';

/** INSTANCES=1000000 for a long run. */
const INSTANCES = Number(process.env['INSTANCES'] ?? 10_000);
/** Translating an instance to WebAssembly takes far longer than evaluating it: one in so many is, beyond the first 10,000. */
const TRANSLATED = 20;
const INPUT = 33 * 8 + WINDOW_SIZE + 8;
const OUTPUT = 33 * 8 + WINDOW_SIZE;
const ROWS = A64.filter(({ mnemonic }) => !/^(b|bl|b\..*|cbn?z|ret)$/.test(mnemonic));
const FLAGS = [V, C, Z, N];

/** Whether the word has one defined meaning, does not touch x30 (the way back), and where its memory operand is. */
function usable({ row, operands }: Decoded): boolean {
  const entries = Object.entries(operands).filter(([name]) => row.operands[name]!.file !== undefined);
  if (entries.some(([, value]) => value === 30)) return false;
  if (!/^(ldp|stp)$/.test(row.mnemonic)) return true;
  const [first, second] = ['xt', 'wt', 'xs', 'ws'].flatMap((name) =>
    name in operands ? [operands[name], operands[`${name}2`]] : [],
  );
  // Loading one register twice, or writing back to one that is data, is unpredictable.
  if (row.mnemonic === 'ldp' && first === second) return false;
  return !/pre|post/.test(row.name) || (operands['base'] !== first && operands['base'] !== second);
}

test('random instructions do what qemu does', (t) => {
  const seed = testSeed();
  t.diagnostic(`seed ${seed}`);
  const random = randomWords(seed);
  const records = new Uint8Array(INSTANCES * INPUT);
  const cases: Decoded[] = [];
  while (cases.length < INSTANCES) {
    const row = ROWS[random() % ROWS.length]!;
    const word = ((random() & ~row.mask) | row.match) >>> 0;
    const decoded = arm64.decode(
      Uint8Array.from([0, 8, 16, 24], (shift) => word >>> shift),
      0,
    );
    if (!decoded || !usable(decoded)) continue;
    const view = new DataView(records.buffer, INPUT * cases.length, INPUT);
    for (let i = 0; i < 31; i++) view.setBigUint64(8 * i, biased(random), true);
    view.setBigUint64(8 * 31, BigInt(WINDOW + 16 * (random() % 16)), true);
    view.setBigUint64(8 * 32, BigInt(random() % 16) << 28n, true);
    const { base, offset8, offset4 } = decoded.operands;
    if (base !== undefined) {
      const offset = row.name.includes('post') ? 0 : (offset8 ?? offset4)!;
      // qemu does not check the alignment of sp in user mode, yet keeps to it.
      const unit = base === STACK ? 16 : 1;
      const start = WINDOW + ((random() % (WINDOW_SIZE - 16)) & -unit) - (base === STACK ? 0 : offset);
      const address = start + (base === STACK ? offset : 0);
      if (address < WINDOW || address > WINDOW + WINDOW_SIZE - 16) continue;
      view.setBigUint64(8 * (base === STACK ? 31 : base), BigInt(start), true);
    }
    for (let i = 0; i < WINDOW_SIZE; i += 4) view.setUint32(8 * 33 + i, random(), true);
    view.setUint32(8 * 33 + WINDOW_SIZE, word, true);
    cases.push(decoded);
  }
  const machine = {
    compilers: ['aarch64-linux-gnu-gcc', ...(process.arch === 'arm64' ? ['gcc'] : [])],
    emulator: process.arch === 'arm64' ? undefined : 'qemu-aarch64',
  };
  const answers: ReturnType<typeof askOracle> = askOracle(join(import.meta.dirname, 'oracle.c'), machine, records);
  if ('missing' in answers) return t.skip(answers.missing);
  assert.equal(answers.length, INSTANCES * OUTPUT);

  const subject = new BlockMachine();
  const seen = new Set<string>();
  let translated = 0;
  for (const [index, decoded] of cases.entries()) {
    const input = new DataView(records.buffer, INPUT * index, INPUT);
    const expected: DataView = new DataView(answers.buffer, answers.byteOffset + OUTPUT * index, OUTPUT);
    const builder = new Builder('aarch64');
    builder.beginInstruction(BigInt(CODE), 4);
    const { row, operands } = arm64.canonical(decoded);
    row.lift(builder, operands);
    seen.add(row.name);
    for (const executor of ['evaluate', 'wasm'] as const) {
      if (executor === 'wasm' && index >= 10_000 && index % TRANSLATED !== 0) continue;
      if (executor === 'wasm') translated++;
      const { state, window } = subject;
      const place = (i: number): number => X.offset + 8 * (i === 31 ? STACK : i);
      for (let i = 0; i < 32; i++) state.setBigUint64(place(i), input.getBigUint64(8 * i, true), true);
      const flags = Number(input.getBigUint64(8 * 32, true) >> 28n);
      FLAGS.forEach(({ offset }, bit) => state.setUint32(offset, (flags >> bit) & 1, true));
      window.set(records.subarray(INPUT * index + 8 * 33, INPUT * index + 8 * 33 + WINDOW_SIZE));
      const what = `${executor}: ${arm64.disassemble(decoded, BigInt(CODE))}, instance ${index}; SEED=${seed}`;
      assert.equal(subject.run(executor, builder.block).kind, 'end', what);
      for (let i = 0; i < 32; i++)
        if (state.getBigUint64(place(i), true) !== expected.getBigUint64(8 * i, true))
          assert.fail(
            `${what}: register ${i} is ${state.getBigUint64(place(i), true).toString(16)}, not ${expected.getBigUint64(8 * i, true).toString(16)}`,
          );
      const found = FLAGS.reduce((sum, { offset }, bit) => sum | (state.getUint32(offset, true) << bit), 0);
      assert.equal(found, Number(expected.getBigUint64(8 * 32, true) >> 28n), `${what}: flags`);
      const there = answers.subarray(OUTPUT * index + 8 * 33, OUTPUT * index + 8 * 33 + WINDOW_SIZE);
      assert.equal(Buffer.compare(window, there), 0, `${what}: memory`);
    }
  }
  t.diagnostic(`${INSTANCES} instances of ${seen.size} rows agree, ${translated} of them also as WebAssembly`);
  assert.equal(seen.size, ROWS.length);
});
