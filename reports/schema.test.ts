import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseHostileJson } from './hostile-json.ts';
import { migrate } from './migration.ts';
import { ResultError } from './result-error.ts';
import { sampleDocument, sampleMeasurement } from './sample-document.ts';
import { headlineValue, mergeShards, parseResultDocument, serializeResultDocument } from './schema.ts';

test('a document survives being written and read, byte for byte', () => {
  const document = sampleDocument();
  const text = serializeResultDocument(document);
  assert.deepEqual(parseResultDocument(text, 'x'), document);
  assert.equal(serializeResultDocument(parseResultDocument(text, 'x')), text);
});

test('arbitrary finite samples and counters survive', () => {
  const sample = fc.double({ min: 0, max: 1e90, noNaN: true });
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 50 }), fc.maxSafeInteger(), (samples, count) => {
      const document = sampleDocument({}, [sampleMeasurement('a/b/c', { samples, counters: { n: count } })]);
      assert.deepEqual(parseResultDocument(serializeResultDocument(document), 'x').results[0]!.samples, samples);
    }),
  );
});

test('attainment follows the direction', () => {
  const target = { value: 50, from: 'REQUIREMENTS B2' };
  const of = (direction: 'lower' | 'higher', value: number) =>
    sampleDocument({}, [sampleMeasurement('a/b/c', { direction, target, samples: [value] })]).results[0]!.attainment!;
  assert.deepEqual(of('lower', 25), { target: 50, from: 'REQUIREMENTS B2', value: 25, ratio: 2, met: true });
  assert.equal(of('lower', 100).met, false);
  assert.equal(of('lower', 100).ratio, 0.5);
  assert.equal(of('higher', 100).met, true);
  assert.equal(of('higher', 25).ratio, 0.5);
  const failed = sampleMeasurement('a/b/c', { target, samples: [], error: 'x' });
  assert.deepEqual(sampleDocument({}, [failed]).results[0]!.attainment!.met, false);
  const notSampled = sampleMeasurement('a/b/c', { target, samples: [], counters: { bytes: 7 } });
  assert.equal(sampleDocument({}, [notSampled]).results[0]!.attainment, null, 'a count is held against no time');
});

test('a counter benchmark with one counter has it as its figure', () => {
  const [result] = sampleDocument({}, [sampleMeasurement('a/b/c', { samples: [], counters: { bytes: 7 } })]).results;
  const counted = { ...result!, kind: 'counter' } as const;
  assert.equal(headlineValue(counted), 7);
  assert.equal(headlineValue({ ...counted, counters: { a: 1, b: 2 } }), null);
  assert.equal(headlineValue(result!), null, 'a time that was not taken is not the count beside it');
});

test('newer schemas are refused in one clear line, older ones go through the migration table', () => {
  const newer = JSON.stringify({ ...sampleDocument(), schema: 2 });
  assert.throws(
    () => parseResultDocument(newer, 'run.json'),
    (error: unknown) => {
      assert.ok(error instanceof ResultError);
      assert.equal(error.line(), 'run.json: schema 2 is newer than 1, the newest this version reads; update vm-dyno');
      return true;
    },
  );
  assert.throws(() => parseResultDocument(JSON.stringify({ schema: 0 }), 'x'), /too old/);
  const steps = new Map<number, (document: object) => Record<string, unknown>>([
    [1, (document: object) => ({ ...document, b: 2 })],
    [2, (document: object) => ({ ...document, c: 3 })],
  ]);
  assert.deepEqual(migrate({ schema: 1, a: 1 }, 3, 'x', steps), { schema: 3, a: 1, b: 2, c: 3 });
});

test('shards merge in any order into the whole run', () => {
  const shard = (index: number, id: string) =>
    sampleDocument({ runId: `r-${index}`, shard: { index, count: 3 } }, [sampleMeasurement(id)]);
  const [one, two, three] = [shard(1, 'a/b/c'), shard(2, 'a/b/d'), shard(3, 'a/b/e')];
  const merged = mergeShards([three, one, two]);
  assert.deepEqual(
    merged.results.map(({ id }) => id),
    ['a/b/c', 'a/b/d', 'a/b/e'],
  );
  assert.equal(merged.shard, undefined);
  assert.equal(merged.runId, 'r-1');
  assert.throws(() => mergeShards([one, three]), /shard 2 of 3 is missing/);
  assert.throws(() => mergeShards([one, one, two]), /there twice/);
  assert.throws(() => mergeShards([]), ResultError);
  assert.throws(() => mergeShards([one, { ...two, commit: null }, three]), /differs in commit/);
  assert.throws(() => mergeShards([one, shard(2, 'a/b/c'), three]), /'a\/b\/c' twice/);
});

const good = serializeResultDocument(sampleDocument());

