// hot: every external interrupt is claimed and completed here (suites/device/plic.bench.ts)
import { CHECK, CheckLevel, assert } from '../check/assert.ts';
import { ConfigError } from '../check/errors.ts';
import type { InterruptLine } from './device.ts';
import { RegisterBlock, RegisterDevice } from './register-block.ts';

const SPECIFICATION = 'RISC-V Platform-Level Interrupt Controller Specification';
const MAX_SOURCES = 1024;
/** What 6 MiB of address space have room for; the specification's layout goes on to 15872. */
const MAX_CONTEXTS = 1024;
const WORDS_A_CONTEXT = MAX_SOURCES / 32;

export interface PlicOptions {
  /** Interrupt sources, source 0 (which does not exist) included: 2 to 1024. */
  readonly sources: number;
  /** Bits of a priority and a threshold: 1 to 31, by default 3. */
  readonly priorityBits?: number;
  /** One a context: the external interrupt wire of a hart's M or S mode. */
  readonly contexts: readonly InterruptLine[];
}

/**
 * The platform-level interrupt controller for level-triggered sources. A gateway passes one request on and then none until that one is
 * completed; if the wire is still high then, the source is pending again.
 */
export class Plic extends RegisterDevice<Plic> {
  static readonly block = new RegisterBlock<Plic>(
    'PLIC: external interrupts',
    SPECIFICATION,
    0x60_0000,
    [4],
    [
      {
        name: 'priority',
        offset: 0,
        width: 4,
        count: MAX_SOURCES,
        doc: 'priority of source n; 0 never interrupts',
        spec: 'Interrupt Priorities',
        read: (plic, source) => plic.#priority[source] ?? 0,
        write: (plic, value, source) => {
          if (source === 0 || source >= plic.sources) return;
          plic.#priority[source] = Number(value) & plic.#priorityMask;
          plic.#updateAll();
        },
      },
      {
        name: 'pending',
        offset: 0x1000,
        width: 4,
        count: WORDS_A_CONTEXT,
        doc: 'a bit a source, 32 sources a word',
        spec: 'Interrupt Pending Bits',
        read: (plic, word) => (plic.#pending[word] ?? 0) >>> 0,
      },
      {
        name: 'enable',
        offset: 0x2000,
        width: 4,
        count: WORDS_A_CONTEXT * MAX_CONTEXTS,
        doc: 'a bit a source; context c has the 32 words from 32·c',
        spec: 'Interrupt Enables',
        read: (plic, index) => plic.#enabledWord(index >>> 5, index & 31),
        write: (plic, value, index) => plic.#enable(index >>> 5, index & 31, Number(value)),
      },
      {
        name: 'threshold',
        offset: 0x20_0000,
        width: 4,
        count: MAX_CONTEXTS,
        stride: 0x1000,
        doc: 'sources of this priority and below do not interrupt context n',
        spec: 'Priority Thresholds',
        read: (plic, context) => plic.#threshold[context] ?? 0,
        write: (plic, value, context) => {
          if (context >= plic.#contexts.length) return;
          plic.#threshold[context] = Number(value) & plic.#priorityMask;
          plic.#update(context);
        },
      },
      {
        name: 'claim',
        offset: 0x20_0004,
        width: 4,
        count: MAX_CONTEXTS,
        stride: 0x1000,
        doc: 'reading claims the highest pending source enabled in context n, 0 for none; writing a source completes it',
        spec: 'Interrupt Claim Process',
        read: (plic, context) => plic.claim(context),
        write: (plic, value, context) => plic.complete(context, Number(value)),
      },
    ],
  );

  readonly name = 'plic';
  readonly sources: number;
  readonly #priorityMask: number;
  readonly #contexts: readonly InterruptLine[];
  readonly #words: number;
  readonly #priority: Uint32Array;
  readonly #threshold: Uint32Array;
  /** `#words` words a context. */
  readonly #enabled: Uint32Array;
  readonly #pending: Uint32Array;
  /** Sources claimed and not completed: their gateways pass nothing on. */
  readonly #inService: Uint32Array;
  /** What the wires say now. */
  readonly #wires: Uint32Array;

  constructor({ sources, priorityBits = 3, contexts }: PlicOptions) {
    super(Plic.block);
    const within = (value: number, low: number, high: number): boolean =>
      Number.isInteger(value) && value >= low && value <= high;
    if (!within(sources, 2, MAX_SOURCES) || !within(contexts.length, 1, MAX_CONTEXTS) || !within(priorityBits, 1, 31)) {
      throw new ConfigError(
        `a PLIC of ${sources} sources, ${contexts.length} contexts and ${priorityBits} bits of priority`,
        {
          mend: `give 2 to ${MAX_SOURCES} sources, 1 to ${MAX_CONTEXTS} contexts and 1 to 31 bits`,
        },
      );
    }
    this.sources = sources;
    this.#priorityMask = 2 ** priorityBits - 1;
    this.#contexts = contexts;
    this.#words = Math.ceil(sources / 32);
    this.#priority = new Uint32Array(sources);
    this.#threshold = new Uint32Array(contexts.length);
    this.#enabled = new Uint32Array(this.#words * contexts.length);
    this.#pending = new Uint32Array(this.#words);
    this.#inService = new Uint32Array(this.#words);
    this.#wires = new Uint32Array(this.#words);
  }

  /** The wire of `source`, 1 to `sources - 1`. Throws ConfigError for others. */
  line(source: number): InterruptLine {
    if (!Number.isInteger(source) || source < 1 || source >= this.sources) {
      throw new ConfigError(`interrupt ${source} of a PLIC with ${this.sources - 1} sources`);
    }
    return { set: (level) => this.#wire(source, level) };
  }

  /** Highest-priority pending source enabled for `context`, the lowest number among equals; it is then in service. 0 when there is none. */
  claim(context: number): number {
    if (context >= this.#contexts.length) return 0;
    const source = this.#best(context, 0);
    if (source !== 0) {
      this.#pending[source >>> 5]! &= ~bit(source);
      this.#inService[source >>> 5]! |= bit(source);
      this.#updateAll();
    }
    return source;
  }

  /** Ends the service of `source`; ignored unless it is enabled for `context` ("Interrupt Completion"). */
  complete(context: number, source: number): void {
    if (context >= this.#contexts.length || source < 1 || source >= this.sources) return;
    if ((this.#enabledWord(context, source >>> 5) & bit(source)) === 0) return;
    if ((this.#inService[source >>> 5]! & bit(source)) === 0) return;
    this.#inService[source >>> 5]! &= ~bit(source);
    if ((this.#wires[source >>> 5]! & bit(source)) === 0) return;
    this.#pending[source >>> 5]! |= bit(source);
    this.#updateAll();
  }

  /** The wires stay as their devices hold them: a high one is pending again at once. */
  reset(): void {
    this.#priority.fill(0);
    this.#threshold.fill(0);
    this.#enabled.fill(0);
    this.#inService.fill(0);
    this.#pending.set(this.#wires);
    this.#updateAll();
  }

  /** @throws AssertionFailure when a source is both pending and in service, or one exists that cannot. */
  checkInvariants(): void {
    for (let word = 0; word < this.#words; word++) {
      assert((this.#pending[word]! & this.#inService[word]!) === 0, 'no source is pending while it is in service');
      const absent = ~this.#existing(word);
      const used = this.#pending[word]! | this.#inService[word]! | this.#wires[word]!;
      assert((used & absent) === 0, 'only sources that exist are pending or in service');
      for (let context = 0; context < this.#contexts.length; context++) {
        assert((this.#enabledWord(context, word) & absent) === 0, 'only sources that exist are enabled');
      }
    }
  }

  #wire(source: number, level: boolean): void {
    const word = source >>> 5;
    const mask = bit(source);
    if (((this.#wires[word]! & mask) !== 0) === level) return;
    this.#wires[word]! ^= mask;
    // A request that was passed on stays pending although its wire falls ("Interrupt Gateways").
    if (!level || (this.#inService[word]! & mask) !== 0 || (this.#pending[word]! & mask) !== 0) return;
    this.#pending[word]! |= mask;
    this.#updateAll();
  }

  #enable(context: number, word: number, value: number): void {
    if (context >= this.#contexts.length || word >= this.#words) return;
    this.#enabled[context * this.#words + word] = value & this.#existing(word);
    this.#update(context);
  }

  #enabledWord(context: number, word: number): number {
    if (context >= this.#contexts.length || word >= this.#words) return 0;
    return this.#enabled[context * this.#words + word]!;
  }

  /** The sources of a word that exist: source 0 does not. */
  #existing(word: number): number {
    const last = this.sources - 32 * word;
    const upTo = last >= 32 ? -1 : (1 << last) - 1;
    return word === 0 ? upTo & ~1 : upTo;
  }

  /** Source of the highest priority above `threshold` that is pending and enabled, or 0. */
  #best(context: number, threshold: number): number {
    let best = 0;
    let priority = threshold;
    for (let word = 0; word < this.#words; word++) {
      let candidates = this.#pending[word]! & this.#enabled[context * this.#words + word]!;
      while (candidates !== 0) {
        const source = 32 * word + 31 - Math.clz32(candidates & -candidates);
        candidates &= candidates - 1;
        if (this.#priority[source]! > priority) {
          best = source;
          priority = this.#priority[source]!;
        }
      }
    }
    return best;
  }

  #update(context: number): void {
    this.#contexts[context]!.set(this.#best(context, this.#threshold[context]!) !== 0);
  }

  #updateAll(): void {
    if (CHECK >= CheckLevel.full) this.checkInvariants();
    for (let context = 0; context < this.#contexts.length; context++) this.#update(context);
  }
}

function bit(source: number): number {
  return 1 << (source & 31);
}
