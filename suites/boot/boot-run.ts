/** Boots a machine in this process, answers what its console asks, and notes when it got where. */
import { VirtMachine, type MachineOutcome, type VirtOptions } from '../../emulator/machine/riscv-virt/machine.ts';

/** A phase ends when the console shows `until`. */
export interface Phase {
  readonly name: string;
  readonly until: string;
}

export interface ReachedPhase {
  readonly name: string;
  /** Since power-on. */
  readonly instructions: number;
  /** Of the host, since the machine was made. */
  readonly seconds: number;
}

export interface BootRequest {
  readonly machine: VirtOptions;
  /** Pairs: when the console has shown the first since the last answer, the second is typed. */
  readonly dialogue?: readonly (readonly [prompt: string, answer: string])[];
  readonly phases?: readonly Phase[];
  /** Ends the run as soon as all phases are over. */
  readonly stopAfterPhases?: boolean;
  readonly maximumInstructions?: number;
  /** Seconds. */
  readonly timeout?: number;
  /** Called with the machine when the run is over, before it is closed. */
  readonly finished?: (machine: VirtMachine) => void;
}

export interface BootRun {
  readonly outcome: MachineOutcome;
  /** All that the guest printed, carriage returns left out. */
  readonly transcript: string;
  readonly phases: readonly ReachedPhase[];
  readonly instructions: number;
  readonly seconds: number;
  /** Of the guest's clock. */
  readonly guestSeconds: number;
  readonly counters: Readonly<Record<string, unknown>>;
}

export async function boot(request: BootRequest): Promise<BootRun> {
  const { dialogue = [], phases = [], stopAfterPhases = false } = request;
  const begin = performance.now();
  const reached: ReachedPhase[] = [];
  let transcript = '';
  let answered = 0;
  const prompts = new Watch();
  const marks = new Watch();
  const machine = new VirtMachine({
    ...request.machine,
    output: (bytes) => {
      const text = new TextDecoder('latin1').decode(bytes).replaceAll('\r', '');
      transcript += text;
      const next = dialogue[answered];
      if (next !== undefined && prompts.saw(text, next[0])) {
        answered++;
        machine.type(new TextEncoder().encode(next[1]));
      }
      const phase = phases[reached.length];
      if (phase !== undefined && marks.saw(text, phase.until)) {
        const seconds = (performance.now() - begin) / 1000;
        reached.push({ name: phase.name, instructions: machine.instructions, seconds });
      }
    },
  });
  try {
    const { maximumInstructions, timeout } = request;
    const outcome = await machine.run({
      ...(maximumInstructions === undefined ? {} : { maximumInstructions }),
      ...(timeout === undefined ? {} : { timeout }),
      stopped: () => stopAfterPhases && reached.length === phases.length,
    });
    request.finished?.(machine);
    const { instructions, guestSeconds, counters } = machine;
    const seconds = (performance.now() - begin) / 1000;
    return { outcome, transcript, phases: reached, instructions, seconds, guestSeconds, counters };
  } finally {
    machine.close();
  }
}

/** Characters of the longest prompt or mark. */
const LONGEST_MARK = 64;

/** Looks for one text after the other in what comes piece by piece; each piece is looked at for one. */
class Watch {
  #recent = '';

  saw(text: string, mark: string): boolean {
    this.#recent += text;
    const at = this.#recent.indexOf(mark);
    this.#recent = at < 0 ? this.#recent.slice(-LONGEST_MARK) : this.#recent.slice(at + mark.length);
    return at >= 0;
  }
}
