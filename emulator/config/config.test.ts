import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { ConfigError } from '../check/errors.ts';
import { fileLayer, loadSettings } from './load.ts';
import { editDistance, nearestName } from './nearest.ts';
import { OPTIONS, OPTION_KEYS, variableOf } from './option.ts';
import { targetFor, thresholdsFor } from './override.ts';
import { environmentLayer, Settings } from './settings.ts';
import { duration, fraction, integer, size } from './value.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dyno-config-'));
});
after(() => rm(directory, { recursive: true }));

const lineOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof ConfigError, `${error} is not a ConfigError`);
    return error.line();
  }
  return assert.fail('nothing was thrown');
};

test('each layer overrides the one below and names itself', async () => {
  await writeFile(
    join(directory, 'dyno.config.json'),
    JSON.stringify({ thresholds: { regression: 0.12, improvement: '6%' }, 'harness.pin': false }),
  );
  const settings = await loadSettings({
    directory,
    environment: { DYNO_THRESHOLDS_REGRESSION: '0.13', DYNO_HARNESS_GATE_BUDGET: '2m', HOME: '/' },
    flags: { 'harness.gate.budget': '90s', 'harness.timeout': undefined },
    assignments: ['harness.quick.samples=7'],
  });
  assert.equal(settings.get('thresholds.regression'), 0.13);
  assert.equal(settings.origin('thresholds.regression'), 'DYNO_THRESHOLDS_REGRESSION');
  assert.equal(settings.get('thresholds.improvement'), 0.06);
  assert.equal(settings.origin('thresholds.improvement'), 'dyno.config.json');
  assert.equal(settings.get('harness.pin'), false);
  assert.equal(settings.get('harness.gate.budget'), 90_000);
  assert.equal(settings.origin('harness.gate.budget'), 'flag');
  assert.equal(settings.get('harness.quick.samples'), 7);
  assert.equal(settings.origin('thresholds.critical'), 'default');
  assert.equal(settings.rows().length, OPTION_KEYS.length);
});

test('a TypeScript configuration is loaded through its default export', async () => {
  const file = join(directory, 'own.config.ts');
  await writeFile(file, 'export default { thresholds: { regression: 0.15 as number } };\n');
  const settings = await loadSettings({ directory, file, environment: {} });
  assert.equal(settings.get('thresholds.regression'), 0.15);
});

test('a configuration that throws, is not JSON or is missing when named is one clear line', async () => {
  const throwing = join(directory, 'throwing.config.ts');
  await writeFile(throwing, 'throw new Error("no licence");\n');
  await assert.rejects(loadSettings({ directory, file: throwing, environment: {} }), /no licence/);
  const broken = join(directory, 'broken.json');
  await writeFile(broken, '{ "thresholds": ');
  await assert.rejects(loadSettings({ directory, file: broken, environment: {} }), ConfigError);
  await assert.rejects(loadSettings({ directory, file: join(directory, 'none.json'), environment: {} }), ConfigError);
});

test('an unknown key is an error that names the nearest one', () => {
  assert.match(
    lineOf(() => fileLayer({ thresholds: { regresion: 0.1 } }, 'f.json')),
    /^f\.json: unknown option 'thresholds\.regresion'; did you mean 'thresholds\.regression'\?$/,
  );
  assert.match(
    lineOf(() => environmentLayer({ DYNO_THRESHOLD_REGRESSION: '1' })),
    /did you mean 'DYNO_THRESHOLDS_REGRESSION'/,
  );
  assert.equal(environmentLayer({ DYNO_CHECK: 'full' }).values.size, 0);
});

test('a wrong value is an error that names key and origin', () => {
  const line = lineOf(() => new Settings([fileLayer({ thresholds: { regression: -1 } }, 'f.json').layer]));
  assert.match(line, /f\.json \(thresholds\.regression\): -1 is not a fraction/);
  assert.match(
    lineOf(() => new Settings([fileLayer({ thresholds: { regression: 0.5 } }, 'f.json').layer])),
    /thresholds\.regression is above thresholds\.critical/,
  );
});

