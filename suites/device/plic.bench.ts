import assert from 'node:assert/strict';
import { Plic } from '../../emulator/device/plic.ts';
import { defineBench } from '../harness/define-bench.ts';

const CLAIM = 0x20_1004;
const ROUNDS = 100;

interface State {
  readonly plic: Plic;
  /** Rises of the supervisor context's wire. */
  rises: number;
}

/** The board's: 95 sources, a machine and a supervisor context; all sources enabled for the supervisor with the same priority. */
function setup(): State {
  let level = false;
  const supervisor = {
    set: (to: boolean): void => {
      if (to && !level) state.rises++;
      level = to;
    },
  };
  const plic = new Plic({ sources: 96, contexts: [{ set: () => {} }, supervisor] });
  const state: State = { plic, rises: 0 };
  for (let source = 1; source < 96; source++) plic.write(4 * source, 4, 1);
  for (let word = 0; word < 3; word++) plic.write(0x2080 + 4 * word, 4, 0xffff_ffff);
  return state;
}

defineBench<State>({
  id: 'device/plic/interrupt',
  title: 'raise a source, claim it, lower it, complete it',
  unit: 'ns/interrupt',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: ({ plic }) => {
    const line = plic.line(10);
    let sum = 0;
    for (let n = 0; n < ROUNDS; n++) {
      line.set(true);
      const source = plic.read(CLAIM, 4) as number;
      line.set(false);
      plic.write(CLAIM, 4, source);
      sum += source;
    }
    return sum;
  },
  items: () => ROUNDS,
  check: (_, sum) => assert.equal(sum, 10 * ROUNDS),
  counters: (state) => {
    const line = state.plic.line(10);
    for (let n = 0; n < ROUNDS; n++) {
      line.set(true);
      const source = state.plic.read(CLAIM, 4);
      line.set(false);
      state.plic.write(CLAIM, 4, source);
    }
    return { rises: state.rises };
  },
});

defineBench<State>({
  id: 'device/plic/claim-all',
  title: 'claim 95 pending sources and complete them',
  unit: 'ns/interrupt',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: ({ plic }) => {
    let sum = 0;
    for (let source = 1; source < 96; source++) plic.line(source).set(true);
    for (let n = 1; n < 96; n++) sum += plic.read(CLAIM, 4) as number;
    for (let source = 1; source < 96; source++) {
      plic.line(source).set(false);
      plic.write(CLAIM, 4, source);
    }
    return sum;
  },
  items: () => 95,
  check: (_, sum) => assert.equal(sum, (95 * 96) / 2),
});

defineBench({
  id: 'device/plic/creation',
  title: 'make a PLIC for one hart',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  work: () => new Plic({ sources: 96, contexts: [{ set: () => {} }, { set: () => {} }] }),
  check: (_, plic) => assert.equal((plic as Plic).size, 0x60_0000),
});
