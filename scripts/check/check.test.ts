import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRanks } from './ranks.ts';
import { importsOf, readSources } from './source.ts';
import { checkStyle } from './style.ts';

const messages = (path: string, text: string, ...others: string[]): string[] => {
  const files = [{ path, text }, ...others.map((other) => ({ path: other, text: '' }))];
  return [...checkRanks(files), ...checkStyle(files)].map(({ line, message }) => `${line} ${message}`);
};

test('a folder imports only lower ranks or itself, and the line is named', () => {
  assert.deepEqual(messages('emulator/wasm/a.ts', "import { b } from '../bits/b.ts';\n"), []);
  assert.deepEqual(messages('emulator/wasm/a.ts', "\n\nimport { b } from '../ir/op.ts';\n"), [
    '3 wasm (rank 2) imports ir (rank 2)',
  ]);
  assert.deepEqual(messages('emulator/bits/a.ts', "export { b } from '../cpu/run.ts';"), [
    '1 bits (rank 0) imports cpu (rank 5)',
  ]);
  assert.deepEqual(messages('emulator/bits/a.test.ts', "import { b } from '../cpu/run.ts';"), []);
  assert.match(messages('emulator/novel/a.ts', "import { b } from '../bits/b.ts';")[0]!, /has no rank/);
});

test('imports over several lines, type imports and dynamic imports count', () => {
  const text = "import type {\n  A,\n  B,\n} from '../cpu/a.ts';\nconst c = await import('../machine/m.ts');\n";
  assert.deepEqual(messages('emulator/tier/a.ts', text).length, 2);
  assert.deepEqual(importsOf({ path: 'x/y.ts', text: " * import { a } from './b.ts';\n" }), []);
});

test('hard edges: isa rows, devices, configuration, and nothing imports upwards', () => {
  assert.equal(messages('emulator/isa/riscv/a.ts', "import { b } from '../arm64/b.ts';").length, 1);
  assert.equal(messages('emulator/isa/riscv/a.ts', "import { b } from '../row.ts';").length, 0);
  assert.equal(messages('emulator/isa/row.ts', "import { b } from './riscv/b.ts';").length, 1);
  assert.equal(messages('emulator/device/a.ts', "import { b } from '../isa/b.ts';").length, 1);
  assert.equal(messages('emulator/tier/a.ts', "import { b } from '../config/option.ts';").length, 1);
  assert.equal(messages('emulator/cpu/a.ts', "import { b } from '../../suites/harness/b.ts';").length, 1);
  assert.equal(messages('reports/a.ts', "import { b } from '../suites/harness/b.ts';").length, 1);
  assert.equal(messages('reports/a.ts', "import type { b } from '../suites/harness/b.ts';").length, 0);
  assert.equal(messages('suites/harness/a.ts', "import { b } from '../../reports/b.ts';").length, 1);
  assert.equal(messages('suites/harness-self/a.bench.ts', "import { b } from '../../reports/b.ts';").length, 0);
});

test('default exports, empty names and hot files without a benchmark are named', () => {
  assert.deepEqual(messages('reports/a.ts', 'const a = 1;\nexport default a;\n'), ['2 default export; name it']);
  assert.match(messages('emulator/bits/utils.ts', '')[0]!, /'utils' says nothing/);
  assert.match(messages('emulator/bits/helpers/a.ts', '')[0]!, /'helpers' says nothing/);
  assert.match(messages('emulator/wasm/leb128.ts', '// hot: encoder\n')[0]!, /leb128\.bench\.ts/);
  assert.deepEqual(messages('emulator/wasm/leb128.ts', '// hot: encoder\n', 'suites/wasm/leb128.bench.ts'), []);
});

test('this repository is read', async () => {
  const files = await readSources();
  assert.ok(files.some(({ path }) => path === 'scripts/check/source.ts'));
});
