import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtioConsole } from './console.ts';
import { TestMachine } from './driver.test-support.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const bytes = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value, 'latin1'));

function open(inputLimit = 64): { machine: TestMachine; device: VirtioConsole; printed: () => string } {
  let printed = '';
  const machine = new TestMachine(
    'mmio',
    (clock) =>
      new VirtioConsole({ clock, output: (part) => void (printed += text(part)), columns: 132, rows: 43, inputLimit }),
  );
  machine.driver.start();
  return { machine, device: machine.device as VirtioConsole, printed: () => printed };
}

test('what the guest prints comes out in order, over all segments', () => {
  const { machine, device, printed } = open();
  const { driver } = machine;
  const transmit = driver.queues[1]!;
  transmit.offer(transmit.chain([driver.readable(bytes('hello, ')), driver.readable(bytes('wor'))]));
  transmit.submit([driver.readable(bytes('ld\n'))]);
  machine.settle();
  assert.equal(printed(), 'hello, world\n');
  assert.deepEqual(
    transmit.takeUsed().map(({ length }) => length),
    [0, 0],
  );
  assert.equal(device.counters.bytesOut, 13);
});

test('what is typed fills the buffers the guest gave, and waits for more', () => {
  const { machine, device } = open();
  const { driver } = machine;
  const receive = driver.queues[0]!;
  const buffers = [driver.writable(4), driver.writable(100)];
  for (const buffer of buffers) receive.submit([buffer]);
  machine.settle();
  assert.deepEqual(receive.takeUsed(), [], 'an empty line gives nothing back');
  device.type(bytes('abcdef'));
  machine.settle();
  assert.deepEqual(
    receive.takeUsed().map(({ length }) => length),
    [4, 2],
  );
  assert.equal(text(driver.contents(buffers[0]!)) + text(driver.contents(buffers[1]!).subarray(0, 2)), 'abcdef');
  device.type(bytes('gh'));
  machine.settle();
  const later = driver.writable(8);
  receive.submit([later]);
  machine.settle();
  assert.deepEqual(
    receive.takeUsed().map(({ length }) => length),
    [2],
  );
  assert.equal(text(driver.contents(later).subarray(0, 2)), 'gh');
});

test('a guest that does not read loses what exceeds the limit, and order is kept around the ring', () => {
  const { machine, device } = open(10);
  const { driver } = machine;
  const receive = driver.queues[0]!;
  let sent = '';
  let got = '';
  for (let round = 0; round < 20; round++) {
    const piece = `<${round}>`;
    sent += piece.slice(0, device.type(bytes(piece)));
    const buffer = driver.writable(1 + (round % 5));
    receive.submit([buffer]);
    machine.settle();
    for (const { length } of receive.takeUsed()) got += text(driver.contents(buffer).subarray(0, length));
  }
  assert.ok(device.counters.dropped > 0);
  assert.ok(got.length > 30 && sent.startsWith(got));
  assert.equal(device.type(bytes('x'.repeat(20))), 10 - (sent.length - got.length));
});

test('input typed before the driver is there is not lost', () => {
  const { machine, device } = open();
  const { driver } = machine;
  driver.access.writeStatus(0);
  device.type(bytes('early'));
  driver.start();
  const buffer = driver.writable(16);
  driver.queues[0]!.submit([buffer]);
  machine.settle();
  assert.equal(text(driver.contents(buffer).subarray(0, 5)), 'early');
});

test('size, its change and the emergency character', () => {
  const { machine, device, printed } = open();
  const { access } = machine.driver;
  assert.deepEqual([access.readConfig(0, 2), access.readConfig(2, 2)], [132, 43]);
  device.resize(100, 30);
  assert.deepEqual([access.readConfig(0, 2), access.readConfig(2, 2)], [100, 30]);
  assert.equal(access.takeInterruptStatus(), 2);
  access.writeConfig(8, 4, 0x21);
  assert.equal(printed(), '!');
  access.writeConfig(0, 2, 1);
  assert.equal(access.readConfig(0, 2), 100);
});

test('much output takes several turns and all of it comes out', () => {
  let bytesOut = 0;
  const machine = new TestMachine(
    'mmio',
    (clock) => new VirtioConsole({ clock, output: (part) => void (bytesOut += part.length) }),
  );
  const { driver } = machine;
  driver.start();
  const transmit = driver.queues[1]!;
  const page = driver.readable(new Uint8Array(2 ** 20));
  for (let i = 0; i < 9; i++) transmit.offer(transmit.chain([page]));
  transmit.kick();
  machine.advance(1);
  assert.equal(bytesOut, 4 * 2 ** 20);
  machine.settle();
  assert.equal(bytesOut, 9 * 2 ** 20);
});
