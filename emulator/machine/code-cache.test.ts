import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { elfPath, expectedOutput, findGuest, guestArguments } from '../../suites/guests/guests.ts';
import { HostError } from '../check/errors.ts';
import { ByteSink, ByteSource } from '../linux-user/stdio.ts';
import { BASELINE } from '../tier/policy.ts';
import { decodeCode, encodeCode } from '../tier/region/code-file.ts';
import type { StoredCode } from '../tier/region/code-store.ts';
import { CodeCache } from './code-cache.ts';
import { runUser } from './user.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-code-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));
let directories = 0;
const freshDirectory = () => path.join(root, String(directories++));

const GUEST_SIZE = 2 ** 26;

function run(name: string, cacheDirectory: string) {
  const guest = findGuest(name);
  const output = new ByteSink();
  const result = runUser({
    program: { path: `/${name}`, bytes: fs.readFileSync(elfPath(guest, 'riscv64')) },
    argv: [name, ...guestArguments(guest, 'quick')],
    stdio: [new ByteSource(new Uint8Array()), output, output],
    memorySize: GUEST_SIZE,
    deterministic: true,
    cacheDirectory,
    tier: 'auto',
  });
  assert.deepEqual(result.outcome, { kind: 'exit', code: 0 });
  assert.equal(output.text(), expectedOutput(guest, 'quick'));
  return result;
}

test('second starts translate a third of what the first ones did at most, and compute the same', (context) => {
  const sum = { first: 0, second: 0 };
  for (const name of ['quicksort', 'dhry', 'nbody', 'lz']) {
    const directory = freshDirectory();
    const first = run(name, directory);
    const second = run(name, directory);
    context.diagnostic(
      `${name}: ${first.translation!.translated} translations, then ${second.translation!.translated}`,
    );
    assert.ok(first.translation!.translated > 0 && first.cache!.saved > 0, 'the first run leaves something');
    assert.equal(second.cache!.loaded, first.cache!.saved);
    assert.ok(second.translation!.reused > 0 && second.translation!.translated < first.translation!.translated, name);
    assert.equal(second.counters.instructions, first.counters.instructions);
    const interpreted = ({ vcpu, counters }: typeof first) => counters.instructions - vcpu['regionInstructions']!;
    assert.ok(interpreted(second) < interpreted(first), 'known code does not have to become hot again');
    sum.first += first.translation!.translated;
    sum.second += second.translation!.translated;
  }
  assert.ok(sum.second * 3 <= sum.first, JSON.stringify(sum));
});

const subject = { program: new Uint8Array([1]), isa: 'riscv64', guestSize: GUEST_SIZE, policy: BASELINE };

/** A store that a run has left, and its bytes as a file. */
function sample(): { regions: StoredCode[]; file: string } {
  const directory = freshDirectory();
  run('quicksort', directory);
  const file = path.join(directory, fs.readdirSync(directory)[0]!);
  const body = new Uint8Array(fs.readFileSync(file)).slice(0, -16);
  const [, key] = /"key":("(?:[^"\\]|\\.)*")/.exec(Buffer.from(body).toString('latin1'))!;
  const regions = decodeCode(body, JSON.parse(key!) as string, GUEST_SIZE);
  assert.ok(Array.isArray(regions) && regions.length > 0);
  return { regions, file };
}

test('what is encoded is decoded to the same, for the same key only', () => {
  const { regions } = sample();
  const file = encodeCode(regions, 'key');
  assert.deepEqual(encodeCode(decodeCode(file, 'key', GUEST_SIZE) as StoredCode[], 'key'), file);
  assert.equal(decodeCode(file, 'other', GUEST_SIZE), 'foreign');
});

test('a file that is cut off or changed anywhere is ignored and counted', () => {
  const directory = freshDirectory();
  const written = new CodeCache(directory, subject, 'engine');
  for (const { code, source } of sample().regions) written.store.add(code, source);
  written.save();
  const whole = fs.readFileSync(written.path);
  assert.equal(new CodeCache(directory, subject, 'engine').counters.loaded, written.counters.saved);
  const damage = fc.oneof(
    fc.nat(whole.length - 1).map((length) => whole.subarray(0, length)),
    fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, bits]) => {
      const changed = Buffer.from(whole);
      changed[at]! ^= bits;
      return changed;
    }),
    fc.uint8Array({ maxLength: 200 }),
  );
  fc.assert(
    fc.property(damage, (bytes) => {
      fs.writeFileSync(written.path, bytes);
      const { counters, store } = new CodeCache(directory, subject, 'engine');
      assert.deepEqual({ ...counters }, { loaded: 0, rejected: 1, saved: 0, bytes: 0 });
      assert.equal(store.bytes, 0);
    }),
    { numRuns: 100 },
  );
});

