import { assert } from '../../../check/assert.ts';
import { ByteRing } from './byte-ring.ts';
import { MTU, IPV4_HEADER, type Route } from './frame.ts';
import type { Stream } from './service.ts';
import { RetransmissionTimer } from './retransmission-timer.ts';
import { TCP_HEADER, TcpFlag, before, distance, sequenceLength, tcpFrame, type TcpSegment } from './tcp-segment.ts';

/** Bytes kept for the guest until it acknowledges them, and bytes kept for a service until it takes them. */
const BUFFER = 1 << 16;
/** The largest window that can be told without scaling; the guest's data is handed on at once, so more would not help. */
const WINDOW = 0xffff;
const OUR_MSS = MTU - IPV4_HEADER - TCP_HEADER;
/** RFC 9293, "Maximum Segment Size Option": what holds when the guest names none. */
const DEFAULT_MSS = 536;
/** A guest that asks for tiny segments would multiply our work. */
const MINIMUM_MSS = 88;
const DUPLICATES_FOR_FAST_RETRANSMIT = 3;
/** NON-SPEC: 2 MSL is minutes in RFC 9293; on a link without routers no segment can be late by more than its queue. */
const TIME_WAIT_MICROSECONDS = 2_000_000;

export type TcpState = 'syn-received' | 'open' | 'time-wait' | 'closed';

/** The two ends, seen from our side. */
export interface TcpEnds {
  readonly route: Route;
  readonly localPort: number;
  readonly guestPort: number;
}

/**
 * Our end of a connection the guest opened (RFC 9293). Segments go in by `receive`, come out of `next`; `advance` tells the time. Only data
 * in order is kept: the link does not reorder, so a gap means a lost segment, which the guest sends again.
 *
 * NON-SPEC: the congestion window starts unlimited, for there is one hop, and `next` is only asked when the guest has room for a frame. After
 * a loss it begins with one segment and doubles (RFC 5681, "Slow Start").
 */
export class TcpConnection {
  readonly ends: TcpEnds;
  readonly #stream: Stream;
  readonly #mss: number;
  readonly #guestScale: number;
  readonly #scaled: boolean;
  readonly #timer = new RetransmissionTimer();
  readonly #unacknowledged = new ByteRing(BUFFER);
  #undelivered: ByteRing | undefined;
  #state: TcpState = 'syn-received';

  // The names of RFC 9293, "Key Connection Management Data Structures".
  readonly #initial: number;
  #sendUnacknowledged: number;
  #sendNext: number;
  /** The highest `sendNext` ever: going back for a retransmission must not make old acknowledgements look like new ones. */
  #sendMaximum: number;
  #sendWindow: number;
  #congestionWindow = Infinity;
  #windowSequence: number;
  #windowAcknowledgment: number;
  #receiveNext: number;
  #advertised = 0;

  #sourceEnded = false;
  #guestEnded = false;
  #guestEndDelivered = false;
  #finAcknowledged = false;
  #closedFirst = false;
  #duplicates = 0;
  #acknowledge = true;
  #probe = false;
  #reset = false;
  #timeWaitEnds = Infinity;

  /** Answers `syn`, which must have SYN and not ACK set. */
  constructor(ends: TcpEnds, syn: TcpSegment, stream: Stream, initialSequence: number) {
    this.ends = ends;
    this.#stream = stream;
    this.#initial = initialSequence >>> 0;
    this.#sendUnacknowledged = this.#initial;
    this.#sendNext = this.#initial;
    this.#sendMaximum = this.#initial;
    this.#receiveNext = (syn.sequence + 1) >>> 0;
    this.#mss = Math.max(MINIMUM_MSS, Math.min(OUR_MSS, syn.maximumSegmentSize ?? DEFAULT_MSS));
    this.#scaled = syn.windowScale !== undefined;
    this.#guestScale = syn.windowScale ?? 0;
    // The window of a SYN is never scaled.
    this.#sendWindow = syn.window;
    this.#windowSequence = syn.sequence;
    this.#windowAcknowledgment = this.#initial;
  }

  get state(): TcpState {
    return this.#state;
  }

  /** How many segments had to be sent again. */
  get retransmissions(): number {
    return this.#timer.retransmissions;
  }

