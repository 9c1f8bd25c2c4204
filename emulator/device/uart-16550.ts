import type { MmioWidth } from '../memory/mmio.ts';
import { UNCONNECTED, type InterruptLine } from './device.ts';
import { RegisterBlock, RegisterDevice } from './register-block.ts';

const SPECIFICATION = 'PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs';
const FIFO_SIZE = 16;
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;

/** Interrupt Enable Register. */
const Enable = { received: 1, transmitterEmpty: 2, lineStatus: 4, modemStatus: 8 } as const;
/** Interrupt Identification Register, by falling priority. */
const Identification = {
  lineStatus: 0x06,
  received: 0x04,
  timeout: 0x0c,
  transmitterEmpty: 0x02,
  modemStatus: 0x00,
  none: 0x01,
  fifosEnabled: 0xc0,
} as const;
const FifoControl = { enable: 1, clearReceiver: 2, clearTransmitter: 4, kept: 0xc9 } as const;
const LineControl = { divisorLatch: 0x80 } as const;
const ModemControl = { dtr: 1, rts: 2, out1: 4, out2: 8, loop: 0x10, kept: 0x1f } as const;
const LineStatus = {
  dataReady: 1,
  overrun: 2,
  transmitterEmpty: 0x60,
  errors: 0x1e,
} as const;
const ModemStatus = { cts: 0x10, dsr: 0x20, ri: 0x40, dcd: 0x80, deltas: 0x0f, trailingRi: 4 } as const;

export interface UartOptions {
  readonly line?: InterruptLine;
  /** Called with each byte the guest sends. */
  readonly output: (byte: number) => void;
}

/**
 * A 16550A. Sending takes no time, so the transmitter is always empty. What the host sends waits in a queue of any length and moves into the
 * FIFO as the guest makes room: nothing typed or piped in is lost to an overrun.
 *
 * NON-SPEC: characters below the trigger level raise the time-out interrupt at once instead of after four character times; line speed is
 * not modelled, and waiting would only slow the console down.
 */
