import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { testSeed } from '../../bits/float-operands.ts';
import { Random } from '../../ir/random.ts';
import { arm64 } from '../../isa/arm64/index.ts';
import type { Isa } from '../../isa/instruction.ts';
import { riscv64 } from '../../isa/riscv/index.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { CaseTable } from './case-table.ts';
import { PageLayout } from './record.ts';
import { RecordEncoder } from './record-encoder.ts';
import { RecordTemplates } from './record-templates.ts';

const COMPRESSED = 2 ** 16;
const WORDS_OF_A_ROW = 2000;

class Fixture {
  readonly isa: Isa;
  readonly encoder: RecordEncoder;
  readonly bytes = new Uint8Array(4);
  readonly view = new DataView(this.bytes.buffer);
  readonly target = new Int32Array(6);
  /** Rows of which some words have no template. */
  readonly general = new Set<string>();
  readonly seen = { general: 0, near: 0, far: 0, straight: 0 };

  constructor(isa: Isa) {
    this.isa = isa;
    this.encoder = new RecordEncoder(isa, new PageLayout(isa), new CaseTable(isa, []));
  }

  /** Compares what a template makes of a word with what the encoder does, and its own general way. */
  check(templates: RecordTemplates, bits: number, offset: number): void {
    this.view.setUint32(0, bits, true);
    const word = this.isa.wordAt!(this.bytes, 0)!;
    const decoded = this.isa.decode(this.bytes, 0);
    const op = templates.write(word, offset, this.target.fill(0), 1);
    if (decoded === undefined || op === 0) {
      assert.deepEqual([...this.target], [0, 0, 0, 0, 0, 0]);
      if (decoded === undefined) assert.equal(op, 0, `${word.toString(16)} is no instruction`);
      else {
        this.seen.general++;
        this.general.add(decoded.row.name);
      }
      return;
    }
    const executed = this.isa.canonical(decoded);
    const { row, length, operands } = templates.executed(word)!;
    assert.equal(row, executed.row);
    assert.equal(length, executed.length);
    assert.deepEqual(operands, { ...executed.operands });
    const { which, words } = this.encoder.encode(executed, offset);
    const what = `${word.toString(16)} (${which.key}) at ${offset}`;
    assert.equal(op, which.op, what);
    assert.deepEqual([...this.target], [0, ...words, 0], what);
    const jumps = this.encoder.displacementOf(executed) !== undefined;
    this.seen[which.near ? 'near' : jumps ? 'far' : 'straight']++;
  }

  /** Words of all rows, and such as differ from them in a bit. */
  checkRows(templates: RecordTemplates, random: Random): void {
    for (const { mask, match, length } of this.isa.rows) {
      for (let round = 0; round < (length === 2 ? WORDS_OF_A_ROW / 10 : WORDS_OF_A_ROW); round++) {
        const others = Number(random.next() & 0xffff_ffffn);
        // Registers and numbers with few bits are special more often.
        const sparse = random.chance(50) ? others & Number(random.next() & 0xffff_ffffn) : others;
        const flipped = random.chance(10) ? 1 << random.below(32) : 0;
        const word = ((match & mask) | (sparse & ~mask)) ^ flipped;
        this.check(templates, word, this.isa.alignment * random.below(PAGE_SIZE / this.isa.alignment + 1));
      }
    }
  }
}

function seeded(context: TestContext): Random {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  return new Random(seed);
}

test('templates make the records of all words that the encoder does', (context) => {
  const random = seeded(context);
  const fixture = new Fixture(riscv64);
  const templates = new RecordTemplates(riscv64, fixture.encoder);
  for (let word = 0; word < COMPRESSED; word++)
    if ((word & 3) !== 3) fixture.check(templates, word, 2 * random.below(PAGE_SIZE / 2));
  assert.equal(fixture.seen.general, 0, 'compressed words all have one');
  fixture.checkRows(templates, random);
  context.diagnostic(JSON.stringify(fixture.seen));
  const { near, far, straight } = fixture.seen;
  assert.ok(near > 5000 && far > 5000 && straight > 100_000);
  assert.equal(fixture.seen.general, 0, 'so have the others');
});

test('templates are of any ISA with words', (context) => {
  const random = seeded(context);
  const fixture = new Fixture(arm64);
  const templates = new RecordTemplates(arm64, fixture.encoder);
  fixture.checkRows(templates, random);
  context.diagnostic(JSON.stringify(fixture.seen));
  assert.ok(fixture.seen.straight > 3 * fixture.seen.general && fixture.seen.near > 500 && fixture.seen.far > 5000);
  assert.match([...fixture.general].toSorted().join(), /^and \(32\),and \(64\)(,(and|eor|orr)s? \(\d\d\))*$/);
});

test('templates that were kept are all there are', (context) => {
  const random = seeded(context);
  const fixture = new Fixture(riscv64);
  const all = new RecordTemplates(riscv64, fixture.encoder);
  all.complete();
  const { numbers } = all;
  const refusing = { displacementOf: assert.fail, record: assert.fail } as unknown as RecordEncoder;
  const kept = new RecordTemplates(riscv64, refusing, numbers.slice());
  fixture.checkRows(kept, random);
  assert.deepEqual(kept.numbers, numbers);
});
