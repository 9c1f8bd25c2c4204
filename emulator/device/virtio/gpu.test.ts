import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RAM } from './driver.test-support.ts';
import { GpuDriver, request, typeOf } from './gpu-driver.test-support.ts';
import { GpuCommand, GpuResponse, PIXEL_FORMATS } from './gpu-protocol.ts';

const { okNoData, invalidResource, invalidParameter, invalidScanout, outOfMemory, unspecified } = GpuResponse;
const whole = (width: number, height: number) => ({ x: 0, y: 0, width, height });
const ROUNDS = Number(process.env['DYNO_FUZZ_ROUNDS'] ?? 100_000);

test('display information names one enabled display', () => {
  const driver = new GpuDriver({ width: 800, height: 600 });
  const answer = driver.send(request(GpuCommand.getDisplayInfo));
  assert.equal(answer.length, 408);
  const view = new DataView(answer.buffer);
  assert.deepEqual(
    [0, 24, 28, 32, 36, 40, 44].map((at) => view.getUint32(at, true)),
    [0x1101, 0, 0, 800, 600, 1, 0],
  );
  assert.ok(
    answer.subarray(48).every((byte) => byte === 0),
    'no second display',
  );
  assert.equal(driver.machine.driver.access.readConfig(8, 4), 1);
});

test('EDID of the display, and of none other', () => {
  const driver = new GpuDriver({ width: 800, height: 600 });
  const answer = driver.send(request(GpuCommand.getEdid, [0, 0]));
  assert.equal(typeOf(answer), GpuResponse.okEdid);
  assert.equal(answer.length, 24 + 8 + 1024);
  assert.equal(answer[24], 128);
  assert.equal(answer[32 + 56]! | ((answer[32 + 58]! & 0xf0) << 4), 800);
  assert.equal(driver.command(GpuCommand.getEdid, [1, 0]), invalidScanout);
});

test('a resize is an event the guest can clear', () => {
  const driver = new GpuDriver();
  const { access } = driver.machine.driver;
  access.takeInterruptStatus();
  driver.gpu.resize(320, 200);
  assert.equal(access.takeInterruptStatus() & 2, 2);
  assert.equal(access.readConfig(0, 4), 1);
  access.writeConfig(0, 4, 0);
  assert.equal(access.readConfig(0, 4), 1, 'events_read cannot be written');
  access.writeConfig(4, 4, 1);
  assert.equal(access.readConfig(0, 4), 0);
  assert.equal(new DataView(driver.send(request(GpuCommand.getDisplayInfo)).buffer).getUint32(32, true), 320);
});

for (const transport of ['mmio', 'pci'] as const) {
  test(`${transport}: drawn from scattered pages to a screenshot`, () => {
    const parts: object[] = [];
    const driver = new GpuDriver({ flushed: (part) => parts.push(part) }, transport);
    const { memory } = driver.machine;
    assert.equal(driver.gpu.screenshot(), undefined);
    assert.equal(driver.create(7, 1, 4, 3), okNoData);
    const bytes = Uint8Array.from({ length: 48 }, (_, i) => i);
    const pieces = [
      [RAM.address + 0x20_0000, 5],
      [RAM.address + 0x30_0000, 40],
      [RAM.address + 0x28_0000, 3],
    ] as const;
    let at = 0;
    for (const [address, length] of pieces) {
      memory.slice(address, length)!.set(bytes.subarray(at, at + length));
      at += length;
    }
    assert.equal(driver.attach(7, pieces), okNoData);
    assert.equal(driver.setScanout(7, whole(4, 3)), okNoData);
    assert.equal(driver.transfer(7, whole(4, 3)), okNoData);
    assert.equal(driver.flush(7, whole(4, 3)), okNoData);
    assert.deepEqual(parts, [whole(4, 3)]);
    const shot = driver.gpu.screenshot()!;
    assert.deepEqual([shot.width, shot.height], [4, 3]);
    const expected = Array.from({ length: 12 }, (_, i) => [4 * i + 2, 4 * i + 1, 4 * i]).flat();
    assert.deepEqual([...shot.pixels], expected);
    driver.machine.checkConfinement();
  });
}

