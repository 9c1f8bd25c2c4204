import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attack, Probe } from './mmio-driver.test-support.ts';
import { Uart16550 } from './uart-16550.ts';

const RBR = 0;
const IER = 1;
const IIR = 2;
const FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;
const SCR = 7;

function build() {
  const line = new Probe();
  const sent: number[] = [];
  const uart = new Uart16550({ line, output: (byte) => sent.push(byte) });
  const read = (offset: number): number => Number(uart.read(offset, 1));
  const write = (offset: number, value: number): void => uart.write(offset, 1, value);
  const type = (text: string): void => uart.receive(new TextEncoder().encode(text));
  const readAll = (): string => {
    let text = '';
    while ((read(LSR) & 1) === 1) text += String.fromCharCode(read(RBR));
    return text;
  };
  return { uart, line, sent, read, write, type, readAll };
}

test('Transmitter: bytes go out at once and the transmitter is always empty', () => {
  const { sent, read, write } = build();
  for (const byte of [0x48, 0x69, 0xff]) {
    write(RBR, byte);
    assert.equal(read(LSR), 0x60);
  }
  assert.deepEqual(sent, [0x48, 0x69, 0xff]);
});

test('Divisor latch: with LCR.7 set the first two registers are the divisor, and nothing is sent', () => {
  const { sent, read, write, type } = build();
  type('x');
  write(LCR, 0x80);
  assert.deepEqual([read(RBR), read(IER)], [0, 0]);
  write(RBR, 0xff);
  write(RBR, 0x34);
  write(IER, 0xff);
  write(IER, 0x12);
  assert.deepEqual([read(RBR), read(IER)], [0x34, 0x12]);
  write(LCR, 3);
  assert.deepEqual([read(LCR), read(IER), sent.length], [3, 0, 0]);
  assert.equal(read(RBR), 0x78);
});

test('a guest that polls and finds nothing has asked, unless it then sends, finds something or is reset', () => {
  const { uart, read, write, type } = build();
  assert.equal(uart.takeAsked(), false);
  read(LSR);
  assert.equal(uart.takeAsked(), true);
  assert.equal(uart.takeAsked(), false, 'it has been told');
  read(LSR);
  write(RBR, 0x3e);
  assert.equal(uart.takeAsked(), false, 'looking whether it may send');
  read(LSR);
  type('x');
  assert.equal(uart.takeAsked(), true);
  read(LSR);
  assert.equal(uart.takeAsked(), false);
  assert.equal(uart.take(new Uint8Array(4)), 1);
  assert.equal(uart.takeAsked(), false);
  assert.equal(uart.take(new Uint8Array(4)), 0);
  assert.equal(uart.takeAsked(), true);
  read(LSR);
  uart.reset();
  assert.equal(uart.takeAsked(), false);
});

test('Interrupt Enable Register: four bits are kept', () => {
  const { read, write } = build();
  write(IER, 0xff);
  assert.equal(read(IER), 0x0f);
});

test('Interrupt Identification Register: FIFO bits show once FIFOs are enabled', () => {
  const { read, write } = build();
  assert.equal(read(IIR), 0x01);
  write(FCR, 1);
  assert.equal(read(IIR), 0xc1);
  write(FCR, 0);
  assert.equal(read(IIR), 0x01);
});

test('Received data interrupt: high from the first character until the last is read', () => {
  const { line, read, write, type } = build();
  write(IER, 1);
  assert.equal(line.level, false);
  type('ab');
  assert.equal(line.level, true);
  assert.equal(read(IIR), 0x04);
  assert.equal(read(RBR), 0x61);
  assert.equal(line.level, true);
  assert.equal(read(RBR), 0x62);
  assert.equal(line.level, false);
  assert.equal(read(IIR), 0x01);
});

for (const [bits, level] of [
  [0x01, 1],
  [0x41, 4],
  [0x81, 8],
  [0xc1, 14],
] as const) {
  test(`FIFO Control Register: trigger level ${level} separates received data from a time-out`, () => {
    const { line, read, write, type } = build();
    write(FCR, bits);
    write(IER, 1);
    type('x'.repeat(level - 1));
    if (level > 1) {
      assert.equal(read(IIR), 0xcc);
      assert.equal(line.level, true);
    }
    type('x');
    assert.equal(read(IIR), 0xc4);
  });
}

test('Transmitter empty interrupt: raised by enabling it and by sending, taken back by reading IIR', () => {
  const { line, read, write } = build();
  write(IER, 2);
  assert.equal(line.level, true);
  assert.equal(read(IIR), 0x02);
  assert.equal(line.level, false);
  assert.equal(read(IIR), 0x01);
  write(IER, 2);
  assert.equal(line.level, false, 'enabled already');
  write(RBR, 1);
  assert.equal(line.level, true);
  write(IER, 0);
  assert.equal(line.level, false);
});

test('priorities: line status before data before transmitter before modem', () => {
  const { read, write } = build();
  write(MCR, 0x10);
  write(IER, 0x0f);
  write(RBR, 1);
  write(RBR, 2);
  write(MCR, 0x12);
  assert.equal(read(IIR), 0x06);
  assert.equal(read(LSR), 0x63);
  assert.equal(read(IIR), 0x04);
  assert.equal(read(RBR), 2, 'without FIFOs the later character overwrites the earlier');
  assert.equal(read(IIR), 0x02);
  assert.equal(read(IIR), 0x00);
  assert.notEqual(read(MSR) & 0x0f, 0);
  assert.equal(read(IIR), 0x01);
});

