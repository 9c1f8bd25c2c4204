/**
 * Rebuilds the guest programs, or checks that the committed ones match their sources.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import {
  checkRecords,
  committedBuilds,
  ensureGuest,
  recordOf,
  runBuild,
  writeRecords,
} from '../suites/guests/build.ts';
import type { BuildRecord } from '../suites/guests/build.ts';
import { GUESTS, GUEST_SCALES, expectedPath } from '../suites/guests/guests.ts';
import type { GuestIsa, GuestScale } from '../suites/guests/guests.ts';
import { runGuest } from '../suites/guests/run.ts';

const USAGE = `usage: build-guests.ts [--check | --isa aarch64|x86_64 | --bless]
  without arguments: rebuilds everything that is committed (riscv64, wasm32, bare metal)
  --check   verifies committed programs against their sources, without a compiler
  --isa     builds one that is not committed into .cache/guests
  --bless   writes the expected output of every guest, as wasm32 gives it (libc: qemu-riscv64)`;

async function rebuild(): Promise<number> {
  const records: BuildRecord[] = [];
  for (const build of committedBuilds()) {
    const built = await runBuild(build);
    if ('absent' in built) {
      console.error(`build-guests: ${build.id}: ${built.absent}`);
      return 2;
    }
    records.push(await recordOf(build, built.compiler));
    console.log(build.id);
  }
  await writeRecords(records);
  return 0;
}

async function check(): Promise<number> {
  const problems = await checkRecords();
  for (const problem of problems) console.error(`build-guests: ${problem}`);
  if (problems.length > 0) console.error('build-guests: rebuild with scripts/with-runtime scripts/build-guests.ts');
  return problems.length === 0 ? 0 : 1;
}

async function buildFor(isa: GuestIsa): Promise<number> {
  for (const guest of GUESTS) {
    const built = await ensureGuest(guest, isa);
    if ('absent' in built) {
      console.error(`build-guests: ${built.absent}`);
      return 2;
    }
    console.log(built.path);
  }
  return 0;
}

async function bless(): Promise<number> {
  for (const guest of GUESTS) {
    const scales: readonly GuestScale[] = guest.kind === 'system' ? ['default'] : GUEST_SCALES;
    for (const scale of scales) {
      const run = await runGuest(guest, guest.kind === 'system' ? 'riscv64' : 'wasm32', scale);
      if ('absent' in run || run.status !== 0) {
        console.error(
          `build-guests: ${guest.name}: ${'absent' in run ? run.absent : `exit status ${run.status}\n${run.output}`}`,
        );
        return 2;
      }
      await writeFile(expectedPath(guest, scale), run.output);
    }
  }
  return 0;
}

async function main(): Promise<number> {
  const options = { check: { type: 'boolean' }, isa: { type: 'string' }, bless: { type: 'boolean' } } as const;
  const { values } = parseArgs({ options });
  if (values.check) return check();
  if (values.bless) return bless();
  if (values.isa === undefined) return rebuild();
  if (values.isa === 'aarch64' || values.isa === 'x86_64') return buildFor(values.isa);
  console.error(`build-guests: ${values.isa} is not built on demand\n${USAGE}`);
  return 2;
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(`build-guests: ${error instanceof Error ? error.message : String(error)}`);
  return 2;
});
