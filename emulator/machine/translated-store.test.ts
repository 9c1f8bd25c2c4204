import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { randomImage } from '../cpu/random-code.test-support.ts';
import { randomLoops } from '../cpu/random-loops.test-support.ts';
import { sampledPolicy } from '../cpu/random-policy.test-support.ts';
import { randomProgram, randomSpaghetti } from '../cpu/random-program.test-support.ts';
import { Random } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { OPTIMIZED } from '../tier/policy.ts';
import { decodeCode, encodeCode } from '../tier/region/code-file.ts';
import { CodeStore, type StoredCode } from '../tier/region/code-store.ts';
import { SystemReference } from './system-reference.ts';
import { layoutOf, type Make, memory, run, translating } from './translated-guest.test-support.ts';

const base = testSeed();
const ROUNDS = Number(process.env['ROUNDS'] ?? 8);
const reference: Make = (mmu, hooks) => new SystemReference(riscv64, memory, mmu, { hooks });

/** What the next process would have of a store. */
function fromFile(store: CodeStore): CodeStore {
  const regions = decodeCode(encodeCode(store, 'key'), 'key', 'anywhere');
  assert.ok(Array.isArray(regions), String(regions));
  const read = new CodeStore();
  for (const { code, source } of regions) read.add(code, source, false);
  read.checkInvariants();
  return read;
}

for (const [kind, image, budget] of [
  ['code', randomImage, 3000],
  ['programs', randomProgram, 6000],
  ['control flow', randomSpaghetti, 3000],
  ['loops', randomLoops, 12_000],
] as const) {
  test(`random ${kind} with translations from pages elsewhere in RAM ends as without`, (context) => {
    context.diagnostic(`SEED=${base}`);
    const sum = { translated: 0, reused: 0, known: 0, inRegions: 0 };
    for (let seed = base; seed < base + ROUNDS; seed++) {
      const random = new Random(seed);
      const start = image(random);
      const layouts = [layoutOf(random), layoutOf(random)] as const;
      const expected = layouts.map((layout) => run(seed, start, layout, budget, reference).end);
      for (const policy of [OPTIMIZED, sampledPolicy(random)]) {
        const store = new CodeStore();
        const first = run(seed, start, layouts[0], budget, translating({ policy, store }));
        assert.deepEqual(first.end, expected[0], `seed ${seed}`);
        const second = run(seed, start, layouts[1], budget, translating({ policy, store: fromFile(store) }));
        assert.deepEqual(second.end, expected[1], `seed ${seed}, with what was stored`);
        sum.translated += first.counters['translated']!;
        sum.reused += second.counters['reused']!;
        if (!policy.eager) sum.known += second.counters['reused']!;
        sum.inRegions += second.counters['regionInstructions']!;
      }
    }
    context.diagnostic(JSON.stringify(sum));
    assert.ok(sum.reused > ROUNDS && sum.known > 0, 'what was stored is used');
    assert.ok(sum.inRegions > 100 * ROUNDS, 'regions run');
  });
}

/** A region of two pages far up, as kernels have them, with its fields changed. */
function stored(fields: Partial<Record<keyof StoredCode['code'], unknown>> = {}): StoredCode {
  const pc = -0x8000_0000 + 0xffe;
  const code = {
    seed: pc,
    bytes: new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]),
    floatOps: [],
    exits: [{ pc: pc + 2, refund: 0, kind: 'return' }],
    entries: [{ pc, inlined: false }],
    ranges: [[pc, pc + 4]],
    pages: [-0x8000_0000, -0x8000_0000 + 0x1000],
    longest: 2,
    circumstances: { modes: [], inexactAccrued: false },
    assumptions: [],
    counters: { nodes: 1, instructions: 2, irOps: 1, wasmOps: 1, wasmBytes: 8 },
    ...fields,
  } as unknown as StoredCode['code'];
  return { code, source: new Uint8Array(4) };
}

test('a file is refused whose regions lie elsewhere than in their pages', () => {
  const decode = (region: StoredCode) => decodeCode(encodeCode([region], 'key'), 'key', 'anywhere');
  assert.ok(Array.isArray(decode(stored())));
  assert.equal(decodeCode(encodeCode([stored()], 'key'), 'key', 2 ** 26), 'damaged', 'for flat memory');
  const low = -0x8000_0000;
  const wrong: Record<string, Parameters<typeof stored>[0]> = {
    'no pages': { pages: [] },
    'a page missing': { pages: [low] },
    'pages in another order': { pages: [low + 0x1000, low] },
    'a page that does not begin where pages do': { pages: [low, low + 0x1000, 0x1001] },
    'more pages than are looked at': { pages: Array.from({ length: 9 }, (_, at) => low + 0x1000 * at) },
    'a page that is text': { pages: ['0'] },
    'an entry in another page': {
      entries: [
        { pc: low + 0xffe, inlined: false },
        { pc: 0, inlined: false },
      ],
    },
    'a range in another page': {
      ranges: [
        [low + 0xffe, low + 0x1000],
        [0x4000, 0x4002],
      ],
    },
    'a range without end': { ranges: [[low, 2 ** 52]] },
    'an address that is no number': { exits: [{ pc: NaN, refund: 0, kind: 'return' }] },
    'an assumption of memory': { assumptions: [{ low: 0, high: 1, write: false }] },
  };
  for (const [what, fields] of Object.entries(wrong)) assert.equal(decode(stored(fields)), 'damaged', what);
});

test('stored code that is no region is given up when it is wanted', () => {
  const store = new CodeStore();
  const wrong = [[], [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], [0, 0x61, 0x73, 0x6d, 1, 0, 0]];
  for (const bytes of wrong) {
    const { code, source } = stored({ bytes: new Uint8Array(bytes) });
    store.add(code, source, false);
    assert.deepEqual(store.seedsIn(code.seed), [code.seed]);
    assert.deepEqual(store.seedsIn(code.seed + 0x1000), [], 'it only runs on to there');
    assert.equal(store.verify(code), false);
    assert.equal(store.bytes, 0);
    store.checkInvariants();
  }
  assert.equal(store.counters.refused, wrong.length);
});
