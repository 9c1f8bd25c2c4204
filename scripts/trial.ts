/** A measuring process: the request is its one argument, results are JSON lines on descriptor 3. */
import { writeSync } from 'node:fs';
import { ConfigError, UserFacingError } from '../emulator/check/errors.ts';
import { waits } from '../suites/harness/define-bench.ts';
import { discover, factsOf, loadSuite } from '../suites/harness/discover.ts';
import { measureBenchmark } from '../suites/harness/measure.ts';
import { TRIAL_DESCRIPTOR, TRIAL_PROTOCOL, trialRequestSchema } from '../suites/harness/trial-protocol.ts';
import type { Listing, TrialMessage, TrialRequest } from '../suites/harness/trial-protocol.ts';

// A gate keeps compiled modules, so that its many processes start in half the time; what a suite starts must not.
delete process.env['NODE_COMPILE_CACHE'];

/** Pipes can be non-blocking and full; a message must not be lost or cut. */
function send(message: TrialMessage): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let written = 0; written < bytes.length;) {
    try {
      written += writeSync(TRIAL_DESCRIPTOR, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

async function answer(request: TrialRequest): Promise<void> {
  if (request.protocol !== TRIAL_PROTOCOL) {
    throw new ConfigError(`trial protocol ${request.protocol} is not ${TRIAL_PROTOCOL}`, {
      where: import.meta.filename,
    });
  }
  if (request.file === undefined) {
    const benches: Listing[] = [];
    for (const found of await discover(request.root)) {
      const { bench, file } = found;
      benches.push({ ...(await factsOf(found)), file, counts: bench.counters !== undefined, waits: waits(bench) });
    }
    send({ type: 'listing', benches });
    return;
  }
  const benches = await loadSuite(request.file);
  for (const id of request.ids) {
    const bench = benches.find((candidate) => candidate.id === id);
    if (bench === undefined) throw new ConfigError(`does not define '${id}'`, { where: request.file });
    send({ type: 'start', id });
    send({ type: 'measurement', measurement: await measureBenchmark({ bench, file: request.file }, request) });
  }
}

try {
  await answer(trialRequestSchema.parse(JSON.parse(process.argv[2] ?? 'null')));
} catch (error) {
  if (!(error instanceof UserFacingError)) throw error;
  send({ type: 'refused', line: error.line() });
}
send({ type: 'done', protocol: TRIAL_PROTOCOL });
// A suite may have left a timer or a worker behind; what was to be said is said.
process.exit(0);