test('Loop back: what is sent is received, nothing leaves, and the host’s input waits', () => {
  const { sent, read, write, type, readAll } = build();
  write(FCR, 1);
  write(MCR, 0x10);
  type('host');
  for (const byte of [1, 2, 3]) write(RBR, byte);
  assert.equal(readAll(), '\u0001\u0002\u0003');
  assert.equal(sent.length, 0);
  write(MCR, 0);
  assert.equal(readAll(), 'host');
  assert.equal(read(LSR), 0x60);
});

test('Loop back: an overrun of the FIFO keeps the first 16 characters and is reported once', () => {
  const { read, write } = build();
  write(FCR, 1);
  write(MCR, 0x10);
  for (let n = 0; n < 20; n++) write(RBR, n);
  assert.equal(read(LSR), 0x63);
  assert.equal(read(LSR), 0x61);
  for (let n = 0; n < 16; n++) assert.equal(read(RBR), n);
  assert.equal(read(LSR), 0x60);
});

for (const [control, status] of [
  [0x10, 0x00],
  [0x11, 0x20],
  [0x12, 0x10],
  [0x14, 0x40],
  [0x18, 0x80],
  [0x1a, 0x90],
] as const) {
  test(`Loop back: MCR 0x${control.toString(16)} reads back as MSR 0x${status.toString(16)}`, () => {
    const { read, write } = build();
    write(MCR, control);
    assert.equal(read(MSR) & 0xf0, status);
  });
}

test('Modem Status Register: changes show until read, the ring indicator only when it falls', () => {
  const { read, write } = build();
  assert.equal(read(MSR), 0xb0);
  write(MCR, 0x1f);
  assert.equal(read(MSR), 0xf0);
  write(MCR, 0x10);
  assert.equal(read(MSR), 0x0f);
  assert.equal(read(MSR), 0x00);
});

test('FIFO Control Register: clearing and switching drop what the guest could see, not what the host queued', () => {
  const { read, write, type, readAll } = build();
  write(FCR, 1);
  type('0123456789abcdefREST');
  write(FCR, 3);
  assert.equal(readAll(), 'REST');
  type('xy');
  write(FCR, 0);
  assert.equal(read(LSR) & 1, 0);
});

test('FIFO Control Register: without its enable bit the others do nothing', () => {
  const { read, write, type } = build();
  type('a');
  write(FCR, 0xc6);
  assert.equal(read(IIR), 0x01);
  assert.equal(read(LSR) & 1, 1);
  write(IER, 1);
  assert.equal(read(IIR), 0x04, 'one character is enough');
});

test('FIFO Control Register: the transmitter-empty interrupt comes with clearing the transmitter only', () => {
  const { read, write } = build();
  write(FCR, 1);
  write(IER, 2);
  assert.equal(read(IIR), 0xc2);
  write(FCR, 0x41);
  assert.equal(read(IIR), 0xc1);
  write(FCR, 5);
  assert.equal(read(IIR), 0xc2);
});

test('Modem status interrupt: by any change, until the status is read', () => {
  const { line, read, write } = build();
  write(MCR, 0x10);
  read(MSR);
  write(IER, 8);
  assert.equal(line.level, false);
  for (const control of [0x12, 0x13, 0x1b]) {
    write(MCR, control);
    assert.equal(line.level, true);
    assert.equal(read(IIR), 0x00);
    read(MSR);
    assert.equal(line.level, false);
  }
});

test('nothing the host sends is lost, in order, whatever the FIFO holds', () => {
  const { uart, write, readAll } = build();
  const bytes = Uint8Array.from({ length: 5000 }, (_, n) => 32 + (n % 90));
  write(FCR, 0xc1);
  for (let n = 0; n < 5000; n += 137) uart.receive(bytes.subarray(n, n + 137));
  assert.equal(uart.waiting, 5000);
  assert.equal(readAll(), String.fromCharCode(...bytes));
  assert.equal(uart.waiting, 0);
});

test('queued bytes are copied: the host may reuse its buffer', () => {
  const { uart, read } = build();
  const bytes = Uint8Array.of(1, 2);
  uart.receive(bytes);
  bytes.fill(9);
  assert.deepEqual([read(RBR), read(RBR), read(RBR)], [1, 2, 0]);
});

test('Scratchpad Register: keeps a byte', () => {
  const { read, write } = build();
  write(SCR, 0xa5);
  assert.equal(read(SCR), 0xa5);
});

test('a wide access is a row of byte accesses', () => {
  const { uart, sent } = build();
  uart.write(0, 2, 0x0f41);
  assert.deepEqual(sent, [0x41]);
  assert.equal(Number(uart.read(4, 4)) & 0xff00, 0x6000);
});

test('registers hold what the table says after a reset, and the wire is low', () => {
  const { uart, line, write } = build();
  for (let offset = 0; offset < 8; offset++) write(offset, 0x5b);
  uart.reset();
  for (const { name, offset, width, value } of Uart16550.block.resetValues())
    assert.equal(uart.read(offset, width), value, name);
  assert.equal(line.level, false);
});

test('10^5 hostile accesses: nothing throws, and the wire is high exactly when IIR names a cause', () => {
  for (const seed of [3, 0xfeed]) {
    const { uart, line } = build();
    let bytes = 0;
    attack(uart, {
      seed,
      accesses: 50_000,
      favourites: [0, 1, 2, 3, 4, 5],
      host: (word) => {
        if (uart.waiting < 1000) uart.receive(new Uint8Array(word & 31).fill(word >>> 8));
        bytes += word & 31;
      },
      invariants: () => {
        // Reading IIR takes back the transmitter's interrupt; the wire must agree before.
        const level = line.level;
        const cause = Number(uart.read(IIR, 1));
        assert.equal(level, (cause & 1) === 0);
      },
    });
    assert.ok(bytes > 0);
  }
});
