/** Removes the lock of the results ref that a killed process left behind. */
import { readdirSync, readFileSync, readlinkSync, statSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';

/** git holds a ref's lock for one small write and a rename: milliseconds, a second under a saturated disk. */
const QUIET_MS = 1_000;
/** Where processes cannot be seen, age alone must do; and a process that lives this long with the lock is stuck. */
const STALE_MS = 15_000;

/**
 * True when a stale lock was removed. It is stale when it is older than a second and no git process works in the repository,
 * or older than 15 s. Of two processes that find one stale lock the second may meet a fresh one, so the lock's identity
 * is compared once more just before it goes; should one slip through, its owner's rename fails and it tries again.
 */
export function removeStaleLock(lockPath: string, gitDirectory: string): boolean {
  const seen = statSync(lockPath, { throwIfNoEntry: false });
  if (seen === undefined) return false;
  const age = Date.now() - seen.mtimeMs;
  if (age < QUIET_MS || (age < STALE_MS && mayHaveOwner(gitDirectory))) return false;
  const now = statSync(lockPath, { throwIfNoEntry: false });
  if (now === undefined || now.ino !== seen.ino || now.mtimeMs !== seen.mtimeMs) return false;
  try {
    unlinkSync(lockPath);
    return true;
  } catch (error) {
    // Somebody was faster, which is just as well.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Whether a live git process has its working directory in the repository; true where /proc cannot tell. */
function mayHaveOwner(gitDirectory: string): boolean {
  let processes: string[];
  try {
    processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    // Not Linux.
    return true;
  }
  const places = [gitDirectory, dirname(gitDirectory)];
  return processes.some((id) => {
    try {
      if (!readFileSync(`/proc/${id}/comm`, 'utf8').startsWith('git')) return false;
      const place = readlinkSync(`/proc/${id}/cwd`);
      return places.some((candidate) => place === candidate || place.startsWith(`${candidate}/`));
    } catch {
      // It ended meanwhile, or belongs to another user, who cannot have made a lock that we may remove.
      return false;
    }
  });
}