test('overrides by glob: the last match wins, name by name', () => {
  const { overrides } = fileLayer(
    {
      overrides: { '**': { regression: 0.3 }, 'memory/tlb/*': { regression: '15%', critical: 0.5 } },
      targets: { 'memory/tlb/hit': 50, 'memory/**': 400 },
    },
    'f.json',
  );
  assert.deepEqual(thresholdsFor(overrides, 'memory/tlb/hit'), { regression: 0.15, critical: 0.5 });
  assert.deepEqual(thresholdsFor(overrides, 'isa/riscv/decode'), { regression: 0.3 });
  assert.deepEqual(targetFor(overrides, 'memory/tlb/hit'), { value: 400, from: 'f.json' });
  assert.equal(targetFor(overrides, 'isa/riscv/decode'), undefined);
  assert.match(
    lineOf(() => fileLayer({ overrides: { '**': { critcal: 1 } } }, 'f.json')),
    /did you mean 'critical'/,
  );
  assert.match(
    lineOf(() => fileLayer({ targets: { '**': 'fast' } }, 'f.json')),
    /not a finite number/,
  );
});

test('__proto__, constructor and prototype are unknown options and pollute nothing', () => {
  for (const hostile of [
    '{"__proto__":{"polluted":1}}',
    '{"constructor":{"prototype":{"polluted":1}}}',
    '{"thresholds":{"__proto__":{"regression":0.5}}}',
    '{"overrides":{"__proto__":{"regression":0.5}},"targets":{"__proto__":1}}',
    '{"overrides":{"**":{"__proto__":{"regression":9}}}}',
  ]) {
    try {
      fileLayer(JSON.parse(hostile), 'f.json');
    } catch (error) {
      assert.ok(error instanceof ConfigError, `${hostile}: ${error}`);
    }
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
    assert.equal(({} as Record<string, unknown>)['regression'], undefined);
  }
});

test('any JSON object is either merged or refused with a ConfigError', () => {
  const seed = Number(process.env['DYNO_SEED'] ?? 20261121);
  fc.assert(
    fc.property(
      fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('thresholds', 'harness')), fc.jsonValue()),
      (raw) => {
        try {
          void new Settings([fileLayer(raw, 'f.json').layer]);
        } catch (error) {
          assert.ok(error instanceof ConfigError, String(error));
        }
        assert.deepEqual(Object.keys(Object.prototype), []);
      },
    ),
    { seed, numRuns: 300 },
  );
});

test('deeply nested input is refused without recursion to its depth', () => {
  let raw: unknown = 1;
  for (let level = 0; level < 50_000; level++) raw = { thresholds: raw };
  assert.match(
    lineOf(() => fileLayer(raw, 'f.json')),
    /unknown option 'thresholds\.thresholds'/,
  );
});

test('every default is of its own type and every variable name is unique', () => {
  for (const key of OPTION_KEYS) {
    const { type, default: initial, doc } = OPTIONS[key];
    assert.equal((type as { read(raw: unknown, where: string): unknown }).read(initial, key), initial);
    assert.ok(doc.length > 10 && !doc.endsWith('.'), key);
  }
  assert.equal(new Set(OPTION_KEYS.map(variableOf)).size, OPTION_KEYS.length);
});

test('values with units', () => {
  assert.equal(duration.read('1.5s', ''), 1500);
  assert.equal(duration.format(600_000), '10m');
  assert.equal(size.read('256M', ''), 2 ** 28);
  assert.equal(size.format(2 ** 28), '256M');
  assert.equal(fraction.format(0.1), '10%');
  for (const bad of ['', ' ', '1e9h', '-1s', 'soon', Number.NaN, Number.POSITIVE_INFINITY, null, [], '99999999999s']) {
    assert.throws(() => duration.read(bad, 'x'), ConfigError, String(bad));
  }
  for (const bad of ['', '1.5', 'Infinity', 2 ** 60, 101, -1]) {
    assert.throws(() => integer(0, 100).read(bad, 'x'), ConfigError, String(bad));
  }
});

test('nearest names', () => {
  assert.equal(editDistance('kitten', 'sitting'), 3);
  assert.equal(nearestName('--quik', ['--quick', '--full']), '--quick');
  assert.equal(nearestName('zzzzzz', ['--quick', '--full']), undefined);
});