export class Uart16550 extends RegisterDevice<Uart16550> {
  static readonly block = new RegisterBlock<Uart16550>(
    '16550A UART',
    SPECIFICATION,
    0x100,
    [1, 2, 4, 8],
    [
      {
        name: 'rbr/thr/dll',
        offset: 0,
        width: 1,
        doc: 'receiver buffer (read), transmitter holding (write); low divisor byte when LCR.7 is set',
        spec: 'Registers',
        read: (uart) => (uart.#latched() ? uart.#divisor & 0xff : uart.#receive()),
        write: (uart, value) => {
          if (uart.#latched()) uart.#divisor = (uart.#divisor & 0xff00) | Number(value);
          else uart.#transmit(Number(value));
        },
      },
      {
        name: 'ier/dlm',
        offset: 1,
        width: 1,
        doc: 'interrupt enables: received data, transmitter empty, line status, modem status; high divisor byte when LCR.7 is set',
        spec: 'Interrupt Enable Register',
        read: (uart) => (uart.#latched() ? uart.#divisor >>> 8 : uart.#enable),
        write: (uart, value) => {
          if (uart.#latched()) uart.#divisor = (uart.#divisor & 0xff) | (Number(value) << 8);
          else uart.#setEnable(Number(value) & 0x0f);
        },
      },
      {
        name: 'iir/fcr',
        offset: 2,
        width: 1,
        reset: Identification.none,
        doc: 'interrupt identification (read; takes back a transmitter-empty interrupt), FIFO control (write)',
        spec: 'Interrupt Identification Register, FIFO Control Register',
        read: (uart) => uart.#identify(),
        write: (uart, value) => uart.#controlFifos(Number(value)),
      },
      {
        name: 'lcr',
        offset: 3,
        width: 1,
        doc: 'line control: word length, stop bits, parity, break; bit 7 opens the divisor latch',
        spec: 'Line Control Register',
        read: (uart) => uart.#lineControl,
        write: (uart, value) => (uart.#lineControl = Number(value)),
      },
      {
        name: 'mcr',
        offset: 4,
        width: 1,
        doc: 'modem control: DTR, RTS, OUT1, OUT2, loop back',
        spec: 'Modem Control Register',
        read: (uart) => uart.#modemControl,
        write: (uart, value) => uart.#controlModem(Number(value)),
      },
      {
        name: 'lsr',
        offset: 5,
        width: 1,
        reset: LineStatus.transmitterEmpty,
        doc: 'line status: data ready, overrun, break, transmitter empty; reading clears the errors',
        spec: 'Line Status Register',
        read: (uart) => uart.#readLineStatus(),
      },
      {
        name: 'msr',
        offset: 6,
        width: 1,
        reset: ModemStatus.cts | ModemStatus.dsr | ModemStatus.dcd,
        doc: 'modem status: CTS, DSR, RI, DCD and what changed since the last read',
        spec: 'Modem Status Register',
        read: (uart) => uart.#readModemStatus(),
      },
      {
        name: 'scr',
        offset: 7,
        width: 1,
        doc: 'scratch',
        spec: 'Scratchpad Register',
        read: (uart) => uart.#scratch,
        write: (uart, value) => (uart.#scratch = Number(value)),
      },
    ],
  );

  readonly name = 'uart';
  readonly #line: InterruptLine;
  readonly #output: (byte: number) => void;
  /** Characters the guest can see; the high byte is set for a break. */
  readonly #fifo: number[] = [];
  /** What the host sent and the FIFO has had no room for: chunks, and how far the first is used. */
  readonly #queue: Uint8Array[] = [];
  #queueAt = 0;
  #divisor = 0;
  #enable = 0;
  #fifoControl = 0;
  #lineControl = 0;
  #modemControl = 0;
  #modemDeltas = 0;
  #overrun = false;
  #scratch = 0;
  /** The transmitter-empty interrupt has not been taken back since the transmitter last became empty. */
  #emptyPending = false;
  #asked = false;

  constructor({ line = UNCONNECTED, output }: UartOptions) {
    super(Uart16550.block);
    this.#line = line;
    this.#output = output;
  }

  override refuses(_offset: number, _width: MmioWidth): boolean {
    return false;
  }

  /** Bytes the guest has not read yet, those in the FIFO included: for hosts that want to hold back. */
  get waiting(): number {
    return this.#queue.reduce((sum, { length }) => sum + length, this.#fifo.length) - this.#queueAt;
  }

  /**
   * Whether the guest has looked for input and found none, since the last call and since it last sent a byte. One that polls for it is likely to have nothing
   * better to do.
   */
  takeAsked(): boolean {
    const asked = this.#asked;
    this.#asked = false;
    return asked;
  }

  /** Queues bytes for the guest; they are copied. */
  receive(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#queue.push(bytes.slice());
    this.#fill();
    this.#update();
  }

  /** Gives waiting bytes to a console that does not use the registers, such as the built-in SBI's; returns how many. */
  take(into: Uint8Array): number {
    let count = 0;
    while (count < into.length && this.#fifo.length > 0) into[count++] = this.#receive();
    this.#asked = count === 0;
    return count;
  }

  /** Queued input stays, as it would in the terminal at the other end. */
  reset(): void {
    this.#fifo.length = 0;
    this.#divisor = 0;
    this.#enable = 0;
    this.#fifoControl = 0;
    this.#lineControl = 0;
    this.#modemControl = 0;
    this.#modemDeltas = 0;
    this.#overrun = false;
    this.#scratch = 0;
    this.#emptyPending = false;
    this.#asked = false;
    this.#fill();
    this.#update();
  }

  #latched(): boolean {
    return (this.#lineControl & LineControl.divisorLatch) !== 0;
  }

  #looped(): boolean {
    return (this.#modemControl & ModemControl.loop) !== 0;
  }

  #capacity(): number {
    return (this.#fifoControl & FifoControl.enable) === 0 ? 1 : FIFO_SIZE;
  }

  /** In loop-back the receiver is cut off from the line. */
  #fill(): void {
    if (this.#looped()) return;
    while (this.#fifo.length < this.#capacity()) {
      const chunk = this.#queue[0];
      if (chunk === undefined) return;
      this.#fifo.push(chunk[this.#queueAt++]!);
      if (this.#queueAt < chunk.length) continue;
      this.#queue.shift();
      this.#queueAt = 0;
    }
  }

  #receive(): number {
    const byte = this.#fifo.shift() ?? 0;
    this.#fill();
    this.#update();
    return byte;
  }

  #transmit(byte: number): void {
    this.#asked = false;
    if (!this.#looped()) this.#output(byte);
    else if (this.#fifo.length < this.#capacity()) this.#fifo.push(byte);
    else {
      // Without FIFOs the holding register is overwritten; with them the shift register is, and the FIFO stays.
      this.#overrun = true;
      if (this.#capacity() === 1) this.#fifo[0] = byte;
    }
    this.#emptyPending = true;
    this.#update();
  }

  /** Enabling the transmitter-empty interrupt while it is empty raises it: drivers start sending that way. */
  #setEnable(value: number): void {
    if ((value & ~this.#enable & Enable.transmitterEmpty) !== 0) this.#emptyPending = true;
    this.#enable = value;
    this.#update();
  }

  #identify(): number {
    const cause = this.#cause();
    if (cause === Identification.transmitterEmpty) {
      this.#emptyPending = false;
      this.#update();
    }
    return cause | ((this.#fifoControl & FifoControl.enable) === 0 ? 0 : Identification.fifosEnabled);
  }

  #controlFifos(value: number): void {
    const switched = ((value ^ this.#fifoControl) & FifoControl.enable) !== 0;
    // "Resetting FCR0 will clear all bytes in both FIFOs", and the other bits count only together with it.
    const control = (value & FifoControl.enable) === 0 ? 0 : value;
    if (switched || (control & FifoControl.clearReceiver) !== 0) this.#fifo.length = 0;
    if (switched || (control & FifoControl.clearTransmitter) !== 0) this.#emptyPending = true;
    this.#fifoControl = control & FifoControl.kept;
    this.#fill();
    this.#update();
  }

  #controlModem(value: number): void {
    const before = this.#modemLines();
    this.#modemControl = value & ModemControl.kept;
    const after = this.#modemLines();
    const changed = before ^ after;
    this.#modemDeltas |= (changed & (ModemStatus.cts | ModemStatus.dsr | ModemStatus.dcd)) >>> 4;
    // The ring indicator counts on its trailing edge only.
    if ((changed & before & ModemStatus.ri) !== 0) this.#modemDeltas |= ModemStatus.trailingRi;
    this.#fill();
    this.#update();
  }

  /** A null modem whose other end is ready; in loop-back the outputs come back as inputs. */
  #modemLines(): number {
    if (!this.#looped()) return ModemStatus.cts | ModemStatus.dsr | ModemStatus.dcd;
    const control = this.#modemControl;
    return (
      (control & ModemControl.rts ? ModemStatus.cts : 0) |
      (control & ModemControl.dtr ? ModemStatus.dsr : 0) |
      (control & ModemControl.out1 ? ModemStatus.ri : 0) |
      (control & ModemControl.out2 ? ModemStatus.dcd : 0)
    );
  }

  #lineStatus(): number {
    return (
      LineStatus.transmitterEmpty |
      (this.#fifo.length > 0 ? LineStatus.dataReady : 0) |
      (this.#overrun ? LineStatus.overrun : 0)
    );
  }

  #readLineStatus(): number {
    const status = this.#lineStatus();
    this.#asked = (status & LineStatus.dataReady) === 0;
    if (this.#overrun) {
      this.#overrun = false;
      this.#update();
    }
    return status;
  }

  #readModemStatus(): number {
    const status = this.#modemLines() | this.#modemDeltas;
    if (this.#modemDeltas !== 0) {
      this.#modemDeltas = 0;
      this.#update();
    }
    return status;
  }

  /** The interrupt of the highest priority that is enabled and pending ("Interrupt Identification Register", its table). */
  #cause(): number {
    if ((this.#enable & Enable.lineStatus) !== 0 && (this.#lineStatus() & LineStatus.errors) !== 0) {
      return Identification.lineStatus;
    }
    if ((this.#enable & Enable.received) !== 0 && this.#fifo.length > 0) {
      const trigger = this.#capacity() === 1 ? 1 : TRIGGER_LEVELS[this.#fifoControl >>> 6]!;
      return this.#fifo.length >= trigger ? Identification.received : Identification.timeout;
    }
    if ((this.#enable & Enable.transmitterEmpty) !== 0 && this.#emptyPending) return Identification.transmitterEmpty;
    if ((this.#enable & Enable.modemStatus) !== 0 && this.#modemDeltas !== 0) return Identification.modemStatus;
    return Identification.none;
  }

  #update(): void {
    this.#line.set(this.#cause() !== Identification.none);
  }
}