  /** Takes a segment of this connection at `now` microseconds. */
  receive(segment: TcpSegment, now: number): void {
    if (this.#state === 'closed') return;
    if (!this.#acceptable(segment)) {
      // A keep-alive probe, or something sent again whose acknowledgement was lost.
      if ((segment.flags & TcpFlag.rst) === 0) this.#acknowledge = true;
      return;
    }
    if ((segment.flags & TcpFlag.rst) !== 0) {
      // RFC 5961, "Blind Reset Attack Using the RST Bit": one merely inside the window is only challenged.
      if (segment.sequence === this.#receiveNext) this.#end('closed');
      else this.#acknowledge = true;
      return;
    }
    if ((segment.flags & TcpFlag.syn) !== 0) {
      this.#acknowledge = true;
      return;
    }
    if ((segment.flags & TcpFlag.ack) === 0 || !this.#receiveAcknowledgment(segment, now)) return;
    this.#receivePayload(segment);
    this.#closeWhenDone(now);
  }

  /** Time passes: sends again what was not acknowledged, gives up on a guest that never answers. */
  advance(now: number): void {
    if (this.#state === 'time-wait' && now >= this.#timeWaitEnds) this.#end('closed');
    if (this.#state === 'closed' || !this.#timer.expired(now)) return;
    if (!this.#timer.backOff(now)) {
      this.abort();
      return;
    }
    this.#goBack();
    this.#probe = true;
  }

  /** When `advance` should be called next, in microseconds. */
  get deadline(): number {
    return Math.min(this.#timer.deadline, this.#timeWaitEnds);
  }

  /** The next frame for the guest; undefined when there is nothing to send now. */
  next(now: number): Uint8Array | undefined {
    if (this.#reset) {
      this.#reset = false;
      return this.#frame(TcpFlag.rst | TcpFlag.ack, this.#sendNext);
    }
    if (this.#state === 'closed') return undefined;
    if (this.#state === 'time-wait') return this.#nextAcknowledgment();
    if (this.#state === 'syn-received') return this.#nextHandshake(now);
    this.#deliver();
    this.#pull();
    this.#closeWhenDone(now);
    return this.#nextData(now) ?? this.#nextAcknowledgment();
  }

  /** Ends the connection with a reset. */
  abort(): void {
    if (this.#state === 'closed') return;
    this.#reset = true;
    this.#end('closed');
  }

  checkInvariants(): void {
    const kept = this.#unacknowledged.length;
    const flight = distance(this.#sendUnacknowledged, this.#sendNext);
    const sent = distance(this.#sendUnacknowledged, this.#sendMaximum);
    assert(flight <= sent, 'what is sent next was not sent yet, or is sent again');
    // A SYN or FIN takes a sequence number without being a byte.
    assert(sent <= kept + 1, 'what may have to be sent again is kept');
    assert((this.#undelivered?.length ?? 0) <= BUFFER && kept <= BUFFER, 'buffers are bounded');
    assert(this.#state !== 'closed' || this.deadline === Infinity, 'a closed connection waits for nothing');
  }

  /** The window a segment must touch (RFC 9293, "Segment Acceptability Test"). */
  #acceptable(segment: TcpSegment): boolean {
    const length = sequenceLength(segment);
    const window = this.#receiveWindow();
    const offset = distance(this.#receiveNext, segment.sequence);
    if (length === 0) return window === 0 ? offset === 0 : offset < window;
    if (window === 0) return false;
    return offset < window || distance(this.#receiveNext, (segment.sequence + length - 1) >>> 0) < window;
  }

  /** Whether the rest of the segment is to be looked at. */
  #receiveAcknowledgment(segment: TcpSegment, now: number): boolean {
    const { acknowledgment } = segment;
    if (this.#state === 'syn-received') {
      if (acknowledgment !== (this.#initial + 1) >>> 0) {
        this.abort();
        return false;
      }
      this.#state = 'open';
      this.#sendUnacknowledged = acknowledgment;
      this.#sendNext = acknowledgment;
      this.#sendMaximum = acknowledgment;
      this.#timer.acknowledged(acknowledgment, now, false);
    } else if (before(this.#sendMaximum, acknowledgment)) {
      this.#acknowledge = true;
      return false;
    } else if (before(this.#sendUnacknowledged, acknowledgment)) {
      this.#advanceAcknowledged(acknowledgment, now);
    } else if (acknowledgment === this.#sendUnacknowledged) {
      this.#countDuplicate(segment);
    }
    this.#updateWindow(segment);
    return true;
  }

  #advanceAcknowledged(acknowledgment: number, now: number): void {
    let count = distance(this.#sendUnacknowledged, acknowledgment);
    if (count > this.#unacknowledged.length) {
      this.#finAcknowledged = true;
      count = this.#unacknowledged.length;
    }
    this.#unacknowledged.drop(count);
    this.#sendUnacknowledged = acknowledgment;
    if (before(this.#sendNext, acknowledgment)) this.#sendNext = acknowledgment;
    this.#duplicates = 0;
    this.#congestionWindow *= 2;
    this.#timer.acknowledged(acknowledgment, now, acknowledgment !== this.#sendMaximum);
  }

  /** RFC 5681, "Fast Retransmit/Fast Recovery". */
  #countDuplicate(segment: TcpSegment): void {
    const outstanding = this.#sendUnacknowledged !== this.#sendMaximum;
    const sameWindow = this.#windowOf(segment) === this.#sendWindow;
    // A guest may keep its window shut for as long as it answers.
    if (segment.window === 0) this.#timer.heard();
    if (!outstanding || sequenceLength(segment) !== 0 || !sameWindow) return;
    this.#duplicates += 1;
    if (this.#duplicates !== DUPLICATES_FOR_FAST_RETRANSMIT) return;
    this.#timer.countRetransmission();
    this.#goBack();
  }

  /** Sends the first unacknowledged segment again, and the others as far as acknowledgements do not make it needless. */
  #goBack(): void {
    this.#sendNext = this.#sendUnacknowledged;
    this.#congestionWindow = this.#mss;
  }

  #updateWindow(segment: TcpSegment): void {
    const newer =
      before(this.#windowSequence, segment.sequence) ||
      (this.#windowSequence === segment.sequence && !before(segment.acknowledgment, this.#windowAcknowledgment));
    if (!newer) return;
    this.#sendWindow = this.#windowOf(segment);
    this.#windowSequence = segment.sequence;
    this.#windowAcknowledgment = segment.acknowledgment;
  }

  #windowOf(segment: TcpSegment): number {
    return segment.window * 2 ** this.#guestScale;
  }

  #receivePayload(segment: TcpSegment): void {
    const fin = (segment.flags & TcpFlag.fin) !== 0;
    if (segment.payload.length === 0 && !fin) return;
    this.#acknowledge = true;
    if (this.#guestEnded || before(this.#receiveNext, segment.sequence)) return;
    const known = distance(segment.sequence, this.#receiveNext);
    if (known > segment.payload.length) return;
    const fresh = segment.payload.subarray(known, known + this.#receiveWindow());
    this.#accept(fresh);
    this.#receiveNext = (this.#receiveNext + fresh.length) >>> 0;
    if (!fin || known + fresh.length !== segment.payload.length) return;
    this.#guestEnded = true;
    this.#receiveNext = (this.#receiveNext + 1) >>> 0;
    this.#deliver();
  }

  #accept(bytes: Uint8Array): void {
    const waiting = this.#undelivered?.length ?? 0;
    const taken = waiting === 0 && bytes.length > 0 ? Math.min(this.#stream.write(bytes), bytes.length) : 0;
    if (taken === bytes.length) return;
    this.#undelivered ??= new ByteRing(BUFFER);
    this.#undelivered.push(bytes.subarray(taken));
  }

  /** Offers the service what it did not take before, then the guest's end. */
  #deliver(): void {
    const waiting = this.#undelivered;
    if (waiting !== undefined && waiting.length > 0) {
      waiting.drain((bytes) => this.#stream.write(bytes));
      // Tell the guest when its window opens again: two segments' worth, so that it is worth a frame.
      if (this.#receiveWindow() - this.#advertised >= 2 * OUR_MSS) this.#acknowledge = true;
    }
    if (!this.#guestEnded || this.#guestEndDelivered || (waiting?.length ?? 0) > 0) return;
    this.#guestEndDelivered = true;
    this.#stream.end();
  }

  #pull(): void {
    while (!this.#sourceEnded && this.#unacknowledged.room > 0) {
      const count = this.#unacknowledged.fill((into) => this.#stream.read(into));
      if (count < 0) {
        this.#sourceEnded = true;
        this.#closedFirst = !this.#guestEnded;
      }
      if (count <= 0) return;
    }
  }

  #nextHandshake(now: number): Uint8Array | undefined {
    const again = this.#sendNext !== this.#sendMaximum || this.#sendNext === this.#initial;
    if (!again && !this.#acknowledge) return undefined;
    this.#acknowledge = false;
    this.#sendNext = (this.#initial + 1) >>> 0;
    this.#timer.sent(this.#sendNext, now, this.#sendMaximum === this.#sendNext);
    this.#sendMaximum = this.#sendNext;
    return this.#frame(TcpFlag.syn | TcpFlag.ack, this.#initial);
  }

  #nextData(now: number): Uint8Array | undefined {
    const flight = distance(this.#sendUnacknowledged, this.#sendNext);
    const unsent = this.#unacknowledged.length - flight;
    const allowed = Math.min(this.#sendWindow, this.#congestionWindow);
    const window = this.#probe ? Math.max(allowed, flight + 1) : allowed;
    const length = Math.min(this.#mss, unsent, Math.max(0, window - flight));
    const finDue = this.#sourceEnded && !this.#finAcknowledged && unsent >= 0 && length === unsent;
    if (length <= 0 && !finDue) {
      // A closed window says nothing when it opens if that segment is lost, so ask (RFC 9293, "Zero-Window Probing").
      if (unsent > 0 && flight === 0) this.#timer.start(now);
      return undefined;
    }
    this.#probe = false;
    const sequence = this.#sendNext;
    const repeated = before(sequence, this.#sendMaximum);
    const end = (sequence + length + (finDue ? 1 : 0)) >>> 0;
    // What goes beyond the window will hardly be taken, so it does not count as sent.
    if (flight + length <= this.#sendWindow || finDue) this.#sendNext = end;
    if (before(this.#sendMaximum, end)) this.#sendMaximum = end;
    this.#timer.sent(end, now, repeated);
    this.#acknowledge = false;
    const flags = TcpFlag.ack | (length > 0 && length === unsent ? TcpFlag.psh : 0) | (finDue ? TcpFlag.fin : 0);
    return this.#frame(flags, sequence, length, (payload) => this.#unacknowledged.copy(flight, payload));
  }

  #nextAcknowledgment(): Uint8Array | undefined {
    if (!this.#acknowledge) return undefined;
    this.#acknowledge = false;
    return this.#frame(TcpFlag.ack, this.#sendNext);
  }

  #receiveWindow(): number {
    return Math.min(WINDOW, this.#undelivered === undefined ? BUFFER : this.#undelivered.room);
  }

  #frame(flags: number, sequence: number, length = 0, fill?: (payload: Uint8Array) => void): Uint8Array {
    this.#advertised = this.#receiveWindow();
    const header = {
      sourcePort: this.ends.localPort,
      destinationPort: this.ends.guestPort,
      sequence,
      acknowledgment: this.#receiveNext,
      flags,
      window: this.#advertised,
    };
    if ((flags & TcpFlag.syn) === 0) return tcpFrame(this.ends.route, header, length, fill);
    return tcpFrame(this.ends.route, {
      ...header,
      maximumSegmentSize: OUR_MSS,
      ...(this.#scaled ? { windowScale: 0 } : {}),
    });
  }

  #closeWhenDone(now: number): void {
    if (this.#state !== 'open' || !this.#guestEndDelivered || !this.#finAcknowledged) return;
    // Whoever closed first must answer a FIN that is sent again.
    this.#end(this.#closedFirst ? 'time-wait' : 'closed');
    if (this.#closedFirst) this.#timeWaitEnds = now + TIME_WAIT_MICROSECONDS;
  }

  #end(state: 'time-wait' | 'closed'): void {
    const streaming = this.#state !== 'time-wait' && this.#state !== 'closed';
    this.#state = state;
    this.#timer.stop();
    this.#timeWaitEnds = Infinity;
    if (streaming) this.#stream.close();
  }
}