/** Every entry must be refused with a ResultError: never a crash, a hang, or an accepted document. */
function hostileTexts(): [name: string, text: string][] {
  const edit = (from: string, to: string): string => {
    assert.ok(good.includes(from), from);
    return good.replace(from, to);
  };
  const names = [
    '',
    'a',
    '../../etc/passwd',
    'a/b/../c',
    'A/B/C',
    'a//b',
    '/a/b',
    'a/b/',
    'a/b\\c',
    'a/b c',
    'a/<b>/c',
  ];
  names.push(
    'a/b|c',
    'a/`b`/c',
    'a/b\\nc',
    '-a/b',
    '--upload-pack=x/b',
    'a/b\\u0000',
    `a/${'b'.repeat(200)}`,
    '__proto__/b',
  );
  names.push(
    'a/\\u202eb',
    '=cmd/b',
    '@a/b',
    '+a/b',
    'a/b;c',
    'a/$(b)',
    "a/'b'",
    'a/b\\u001b[2J',
    'con/ä',
    'a/*',
    'a/?',
    'a/%2e',
  );
  const numbers = ['1e999', '-1e999', '1e200', '"100"', 'null', 'true', '[]', '{}'];
  const keys = ['__proto__', 'constructor', 'prototype'];
  const schemas = ['-1', '1.5', '"1"', 'null', '99', '1e999', '[]', 'true'];
  return [
    ...names.map((id): [string, string] => [`id ${id.slice(0, 40)}`, edit('"id":"decode/riscv/all"', `"id":"${id}"`)]),
    ...numbers.map((value): [string, string] => [`sample ${value}`, edit('"samples":[100,', `"samples":[${value},`)]),
    ...numbers.map((value): [string, string] => [
      `counter ${value}`,
      edit('instructions":1000', `instructions":${value}`),
    ]),
    ...keys.map((key): [string, string] => [`top key ${key}`, edit('{"schema"', `{"${key}":{"x":1},"schema"`)]),
    ...keys.map((key): [string, string] => [`counter key ${key}`, edit('"guest-instructions"', `"${key}"`)]),
    ...keys.map((key): [string, string] => [`condition key ${key}`, edit('"gc-events"', `"${key}"`)]),
    ...schemas.map((value): [string, string] => [`schema ${value}`, edit('"schema":1', `"schema":${value}`)]),
    ['escaped __proto__', edit('"gc-events"', String.raw`"__proto__"`)],
    ['unknown key', edit('{"schema"', '{"extra":1,"schema"')],
    ['counter name with a pipe', edit('"guest-instructions"', '"a|b"')],
    ['counter name with markup', edit('"guest-instructions"', '"<img>"')],
    ['title with an escape sequence', edit('Sample decode', String.raw`\u001b[31mdecode`)],
    ['title with a newline', edit('Sample decode', String.raw`a\nb`)],
    ['title with a line separator', edit('Sample decode', String.raw`a\u2028b`)],
    ['title that runs backwards', edit('Sample decode', String.raw`\u202etxt`)],
    ['negative memory', edit('"memoryMiB":8192', '"memoryMiB":-1')],
    ['direction unknown', edit('"lower"', '"sideways"')],
    ['title too long', edit('Sample decode', 'x'.repeat(501))],
    ['commit abbreviated', edit('1'.repeat(40), '1'.repeat(12))],
    ['commit that is an option', edit('1'.repeat(40), '--upload-pack=touch x')],
    ['run id with a slash', edit('"sample-1"', '"../x"')],
    ['run id that is an option', edit('"sample-1"', '"-x"')],
    ['date of the wrong form', edit('2026-01-02T03:04:05.000Z', 'yesterday')],
    ['date past the calendar', edit('2026-01-02', '2026-13-42')],
    ['profile unknown', edit('"quick"', '"fast"')],
    ['kind unknown', edit('"time"', '"vibes"')],
    ['hash short', edit('a'.repeat(64), 'abc')],
    ['cores zero', edit('"cores":2', '"cores":0')],
    ['shard past its count', edit('"dirty":false', '"dirty":false,"shard":{"index":3,"count":2}')],
    [
      'a benchmark twice',
      JSON.stringify({ ...sampleDocument(), results: [...sampleDocument().results, ...sampleDocument().results] }),
    ],
    ['empty', ''],
    ['a space', ' '],
    ['null', 'null'],
    ['an array', '[]'],
    ['a number', '1'],
    ['a string', '"x"'],
    ['HTML', '<html>'],
    ['two documents', good + good],
    ['a byte order mark', `\uFEFF${good}`],
    ['deep arrays', '['.repeat(5_000_000)],
    ['deep objects', '{"a":'.repeat(100_000)],
    ['deep and closed', `${'['.repeat(50_000)}${']'.repeat(50_000)}`],
    ['NaN', edit('"samples":[100,', '"samples":[NaN,')],
    ['a comment', `// x\n${good}`],
  ];
}

test('hostile documents are refused with one line that names the origin, and pollute nothing', () => {
  const corpus = hostileTexts();
  assert.ok(corpus.length >= 100, String(corpus.length));
  for (const [name, text] of corpus) {
    assert.throws(
      () => parseResultDocument(text, 'the-origin'),
      (error: unknown) => {
        assert.ok(error instanceof ResultError, `${name}: ${String(error)}`);
        const line = error.line();
        assert.ok(line.startsWith('the-origin: ') && !/\p{Cc}/u.test(line) && line.length < 600, `${name}: ${line}`);
        return true;
      },
      name,
    );
  }
  assert.equal(({} as Record<string, unknown>)['x'], undefined);
});

test('a document cut off anywhere is refused', () => {
  for (let length = 0; length < good.length - 1; length++) {
    assert.throws(() => parseResultDocument(good.slice(0, length), 'x'), ResultError);
  }
});

test('size is checked before parsing and depth ignores brackets inside strings', () => {
  assert.throws(() => parseHostileJson('[1,2,3]', 'x', { size: 6, depth: 5 }), /has 7 characters/);
  assert.deepEqual(parseHostileJson(String.raw`["[[[[[\"[[["]`, 'x', { size: 100, depth: 1 }), ['[[[[["[[[']);
  assert.throws(() => parseHostileJson('[[1]]', 'x', { size: 100, depth: 1 }), /deeper than 1/);
});
