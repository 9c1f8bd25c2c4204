import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestMachine } from './driver.test-support.ts';
import { VirtioEntropy } from './entropy.ts';

test('buffers are filled from the source, over all segments', () => {
  let next = 1;
  const machine = new TestMachine(
    'mmio',
    (clock) => new VirtioEntropy({ clock, source: (target) => target.forEach((_, i) => void (target[i] = next++)) }),
  );
  const { driver } = machine;
  driver.start();
  const buffers = [driver.writable(3), driver.writable(2)];
  driver.queues[0]!.submit(buffers);
  machine.settle();
  assert.deepEqual(driver.queues[0]!.takeUsed(), [{ head: 0, length: 5 }]);
  assert.deepEqual(
    buffers.flatMap((buffer) => [...driver.contents(buffer)]),
    [1, 2, 3, 4, 5],
  );
  assert.deepEqual((machine.device as VirtioEntropy).counters, { requests: 1, bytes: 5 });
});
