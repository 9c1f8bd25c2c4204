/** Progress on standard error: one line rewritten on a terminal, plain lines elsewhere. Standard output stays clean. */

export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class Progress {
  readonly #stream: ProgressStream;
  readonly #total: number;
  readonly #now: () => number;
  readonly #start: number;
  #done = 0;
  #shown = false;

  /** `total` steps; `now` is a clock in milliseconds. */
  constructor(stream: ProgressStream, total: number, now: () => number = Date.now) {
    this.#stream = stream;
    this.#total = total;
    this.#now = now;
    this.#start = now();
  }

  /** A step begins. */
  begin(name: string): void {
    if (this.#stream.isTTY !== true) return;
    const line = `[${this.#done + 1}/${this.#total}] ${name}${this.#remaining()}`;
    this.#rewrite(line);
  }

  /** A step ended; `outcome` is printed where lines stay. */
  end(name: string, outcome: string): void {
    this.#done++;
    if (this.#stream.isTTY === true) this.#rewrite('');
    else this.#stream.write(`[${this.#done}/${this.#total}] ${name}  ${outcome}\n`);
  }

  /** A line that stays, above the progress line. */
  note(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
  }

  /** Takes the line away; safe to call at any time, also from a signal handler. */
  clear(): void {
    if (this.#shown) this.#stream.write('\r\u001b[K');
    this.#shown = false;
  }

  #rewrite(line: string): void {
    const width = (this.#stream.columns ?? 80) - 1;
    this.#stream.write(`\r\u001b[K${line.slice(0, width)}`);
    this.#shown = true;
  }

  #remaining(): string {
    if (this.#done === 0) return '';
    const left = ((this.#now() - this.#start) / this.#done) * (this.#total - this.#done);
    return `  ${formatDuration(left)} left`;
  }
}

/** `850 ms`, `12 s`, `3 min 20 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const rest = seconds % 60;
  return rest === 0 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 60)} min ${rest} s`;
}