test('a part is transferred from its own place in the backing, and shown as a part', () => {
  const driver = new GpuDriver();
  driver.create(1, 67, 8, 8);
  const address = RAM.address + 0x20_0000;
  const bytes = driver.machine.memory.slice(address, 256)!;
  for (let i = 0; i < 64; i++) bytes.set([i, 0, 0, 0], i * 4);
  driver.attach(1, [[address, 256]]);
  assert.equal(driver.transfer(1, { x: 2, y: 3, width: 3, height: 2 }, (3 * 8 + 2) * 4), okNoData);
  driver.setScanout(1, { x: 1, y: 3, width: 4, height: 3 });
  const reds = [...driver.gpu.screenshot()!.pixels].filter((_, i) => i % 3 === 0);
  assert.deepEqual(reds, [0, 26, 27, 28, 0, 34, 35, 36, 0, 0, 0, 0]);
});

for (const [number, format] of PIXEL_FORMATS) {
  test(`format ${format.name} keeps its colours apart`, () => {
    const driver = new GpuDriver();
    driver.create(1, number, 1, 1);
    const address = RAM.address + 0x20_0000;
    const letters = [format.name[0]!, format.name[2]!, format.name[4]!, format.name[6]!];
    driver.machine.memory.slice(address, 4)!.set(letters.map((letter) => letter.charCodeAt(0)));
    driver.attach(1, [[address, 4]]);
    driver.transfer(1, whole(1, 1));
    driver.setScanout(1, whole(1, 1));
    assert.equal(String.fromCharCode(...driver.gpu.screenshot()!.pixels), 'RGB');
  });
}

test('answers fit exactly', () => {
  const driver = new GpuDriver();
  assert.equal(driver.command(GpuCommand.getDisplayInfo, [], 408), GpuResponse.okDisplayInfo);
  assert.equal(driver.command(GpuCommand.getEdid, [0, 0], 1056), GpuResponse.okEdid);
  assert.equal(driver.command(GpuCommand.resourceCreate2d, [1, 1, 1, 1], 24), okNoData);
});

test('a fence comes back with the answer, an error too', () => {
  const driver = new GpuDriver();
  for (const type of [GpuCommand.getDisplayInfo, 0x9999]) {
    const answer = driver.send(request(type, [], { flags: 1, fence: 0x1234_5678_9abc_def0n, context: 5 }));
    const view = new DataView(answer.buffer);
    assert.equal(view.getUint32(4, true), 1);
    assert.equal(view.getBigUint64(8, true), 0x1234_5678_9abc_def0n);
    assert.equal(view.getUint32(16, true), 5);
  }
  const plain = driver.send(request(GpuCommand.getDisplayInfo, [], { fence: 9n }));
  assert.equal(new DataView(plain.buffer).getBigUint64(8, true), 0n);
});

test('the cursor queue is accepted', () => {
  const driver = new GpuDriver();
  assert.equal(driver.send(request(GpuCommand.updateCursor, [0, 30, 40, 0, 9, 1, 1, 0]), 0, 1).length, 0);
  assert.deepEqual({ ...driver.gpu.cursor }, { x: 30, y: 40, resource: 9 });
  driver.send(request(GpuCommand.moveCursor, [0, 31, 41, 0, 0, 0, 0, 0]), 0, 1);
  assert.deepEqual({ ...driver.gpu.cursor }, { x: 31, y: 41, resource: 9 });
  driver.machine.driver.start();
  assert.deepEqual({ ...driver.gpu.cursor }, { x: 0, y: 0, resource: 0 }, 'reset');
  driver.send(request(GpuCommand.getDisplayInfo, [0, 0, 0, 0, 0, 0, 0, 0]), 0, 1);
  driver.send(request(GpuCommand.moveCursor), 0, 1);
  assert.equal(driver.gpu.counters.malformed, 2);
});

