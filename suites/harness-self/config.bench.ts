import assert from 'node:assert/strict';
import { fileLayer } from '../../emulator/config/load.ts';
import { editDistance, nearestName } from '../../emulator/config/nearest.ts';
import { OPTION_KEYS } from '../../emulator/config/option.ts';
import { Settings } from '../../emulator/config/settings.ts';
import { defineBench } from '../harness/define-bench.ts';

defineBench({
  id: 'harness/config/merge',
  title: 'merge a configuration file over the defaults',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  inputs: ['../../emulator/config/option.ts'],
  setup: () => ({ thresholds: { regression: 0.12 }, harness: { quick: { samples: 10 } }, overrides: { '**': {} } }),
  work: (file) => {
    const { layer, overrides } = fileLayer(file, 'suite');
    return new Settings([layer], overrides);
  },
  check: (_, settings) => assert.equal((settings as Settings).get('thresholds.regression'), 0.12),
});

defineBench({
  id: 'harness/config/nearest-name',
  title: 'find the option a mistyped key meant',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  work: () => nearestName('threshold.regresion', OPTION_KEYS),
  check: (_, name) => {
    assert.equal(name, 'thresholds.regression');
    assert.equal(editDistance('threshold.regresion', 'thresholds.regression'), 2);
  },
});
