/** Where machines find the translations of earlier ones, and leave theirs, when nobody has said where. */
import fs from 'node:fs';

/** `directory`: set by processes that keep compiled code anyway (start.ts). */
export const keptTranslations: { directory: string | undefined } = { directory: undefined };

export interface TranslationsFlags {
  /** `--cache-dir` or `--no-cache-dir`. */
  readonly cacheDir?: string | false;
  readonly deterministic?: boolean;
  readonly dump?: string;
  readonly trace?: string;
}

export interface TranslationsDirectory {
  readonly cacheDirectory?: string;
  /** Nobody has asked for it: that translations cannot be kept there is no error. */
  readonly cacheIsOptional?: true;
}

/**
 * Counters of deterministic runs repeat, and a region that is shown is made anew, so these keep nothing unless told to. Nor does who may not write
 * there: in an installation of somebody else's.
 */
export function translationsDirectory(flags: TranslationsFlags): TranslationsDirectory {
  const { cacheDir, deterministic = false, dump, trace } = flags;
  if (typeof cacheDir === 'string') return { cacheDirectory: cacheDir };
  const { directory } = keptTranslations;
  if (cacheDir === false || directory === undefined || deterministic || dump !== undefined || trace !== undefined)
    return {};
  return isUsable(directory) ? { cacheDirectory: directory, cacheIsOptional: true } : {};
}

function isUsable(directory: string): boolean {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    fs.accessSync(directory, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