/** Commands on a card with resource 1 of 16 x 16, backed by 1024 bytes, and resource 2 without backing. */
const WRONG: readonly { what: string; run: (driver: GpuDriver) => number; answer: number }[] = [
  { what: 'create number 0', run: (d) => d.create(0, 1, 4, 4), answer: invalidResource },
  { what: 'create a number twice', run: (d) => d.create(1, 1, 4, 4), answer: invalidResource },
  { what: 'create with an unknown format', run: (d) => d.create(9, 5, 4, 4), answer: invalidParameter },
  { what: 'create without width', run: (d) => d.create(9, 1, 0, 4), answer: invalidParameter },
  { what: 'create 16 GiB', run: (d) => d.create(9, 1, 65_536, 65_536), answer: outOfMemory },
  { what: 'create 2^64 pixels', run: (d) => d.create(9, 1, 0xffff_ffff, 0xffff_ffff), answer: outOfMemory },
  { what: 'create more than is left', run: (d) => d.create(9, 1, 512, 513), answer: outOfMemory },
  { what: 'unref what is not there', run: (d) => d.command(GpuCommand.resourceUnref, [9, 0]), answer: invalidResource },
  { what: 'scan out nothing there', run: (d) => d.setScanout(9, whole(1, 1)), answer: invalidResource },
  { what: 'scan out on a second display', run: (d) => d.setScanout(1, whole(1, 1), 1), answer: invalidScanout },
  { what: 'scan out no pixels', run: (d) => d.setScanout(1, whole(0, 1)), answer: invalidParameter },
  {
    what: 'scan out past the edge',
    run: (d) => d.setScanout(1, { x: 1, y: 0, width: 16, height: 1 }),
    answer: invalidParameter,
  },
  {
    what: 'scan out a rectangle that wraps',
    run: (d) => d.setScanout(1, { x: 0xffff_fff0, y: 0, width: 17, height: 1 }),
    answer: invalidParameter,
  },
  { what: 'flush nothing there', run: (d) => d.flush(9, whole(1, 1)), answer: invalidResource },
  { what: 'flush past the edge', run: (d) => d.flush(1, whole(16, 17)), answer: invalidParameter },
  { what: 'transfer to nothing there', run: (d) => d.transfer(9, whole(1, 1)), answer: invalidResource },
  { what: 'transfer without backing', run: (d) => d.transfer(2, whole(1, 1)), answer: unspecified },
  {
    what: 'transfer past the edge',
    run: (d) => d.transfer(1, { x: 16, y: 0, width: 1, height: 1 }),
    answer: invalidParameter,
  },
  { what: 'transfer past the backing', run: (d) => d.transfer(1, whole(16, 16), 4), answer: invalidParameter },
  { what: 'transfer from 2^63', run: (d) => d.transfer(1, whole(1, 1), 2 ** 63), answer: invalidParameter },
  { what: 'attach to nothing there', run: (d) => d.attach(9, [[RAM.address, 4]]), answer: invalidResource },
  { what: 'attach twice', run: (d) => d.attach(1, [[RAM.address, 4]]), answer: unspecified },
  { what: 'attach no entries', run: (d) => d.attach(2, []), answer: invalidParameter },
  { what: 'attach an empty entry', run: (d) => d.attach(2, [[RAM.address, 0]]), answer: invalidParameter },
  { what: 'attach what is not RAM', run: (d) => d.attach(2, [[0x1000, 4096]]), answer: invalidParameter },
  {
    what: 'attach past the end of RAM',
    run: (d) => d.attach(2, [[RAM.address + RAM.size + 0xffff, 2]]),
    answer: invalidParameter,
  },
  { what: 'attach an address that wraps', run: (d) => d.attach(2, [[2 ** 64 - 2048, 4096]]), answer: invalidParameter },
  {
    what: 'attach fewer entries than said',
    run: (d) => d.command(GpuCommand.resourceAttachBacking, [2, 3, 1, 2, 3, 4]),
    answer: invalidParameter,
  },
  {
    what: 'attach 2^32 - 1 entries',
    run: (d) => d.command(GpuCommand.resourceAttachBacking, [2, 0xffff_ffff]),
    answer: invalidParameter,
  },
  { what: 'detach nothing', run: (d) => d.command(GpuCommand.resourceDetachBacking, [2, 0]), answer: unspecified },
  {
    what: 'detach from nothing there',
    run: (d) => d.command(GpuCommand.resourceDetachBacking, [9, 0]),
    answer: invalidResource,
  },
  { what: 'an unknown command', run: (d) => d.command(0x1234, []), answer: unspecified },
  { what: 'a three-dimensional command', run: (d) => d.command(0x0200, [0, 0, 0]), answer: unspecified },
  {
    what: 'a cursor command on the control queue',
    run: (d) => d.command(GpuCommand.moveCursor, [0, 0, 0, 0, 0, 0, 0, 0]),
    answer: unspecified,
  },
  {
    what: 'a command cut short',
    run: (d) => d.command(GpuCommand.resourceFlush, [0, 0, 1, 1, 1]),
    answer: invalidParameter,
  },
  {
    what: 'no room for display information',
    run: (d) => d.command(GpuCommand.getDisplayInfo, [], 407),
    answer: invalidParameter,
  },
  { what: 'no room for any answer', run: (d) => d.command(GpuCommand.getDisplayInfo, [], 23), answer: 0 },
];

