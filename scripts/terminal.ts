/** The terminal as a machine's console: keys as they are pressed, Ctrl-A for commands to the emulator, and its settings put back whatever happens. */

/** What Ctrl-A and another key ask for. */
export type TerminalCommand = 'leave' | 'help' | 'reset' | 'screenshot';

const CONTROL_A = 1;
const COMMANDS: Readonly<Record<string, TerminalCommand>> = {
  x: 'leave',
  h: 'help',
  '?': 'help',
  r: 'reset',
  s: 'screenshot',
};

export const TERMINAL_HELP = [
  'Ctrl-A h  this help',
  'Ctrl-A x  leave the machine',
  'Ctrl-A r  reset it',
  'Ctrl-A s  write a screenshot (with --screenshot)',
  'Ctrl-A a  send Ctrl-A',
].join('\r\n');

/** Divides what is typed into the guest's part and commands. A Ctrl-A at the end of one chunk counts for the first byte of the next. */
export class EscapeFilter {
  #escaped = false;

  feed(bytes: Uint8Array): { readonly guest: Uint8Array; readonly commands: readonly TerminalCommand[] } {
    const guest: number[] = [];
    const commands: TerminalCommand[] = [];
    for (const byte of bytes) {
      if (!this.#escaped) {
        if (byte === CONTROL_A) this.#escaped = true;
        else guest.push(byte);
        continue;
      }
      this.#escaped = false;
      const command = COMMANDS[String.fromCharCode(byte)];
      if (command !== undefined) commands.push(command);
      // Twice, or followed by a: the guest's own. Other keys are no commands and nobody's.
      else if (byte === CONTROL_A || byte === 0x61) guest.push(CONTROL_A);
    }
    return { guest: Uint8Array.from(guest), commands };
  }
}

export interface ConsoleHandlers {
  readonly typed: (bytes: Uint8Array) => void;
  readonly command: (command: TerminalCommand) => void;
  readonly ended: () => void;
  readonly resized: (columns: number, rows: number) => void;
  /** A signal asks the process to end. */
  readonly signalled: (signal: 'SIGTERM' | 'SIGHUP' | 'SIGINT') => void;
}

/** Signals that would otherwise end the process with the terminal still raw, and disks' files open. */
const SIGNALS = ['SIGTERM', 'SIGHUP', 'SIGINT'] as const;

/** Connects standard input; returns what puts everything back, which also happens when the process exits. */
export function openConsole(handlers: ConsoleHandlers): () => void {
  const { stdin, stdout } = process;
  const interactive = stdin.isTTY;
  const filter = new EscapeFilter();
  const onData = (bytes: Buffer): void => {
    // A pipe's bytes are all the guest's.
    if (!interactive) return handlers.typed(bytes);
    const { guest, commands } = filter.feed(bytes);
    handlers.typed(guest);
    for (const command of commands) handlers.command(command);
  };
  const onResize = (): void => {
    if (stdout.isTTY) handlers.resized(stdout.columns, stdout.rows);
  };
  const onSignal = SIGNALS.map((signal) => [signal, () => handlers.signalled(signal)] as const);
  const restore = (): void => {
    if (interactive) stdin.setRawMode(false);
    // The guest may have left the cursor hidden or the colours changed.
    if (stdout.isTTY) stdout.write('\x1b[0m\x1b[?25h');
  };
  if (interactive) stdin.setRawMode(true);
  process.once('exit', restore);
  for (const [signal, listener] of onSignal) process.on(signal, listener);
  stdin.on('data', onData);
  stdin.on('end', handlers.ended);
  // A descriptor that is closed or cannot be read has nothing to say.
  stdin.on('error', handlers.ended);
  stdout.on('resize', onResize);
  stdin.resume();
  onResize();
  return () => {
    stdin.off('data', onData);
    stdin.off('end', handlers.ended);
    stdin.off('error', handlers.ended);
    stdin.pause();
    stdout.off('resize', onResize);
    for (const [signal, listener] of onSignal) process.off(signal, listener);
    process.off('exit', restore);
    restore();
  };
}

/** Gathers what the guest prints byte by byte, and hands it on when the event loop turns. */
export class GatheredOutput {
  readonly #write: (bytes: Uint8Array) => void;
  readonly #buffer = new Uint8Array(8192);
  #length = 0;

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  add(bytes: Uint8Array): void {
    // Most often one, from code that has only begun: no iterator.
    for (let at = 0; at < bytes.length; at++) {
      if (this.#length === this.#buffer.length) this.flush();
      if (this.#length === 0) setImmediate(() => this.flush());
      this.#buffer[this.#length++] = bytes[at]!;
    }
  }

  flush(): void {
    if (this.#length === 0) return;
    const bytes = this.#buffer.slice(0, this.#length);
    this.#length = 0;
    this.#write(bytes);
  }
}
