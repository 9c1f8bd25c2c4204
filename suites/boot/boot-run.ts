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
  // How much of the transcript answers and phases have been through.
  let asked = 0;
  let answered = 0;
  const machine = new VirtMachine({
    ...request.machine,
    output: (bytes) => {
      for (const byte of bytes) if (byte !== 13) transcript += String.fromCharCode(byte);
      const next = dialogue[answered];
      const prompt = next === undefined ? -1 : transcript.indexOf(next[0], asked);
      if (prompt >= 0) {
        asked = prompt + next![0].length;
        answered++;
        machine.type(new TextEncoder().encode(next![1]));
      }
      const phase = phases[reached.length];
      if (phase !== undefined && transcript.endsWith(phase.until)) {
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
