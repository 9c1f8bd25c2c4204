import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../bits/float-operands.ts';
import { Random } from '../../ir/random.ts';
import { riscv64 } from '../../isa/riscv/index.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { CaseTable } from './case-table.ts';
import { PageLayout } from './record.ts';
import { RecordCache } from './record-cache.ts';
import { RecordEncoder } from './record-encoder.ts';

const CASES = 200_000;
/** Few enough to come again, more than there are slots. */
const WORDS = 40_000;

test('a record that is remembered is the one that would be made, wherever its instruction stands', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const table = new CaseTable(riscv64, []);
  const encoder = new RecordEncoder(riscv64, new PageLayout(riscv64), table, new RecordCache());
  const bytes = new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  const words = Array.from({ length: WORDS }, () => {
    // Half of them jumps, as only these depend on where they stand.
    const opcode = random.pick([0x63, 0x6f, 0x13, 0x03, 0x01, 0x02]);
    return ((random.below(2 ** 25) << 7) | opcode) >>> 0;
  });
  const target = new Int32Array(6);
  const seen = { known: 0, near: 0, far: 0, made: 0 };
  for (let round = 0; round < CASES; round++) {
    view.setUint32(0, random.pick(words), true);
    const word = riscv64.wordAt!(bytes, 0)!;
    const decoded = riscv64.decodeExecuted(bytes, 0);
    if (decoded === undefined) continue;
    const offset = 2 * random.below(PAGE_SIZE / 2);
    const expected = encoder.encode(decoded, offset);
    const op = encoder.cache.copy(word, offset, target, 1);
    if (op === 0) {
      seen.made++;
      encoder.encode(decoded, offset, word);
      continue;
    }
    seen.known++;
    seen[expected.which.near ? 'near' : 'far']++;
    assert.equal(op, expected.which.op, `${word.toString(16)} at ${offset}`);
    assert.deepEqual([...target], [0, ...expected.words, 0]);
  }
  context.diagnostic(JSON.stringify(seen));
  // With one place for each encoding it were 2.4 times.
  assert.ok(seen.known > 3 * seen.made, 'encodings that share a place push each other out less');
  for (const [what, times] of Object.entries(seen)) assert.ok(times > 1000, `${what}: ${times}`);
});
