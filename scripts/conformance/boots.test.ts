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
    if (scenario.name !== 'u-boot') return;
    const again = await runScenario(scenario);
    assert.ok('run' in again);
    assert.equal(again.run.transcript, result.run.transcript, 'a second boot has the same console');
    assert.deepEqual(again.run.counters, result.run.counters, 'and the same counters');
  });
}