for (const { what, run, answer } of WRONG) {
  test(`wrong: ${what}`, () => {
    const driver = new GpuDriver({ maximumBytes: 1 << 20 });
    driver.create(1, 1, 16, 16);
    driver.create(2, 1, 16, 16);
    driver.attach(1, [[RAM.address + 0x20_0000, 1024]]);
    const bytes = driver.gpu.bytes;
    assert.equal(run(driver), answer);
    assert.equal(driver.gpu.bytes, bytes);
    assert.equal(driver.gpu.counters.errors + driver.gpu.counters.malformed, 1);
    driver.setScanout(1, whole(16, 16));
    assert.ok(driver.gpu.screenshot(), 'the card goes on');
  });
}

test('what is gone is gone: unref of the resource on display, and reset', () => {
  const driver = new GpuDriver();
  driver.create(1, 1, 16, 16);
  driver.setScanout(1, whole(16, 16));
  assert.equal(driver.command(GpuCommand.resourceUnref, [1, 0]), okNoData);
  assert.equal(driver.gpu.screenshot(), undefined);
  assert.equal(driver.gpu.bytes, 0);
  driver.create(1, 1, 16, 16);
  driver.setScanout(1, whole(16, 16));
  driver.setScanout(0, whole(0, 0));
  assert.equal(driver.gpu.screenshot(), undefined);
  driver.machine.driver.start();
  assert.equal(driver.gpu.bytes, 0);
  assert.equal(driver.flush(1, whole(1, 1)), invalidResource);
});

test('no more than 1024 resources', () => {
  const driver = new GpuDriver();
  const answers = new Set<number>();
  for (let id = 1; id <= 1030; id++) {
    answers.add(driver.create(id, 1, 1, 1));
  }
  assert.deepEqual([...answers], [okNoData, outOfMemory]);
  assert.equal(driver.gpu.bytes, 4096);
});

/** A plausible command: small numbers, so that most of them mean something. */
function plausible(random: (below: number) => number): readonly [type: number, words: number[]] {
  const rectangle = () => [random(8), random(8), random(12), random(12)];
  const id = 1 + random(5);
  const commands: readonly (readonly [number, number[]])[] = [
    [GpuCommand.resourceCreate2d, [id, 1 + random(4), 1 + random(20), 1 + random(20)]],
    [GpuCommand.resourceUnref, [id, 0]],
    [GpuCommand.setScanout, [...rectangle(), random(10) === 0 ? 1 : 0, random(8) === 0 ? 0 : id]],
    [GpuCommand.resourceFlush, [...rectangle(), id, 0]],
    [GpuCommand.transferToHost2d, [...rectangle(), random(40), 0, id, 0]],
    [GpuCommand.transferToHost2d, [...rectangle(), random(40), 0, id, 0]],
    [GpuCommand.resourceAttachBacking, [id, 2, RAM.address + random(4096), 0, 800, 0, RAM.address, 0, 900, 0]],
    [GpuCommand.resourceDetachBacking, [id, 0]],
    [GpuCommand.getDisplayInfo, []],
    [GpuCommand.getEdid, [random(2), 0]],
    [GpuCommand.updateCursor, [0, 1, 2, 0, id, 0, 0, 0]],
  ];
  return commands[random(commands.length)]!;
}

test(`${ROUNDS} commands, a third of them damaged: nothing outside RAM touched, memory bounded`, () => {
  let state = Number(process.env['DYNO_FUZZ_SEED'] ?? 20_261_121);
  const random = (below: number) => {
    state = (state * 48_271) % (2 ** 31 - 1);
    return state % below;
  };
  const interesting = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, 0xffff_ffff, RAM.address, RAM.address + RAM.size];
  let succeeded = 0;
  let transferred = 0;
  for (let batch = 0; batch < ROUNDS / 200; batch++) {
    const driver = new GpuDriver({ maximumBytes: 4096 });
    for (let step = 0; step < 200; step++) {
      const [type, words] = plausible(random);
      if (random(3) === 0)
        for (let i = random(3); i >= 0; i--) words[random(words.length + 1)] = interesting[random(interesting.length)]!;
      if (random(20) === 0) words.length = random(words.length + 1);
      const room = random(10) === 0 ? random(1100) : 1100;
      const answer = driver.send(request(type, words), room, random(20) === 0 ? 1 : 0);
      assert.ok(answer.length <= room && driver.gpu.bytes <= 4096, `state ${state}`);
      driver.gpu.checkInvariants();
      if (typeOf(answer) === okNoData) succeeded += 1;
      driver.gpu.screenshot();
    }
    driver.machine.checkConfinement();
    assert.equal(driver.machine.driver.needsReset, false);
    transferred += driver.gpu.counters.transferredBytes;
  }
  assert.ok(succeeded > ROUNDS / 10 && transferred > ROUNDS / 10, `${succeeded} succeeded, ${transferred} bytes moved`);
});
