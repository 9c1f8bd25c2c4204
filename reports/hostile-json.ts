/** Reads JSON that anybody may have written: size is bounded before parsing, depth and keys after it. */
import { ResultError } from './result-error.ts';

export interface JsonLimits {
  /** UTF-16 code units of text. */
  readonly size: number;
  readonly depth: number;
}

/** 64 Mi characters hold 3 million samples; a document of all suites is below one. Our own documents are 5 levels deep. */
export const DOCUMENT_LIMITS: JsonLimits = { size: 64 * 2 ** 20, depth: 12 };

/** Assigning one of these from foreign data changes a prototype instead of an entry. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * The parsed value. `origin` names the file or object in messages.
 * @throws ResultError when the text is too long, not JSON, too deep, has a non-finite number or a forbidden key.
 */
export function parseHostileJson(text: string, origin: string, limits: JsonLimits = DOCUMENT_LIMITS): unknown {
  if (text.length > limits.size) {
    throw new ResultError(`has ${text.length} characters, more than the ${limits.size} allowed`, { where: origin });
  }
  refuseDepth(text, origin, limits.depth);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.slice(0, 120) : 'unreadable';
    throw new ResultError(`is not JSON (${reason})`, { where: origin, mend: 'restore the file', cause });
  }
  refuseEntries(value, origin);
  return value;
}

/** Scans for brackets outside strings before parsing: JSON.parse takes 1.3 s for 10 MB of `[` and recursion over it overflows. */
function refuseDepth(text: string, origin: string, limit: number): void {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = endOfString(text, at);
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > limit) throw new ResultError(`is nested deeper than ${limit} levels`, { where: origin });
    } else if (code === 0x5d || code === 0x7d) {
      depth--;
    }
  }
}

/** Offset of the closing quote, or the end of the text, which JSON.parse then refuses. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) return at;
  }
  return text.length;
}

/** Depth is bounded by now, so recursion is safe. */
function refuseEntries(value: unknown, origin: string): void {
  if (typeof value === 'number') {
    // `1e999` is valid JSON and parses to Infinity.
    if (!Number.isFinite(value)) throw new ResultError('has a number that is not finite', { where: origin });
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    if (FORBIDDEN_KEYS.has(key)) {
      throw new ResultError(`has the forbidden key '${key}'`, { where: origin, mend: 'do not use this file' });
    }
    refuseEntries((value as Record<string, unknown>)[key], origin);
  }
}
