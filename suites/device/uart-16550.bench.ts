import assert from 'node:assert/strict';
import { Uart16550 } from '../../emulator/device/uart-16550.ts';
import { defineBench } from '../harness/define-bench.ts';

const BYTES = 1024;
const LSR = 5;

interface State {
  readonly uart: Uart16550;
  readonly typed: Uint8Array;
  sent: number;
  rises: number;
}

function setup(): State {
  let level = false;
  const line = {
    set: (to: boolean): void => {
      if (to && !level) state.rises++;
      level = to;
    },
  };
  const uart = new Uart16550({ line, output: () => state.sent++ });
  const state: State = { uart, typed: new Uint8Array(BYTES).fill(0x61), sent: 0, rises: 0 };
  uart.write(2, 1, 0x81);
  uart.write(1, 1, 1);
  return state;
}

defineBench<State>({
  id: 'device/uart-16550/send',
  title: 'poll the line status and send a byte, as a console driver does',
  unit: 'ns/byte',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: ({ uart }) => {
    let empty = 0;
    for (let n = 0; n < BYTES; n++) {
      empty += (uart.read(LSR, 1) as number) >>> 6;
      uart.write(0, 1, n & 0xff);
    }
    return empty;
  },
  items: () => BYTES,
  check: (state, empty) => {
    assert.equal(empty, BYTES);
    assert.equal(state.sent % BYTES, 0);
  },
});

function receiveAll({ uart, typed }: State): number {
  uart.receive(typed);
  let sum = 0;
  while (((uart.read(LSR, 1) as number) & 1) === 1) sum += uart.read(0, 1) as number;
  return sum;
}

defineBench<State>({
  id: 'device/uart-16550/receive',
  title: 'queue 1 KiB and read it through the FIFO',
  unit: 'ns/byte',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: receiveAll,
  items: () => BYTES,
  check: (_, sum) => assert.equal(sum, BYTES * 0x61),
  counters: (state) => {
    receiveAll(state);
    return { 'interrupt-rises': state.rises };
  },
});
