import type { PassCounters } from '../../pass/pipeline.ts';
import type { TierPolicy } from '../policy.ts';
import type { PlacedRegion } from '../region/region.ts';
import type { TranslationCounters } from '../region/translator.ts';

/** General registers that a trace keeps of each step: 64-bit words from REGISTERS on. Every ISA has its own first. */
export const TRACED_REGISTERS = 36;

/** What a compiler is made for; whoever asks it asks for all of its life for the same. */
export interface CompilerSubject {
  readonly isa: string;
  readonly guestSize: number;
  /** Guest memory is behind address translation. */
  readonly translated: boolean;
  readonly policy: Pick<TierPolicy, 'limits' | 'passes' | 'guardGain' | 'backgroundAfter' | 'backgroundWork'>;
  readonly disabledPasses: readonly string[];
}

/** A page with code. */
export interface CodePage {
  /** Its place (tier/code-space.ts). */
  readonly page: number;
  /** Its bytes, and behind them those that an instruction at its end may have. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Offsets of the instructions that have been executed. */
  readonly executed: Uint16Array<ArrayBuffer>;
}

/** Instructions that were executed one after the other. */
export interface Trace {
  readonly addresses: Float64Array<ArrayBuffer>;
  /** Before each of them: TRACED_REGISTERS words. */
  readonly registers: Uint8Array<ArrayBuffer>;
}

/** What has become known of the guest since the last request. */
export interface GuestNews {
  /** Nothing that was known before holds. */
  readonly anew: boolean;
  readonly pages: readonly CodePage[];
  /**
   * Behind address translation, where the guest's code is now as far as that is known: guest address, place and address of the decoded records of
   * a page, then the next one's. Else empty.
   */
  readonly mapping: Float64Array<ArrayBuffer>;
  /** The vCPU state, whole. */
  readonly state: Uint8Array<ArrayBuffer>;
  /** The pages' permission bytes; none behind address translation, where nothing is assumed of memory. */
  readonly permission: Uint8Array<ArrayBuffer>;
  readonly trace: Trace | undefined;
  /** Indirect jumps and where they went, most frequent first. */
  readonly jumps: readonly (readonly [number, readonly number[]])[];
  /** [low, high) of instructions that go to memory of several kinds: pairs. */
  readonly distrusted: readonly number[];
  /** Instructions whose common course is not enough. */
  readonly refused: readonly number[];
}

/** A region wished for. */
export interface Wish {
  /** Guest address that it is formed from. */
  readonly seed: number;
  /** Only if it holds this instruction too. */
  readonly holding?: number;
}

/** The first of the wishes that can be met is wanted as a module. */
export interface CompileRequest {
  readonly number: number;
  readonly wishes: readonly Wish[];
  /** The seed is just somewhere in hot code: the region is to begin where its loop does. */
  readonly choose: boolean;
  /** Guest addresses where other regions begin, to be left to them: often a thousand, and as an array five times as long on their way. */
  readonly elsewhere: Float64Array<ArrayBuffer>;
  /** Seeds whose code is at hand: they are only to be named. */
  readonly stored: readonly number[];
  readonly news: GuestNews;
}

/** What came of a request. */
export type CompileOutcome =
  | { readonly kind: 'nothing' }
  /** The region to be made begins at a seed whose code is at hand. */
  | { readonly kind: 'stored'; readonly seed: number }
  | {
      readonly kind: 'compiled';
      /** Which of the wishes. */
      readonly wish: number;
      readonly placed: PlacedRegion;
      /** The guest bytes of its ranges, one after the other. */
      readonly source: Uint8Array<ArrayBuffer>;
      readonly module: WebAssembly.Module;
    };

export interface CompileReply {
  readonly number: number;
  readonly outcome: CompileOutcome;
  /** What the work took and gave, of this request alone. */
  readonly counters: TranslationCounters;
  readonly passCounters: PassCounters;
}

/** The way to a compiler that works beside the guest. */
export interface CompilerConnection {
  /** Requests are answered at once; until then the guest had better translate for itself. */
  readonly ready: boolean;
  /** What was sent before is still known at the other end. */
  readonly remembered: boolean;
  /** Nobody is there any more: no reply will come. */
  readonly lost: boolean;
  /** The guest has retired so many instructions and waited for the translation of so many; others translate for it if that is worth while by now. */
  ran(instructions: number, translated: number): void;
  post(request: CompileRequest): void;
  /** The next reply, if there is one; asked between slices of the guest, so it costs next to nothing when there is none. */
  take(): CompileReply | undefined;
}

/** Whoever compiles beside the guests of a process; each of these has a connection of its own. */
export interface RegionCompilers {
  connect(): CompilerConnection;
}
