import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtioBalloon } from './balloon.ts';
import { RAM, TestMachine } from './driver.test-support.ts';

const FIRST = RAM.address / 4096 + 1024;

function open(): { machine: TestMachine; balloon: VirtioBalloon } {
  const machine = new TestMachine('mmio', (clock) => new VirtioBalloon({ clock }));
  machine.driver.start();
  return { machine, balloon: machine.device as VirtioBalloon };
}

function move({ machine }: { machine: TestMachine }, queue: number, pages: readonly number[]): void {
  const { driver } = machine;
  driver.queues[queue]!.submit([driver.readable(new Uint8Array(Uint32Array.from(pages).buffer))]);
  machine.settle();
  assert.deepEqual(
    driver.queues[queue]!.takeUsed().map(({ length }) => length),
    [0],
  );
}

test('pages put in are zeroed and counted once; taken out, they are forgotten', () => {
  const opened = open();
  const { machine, balloon } = opened;
  const page = machine.driver.bytes(FIRST * 4096, 8192);
  page.fill(5);
  move(opened, 0, [FIRST, FIRST, FIRST + 5]);
  assert.equal(balloon.pages, 2);
  assert.deepEqual([page[0], page[4095], page[4096]], [0, 0, 5]);
  page.fill(6);
  move(opened, 0, [FIRST]);
  assert.equal(page[0], 6, 'a page that is in already is left alone');
  move(opened, 1, [FIRST, FIRST + 77]);
  assert.equal(balloon.pages, 1);
  assert.deepEqual(balloon.counters, { inflated: 2, deflated: 1, ignored: 3 });
  balloon.checkInvariants();
});

test('pages that are no RAM are ignored', () => {
  const opened = open();
  move(opened, 0, [0, 0xffff_ffff, RAM.address / 4096 - 1]);
  assert.equal(opened.balloon.pages, 0);
  assert.equal(opened.balloon.counters.ignored, 3);
});

test('a long list is taken whole', () => {
  const opened = open();
  move(
    opened,
    0,
    Array.from({ length: 900 }, (_, i) => FIRST + i),
  );
  assert.equal(opened.balloon.pages, 900);
});

test('a wish changes the configuration and the driver answers with what it did', () => {
  const { machine, balloon } = open();
  const { access } = machine.driver;
  balloon.requestPages(300);
  assert.equal(access.readConfig(0, 4), 300);
  assert.equal(access.takeInterruptStatus(), 2);
  access.writeConfig(4, 4, 123);
  assert.equal(balloon.actual, 123);
  access.writeConfig(0, 4, 9);
  assert.equal(access.readConfig(0, 4), 300, 'the wish is ours');
  access.writeStatus(0);
  assert.equal(balloon.actual, 0);
});

test('statistics are asked for by giving the buffer back', () => {
  const { machine, balloon } = open();
  const { driver } = machine;
  const statistics = new Uint8Array(30);
  const view = new DataView(statistics.buffer);
  view.setUint16(0, 4, true);
  view.setBigUint64(2, 1n << 40n, true);
  view.setUint16(10, 0, true);
  view.setBigUint64(12, 7n, true);
  view.setUint16(20, 999, true);
  assert.equal(balloon.requestStatistics(), false, 'nothing to give back yet');
  driver.queues[2]!.submit([driver.readable(statistics)]);
  machine.settle();
  assert.deepEqual(
    [...balloon.statistics],
    [
      ['freeMemory', 1n << 40n],
      ['swapIn', 7n],
    ],
  );
  assert.deepEqual(driver.queues[2]!.takeUsed(), []);
  assert.equal(balloon.requestStatistics(), true);
  assert.equal(driver.queues[2]!.takeUsed().length, 1);
  assert.equal(balloon.requestStatistics(), false);
});

test('a second statistics buffer while one is parked stops that queue and no other', () => {
  const opened = open();
  const { driver } = opened.machine;
  for (let i = 0; i < 2; i++) driver.queues[2]!.submit([driver.readable(new Uint8Array(10))]);
  opened.machine.settle();
  assert.equal(driver.needsReset, true);
  move(opened, 0, [FIRST]);
  assert.equal(opened.balloon.pages, 1);
});