test('a damaged file is written anew', () => {
  const { file } = sample();
  const directory = path.dirname(file);
  fs.writeFileSync(file, fs.readFileSync(file).subarray(0, 1000));
  assert.equal(run('quicksort', directory).cache!.rejected, 1);
  assert.deepEqual(fs.readdirSync(directory), [path.basename(file)], 'and nothing else is left');
  assert.equal(run('quicksort', directory).cache!.rejected, 0);
});

test('a file with a right checksum and wrong fields is refused, whatever is wrong', () => {
  const [{ code, source }] = sample().regions as [StoredCode];
  const wrong: Record<string, object> = {
    'a seed outside of memory': { seed: GUEST_SIZE + 2 },
    'a seed that is no entry': { seed: code.seed + 2 },
    'a seed that is text': { seed: '1' },
    'no entries': { entries: [] },
    'entries that are no list': { entries: 3 },
    'an exit of no kind': { exits: [{ pc: 0, refund: 0, kind: 'toString' }] },
    'a negative refund': { exits: [{ pc: 0, refund: -1, kind: 'interpret' }] },
    'an exit outside of memory': { exits: [{ pc: GUEST_SIZE + 2, refund: 0, kind: 'interpret' }] },
    'ranges that overlap': { ranges: [...code.ranges, ...code.ranges] },
    'ranges without end': { ranges: [[0, 2 ** 60]] },
    'a range of three': { ranges: [[0, 2, 4]] },
    'other bytes than the ranges say': { ranges: [[0, 2]] },
    'a float operation that is none': { floatOps: [{ name: 'constructor', type: 'f64', args: [0] }] },
    'an integer operation': { floatOps: [{ name: 'add', type: 'i64', args: [0, 0] }] },
    'a mode outside of the state': { circumstances: { modes: [[1e6, 0]], inexactAccrued: false } },
    'an assumption of nothing': { assumptions: [null] },
    'no longest run': { longest: 0 },
    'pages where addresses are not translated': { pages: [0] },
  };
  for (const [what, fields] of Object.entries(wrong)) {
    const file = encodeCode([{ code: { ...code, ...fields } as StoredCode['code'], source }], 'key');
    assert.equal(decodeCode(file, 'key', GUEST_SIZE), 'damaged', what);
  }
  assert.ok(Array.isArray(decodeCode(encodeCode([{ code, source }], 'key'), 'key', GUEST_SIZE)));
});

test('another engine, program, size or policy has a file of its own', () => {
  const directory = freshDirectory();
  const paths = [
    new CodeCache(directory, subject, 'one').path,
    new CodeCache(directory, subject, 'two').path,
    new CodeCache(directory, { ...subject, program: new Uint8Array([2]) }, 'one').path,
    new CodeCache(directory, { ...subject, guestSize: 2 ** 20 }, 'one').path,
    new CodeCache(directory, { ...subject, policy: { ...BASELINE, passes: true } }, 'one').path,
    new CodeCache(directory, { ...subject, disabledPasses: new Set(['algebra']) }, 'one').path,
  ];
  assert.equal(new Set(paths).size, paths.length);
});

test('a file that cannot be read is counted; that it cannot be written either is a clear error', () => {
  const directory = freshDirectory();
  fs.mkdirSync(new CodeCache(directory, subject, 'engine').path);
  const cache = new CodeCache(directory, subject, 'engine');
  assert.deepEqual({ ...cache.counters }, { loaded: 0, rejected: 1, saved: 0, bytes: 0 });
  assert.throws(() => cache.save(), HostError);
  assert.equal(fs.readdirSync(directory).length, 1, 'and nothing else is left');
});

test('a directory that cannot be one is a clear error', () => {
  const file = path.join(root, 'file');
  fs.writeFileSync(file, '');
  assert.throws(() => new CodeCache(path.join(file, 'below'), subject, 'engine'), HostError);
});
