import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coverageByRoom, coverageTable, wholeOf } from './coverage.ts';

const record = (file: string, lines: [number, number], functions: [number, number] = [0, 0]): string =>
  `SF:${file}\nFNF:${functions[1]}\nFNH:${functions[0]}\nBRF:0\nBRH:0\nDA:1,1\nLF:${lines[1]}\nLH:${lines[0]}\nend_of_record\n`;

test('coverage is summed by room; tests and benchmarks do not count', () => {
  const rooms = coverageByRoom(
    [
      record('emulator/isa/table.ts', [8, 10], [1, 2]),
      record('/root/emulator/isa/riscv/index.ts', [10, 10]),
      record('emulator/isa/table.test.ts', [0, 100]),
      record('suites/isa/decode.bench.ts', [0, 100]),
      record('scripts/cli.ts', [1, 4]),
      record('/elsewhere/x.ts', [0, 100]),
    ].join(''),
    '/root',
  );
  assert.deepEqual([...rooms.keys()], ['emulator/isa', 'scripts']);
  assert.deepEqual(rooms.get('emulator/isa')!.lines, { reached: 18, all: 20 });
  assert.deepEqual(wholeOf(rooms).lines, { reached: 19, all: 24 });
  const [, , isa, scripts, all] = coverageTable(rooms).split('\n');
  assert.equal(isa, '| emulator/isa | 20 | 90.0 % | 50.0 % | – |');
  assert.equal(scripts, '| scripts | 4 | 25.0 % | – | – |');
  assert.equal(all, '| **all** | 24 | 79.2 % | 50.0 % | – |');
});
