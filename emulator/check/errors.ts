/** Host failures are exceptions of these classes; guest faults are values and never appear here. */

/** What a user can read on one line: what went wrong, where, and how to mend it. */
export interface ErrorDetail {
  /** File, flag, option key or address the problem sits at. */
  readonly where?: string;
  /** The next thing to try. */
  readonly mend?: string;
  readonly cause?: unknown;
}

/** Everything the command line prints as one clear line (exit code 2) instead of a stack. */
export abstract class UserFacingError extends Error {
  readonly where: string | undefined;
  readonly mend: string | undefined;

  constructor(message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = new.target.name;
    this.where = detail.where;
    this.mend = detail.mend;
  }

  /** `where: message; mend`, on one line whatever the parts contain. */
  line(): string {
    const where = this.where === undefined ? '' : `${this.where}: `;
    const mend = this.mend === undefined ? '' : `; ${this.mend}`;
    return oneLine(`${where}${this.message}${mend}`);
  }
}

/** A flag, option, configuration file or command line the user can mend. */
export class ConfigError extends UserFacingError {}

/** A program, disk or device-tree image that is truncated, foreign or not what it claims to be. */
export class ImageError extends UserFacingError {}

/** The environment failed: a file, process, disk or tool, not the user's input. */
export class HostError extends UserFacingError {}

/** Control characters would move the cursor or forge a second line; each becomes a space or an escape. */
export function oneLine(text: string): string {
  return text
    .replaceAll(/\s+/gu, ' ')
    .replaceAll(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .trim();
}
