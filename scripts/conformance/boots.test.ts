import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runScenario, SCENARIOS } from './boots.ts';

/** Minutes each: only when they are asked for. */
const asked = process.env['DYNO_BOOTS'] !== undefined;

for (const scenario of SCENARIOS) {
  const skip = scenario.long && !asked ? 'set DYNO_BOOTS=1 for boots that take minutes' : false;
  test(`${scenario.name} boots`, { skip }, async (t) => {
    const result = await runScenario(scenario);
    if ('absent' in result) return t.skip(result.absent);
    assert.deepEqual(result.complaints, [], result.run.transcript);
  });
}

test('two boots to U-Boot’s prompt give the same console and the same counters', async (t) => {
  const scenario = SCENARIOS.find(({ name }) => name === 'u-boot')!;
  const first = await runScenario(scenario);
  if ('absent' in first) return t.skip(first.absent);
  const second = await runScenario(scenario);
  assert.ok('run' in second);
  assert.equal(second.run.transcript, first.run.transcript);
  assert.deepEqual(second.run.counters, first.run.counters);
  assert.equal(second.run.instructions, first.run.instructions);
});
