import fs from 'node:fs';
import os from 'node:os';

/** What Linux calls V8's own threads, of which it shows 15 characters. */
const OF_V8 = 'node-V8Worker';
const THREADS = '/proc/self/task';
/**
 * Nice value: where both want a processor they have a quarter of it. [measured: with two processors the guest's thread waited 0.2 s of a boot of 4.2 s for
 * them, with 2 half as long, with 5 and more 0.02 s, and used no more itself. Programs of half a second, whose hot code V8 is still compiling, take 1.05 to
 * 1.1 times as long with it when others want the processors too: it is for machines.]
 */
const NICE = 5;

/** Has V8's threads, which compile and collect beside the guest, give way to its own where there are too few processors. Only where Linux tells of threads. */
export function preferGuest(): void {
  if (process.platform !== 'linux') return;
  for (const thread of threads()) {
    try {
      if (fs.readFileSync(`${THREADS}/${thread}/comm`, 'utf8').trimEnd() === OF_V8)
        os.setPriority(Number(thread), NICE);
    } catch {
      // It has ended, or may not be changed: it stays as it is.
    }
  }
}

function threads(): string[] {
  try {
    return fs.readdirSync(THREADS);
  } catch {
    // No /proc is mounted: all stay equal.
    return [];
  }
}
