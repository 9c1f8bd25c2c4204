import { LIMITS, type DiscoveryLimits } from './region/discover.ts';

/** When code is translated, and how. All counts are of guest instructions or events, so that runs repeat exactly. */
export interface TierPolicy {
  /** Instructions of the interpreter between two looks at where it is. */
  readonly sampleInterval: number;
  /** Looks that must find the same 64 bytes of code before it is traced. */
  readonly hotSamples: number;
  /** Instructions before anything is translated: V8 takes as long to get the translator going. */
  readonly warmUp: number;
  /** Guest instructions of the smallest region that code is looked at for. */
  readonly leastRegion: number;
  /** Instructions followed one by one to see where hot code jumps. */
  readonly traceLength: number;
  /** Instructions followed one by one to see where the code about to be translated accesses memory. */
  readonly observedSteps: number;
  /** Times that control must leave regions for the same address before code is translated from there. */
  readonly hotExits: number;
  /** What translating one guest instruction costs, V8's share included, in interpreted instructions: code must have run that long. */
  readonly cost: number;
  /** Guest instructions that take as long as what is to be done for each region, whatever its size. */
  readonly overhead: number;
  /** What the first of them cost more, while V8 runs the translator unoptimised. */
  readonly coldCost: number;
  /** What the translation of 64 bytes of code costs in a process that has only begun, in interpreted instructions. */
  readonly lineCost: number;
  /** Instructions of all processes of a program that is not likely to end soon. */
  readonly longProgram: number;
  /** Interpreted instructions that code must have cost before a region is asked for where that does not keep the guest waiting. */
  readonly backgroundCost: number;
  /** Instructions of all processes before the thread that translates in the background is begun: about as many as run in the time that takes. */
  readonly backgroundAfter: number;
  /** Instructions that must have been translated by then, by all processes: those that need little are done before the thread is of use to them. */
  readonly backgroundWork: number;
  /** What leaving a region for an address that it does not know of costs, in the same unit: control comes out of WebAssembly. */
  readonly exitCost: number;
  /** What an arrival counts: that control leaves a region for code that has none, and interprets it. */
  readonly arrivalCost: number;
  /** The same where code does not run in user mode. */
  readonly systemArrivalCost: number;
  /** Guest instructions after whose translation an arrival in user mode counts half as much: the more has been translated, the less hot is what is left. */
  readonly arrivalFade: number;
  /** What giving an instruction to the interpreter and coming back costs. */
  readonly refusalCost: number;
  /** What going from one region to another costs, in the same unit. */
  readonly chainCost: number;
  /** Times that an instruction is given back to the interpreter before its region is made anew to suit it. */
  readonly manyRefusals: number;
  /** Instructions of a region that is not to be made anew twice for wrong guesses about memory: one is heeded in all of it. */
  readonly dearToRenew: number;
  /** Times that a region is made anew at most. */
  readonly generations: number;
  /** Instructions in one entry of a region: V8 takes up its optimised code only between entries. */
  readonly slice: number;
  readonly limits: DiscoveryLimits;
  /** Regions taken from the store with one that is known to become hot: the next ones by address. */
  readonly prefetch: number;
  /** Whether the passes run. */
  readonly passes: boolean;
  /** Loops get a guard (region/loop-guard.ts) when it saves so many times what it costs; all that can when 0, none when infinite. */
  readonly guardGain: number;
  /** Translate whatever is reached, at once, whether it has been executed before or not. */
  readonly eager: boolean;
}

/** What programs are run with. */
export const AUTO: TierPolicy = {
  sampleInterval: 30_000,
  hotSamples: 3,
  warmUp: 500_000,
  leastRegion: 16,
  traceLength: 100,
  observedSteps: 400,
  hotExits: 40,
  cost: 4000,
  overhead: 0,
  coldCost: 10_000,
  lineCost: 320_000,
  longProgram: 50_000_000,
  backgroundCost: 60_000,
  backgroundAfter: 40_000_000,
  backgroundWork: 3000,
  exitCost: 1500,
  arrivalCost: 1500,
  systemArrivalCost: 1500,
  // [measured: a shell with pipes and one that counts took 0.92 and 0.88 of their processor time, guests as long as before. With 1000 it was 0.87 and 0.84, but then
  // of the jumps that want a region fewer than 99 of 100 find one]
  arrivalFade: 5000,
  refusalCost: 6000,
  chainCost: 15,
  manyRefusals: 50,
  // [measured: `dhry` has one of 439, and takes 0.86 of its time at scale `long`; of 50 million instructions it takes 1.07 of the interpreter's time, start included,
  // instead of 1.15]
  dearToRenew: 100,
  generations: 8,
  slice: 1_000_000,
  limits: LIMITS,
  prefetch: 8,
  passes: true,
  guardGain: 1.5,
  eager: false,
};

/**
 * What a machine with address translation is run with: kernels are wide and flat, and a boot is soon over. In one a translation takes half a
 * millisecond and 15 µs for each instruction, in which the interpreter runs 8000 of cold code: so `overhead` and `cost`, and
 * `chainCost`, by which two regions become one as soon as they did with 12,000 and 15. [measured: emulator/docs/booting.md, "Tried without gain"] `warmUp`: until U-Boot's prompt, which comes after 36 million
 * instructions, the interpreter alone takes 0.87 of the time; a boot of Linux has as much work for V8 in that time, and takes 0.97. What the guest does
 * not wait for takes its time too: to be asked for, by V8, and from the regions that are left for it. [measured: of 60,000, 200,000, 500,000 and
 * 1,000,000 in place of `backgroundCost`, 500,000 took the guest's thread least] What a kernel does often at one moment it seldom goes on doing: in a boot of Linux with
 * 1500 for both arrivals, half of user mode's regions had executed each of their instructions 21,000 times and more in the end, half of the others 1700
 * times, where 12,500 pay for the translation. [measured: emulator/docs/booting.md]
 */
export const AUTO_TRANSLATED: TierPolicy = {
  ...AUTO,
  warmUp: 40_000_000,
  cost: 8000,
  overhead: 40,
  backgroundCost: 500_000,
  arrivalCost: 3000,
  systemArrivalCost: 250,
  chainCost: 10,
  arrivalFade: Infinity,
};

/** Regions from the first instruction on. */
export const OPTIMIZED: TierPolicy = {
  ...AUTO,
  hotExits: 1,
  warmUp: 0,
  cost: 0,
  coldCost: 0,
  lineCost: 0,
  guardGain: 0,
  eager: true,
};

/** Single blocks and small loops without passes, from the first instruction on. */
export const BASELINE: TierPolicy = {
  ...OPTIMIZED,
  // Made anew at every first miss of a jump, a tenth of the time of short programs went there.
  hotExits: AUTO.hotExits,
  limits: { instructions: 40, inlined: 0 },
  passes: false,
};
