/**
 * How the guest programs are built, and the record that ties a committed program to its source.
 *
 * `build.json` holds for every committed program the hash of its sources and flags and the hash of the program, so that
 * a stale one is found without a compiler.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { BARE_GUESTS, GUESTS, bareElfPath, elfPath, isBuiltFor, sourcePath } from './guests.ts';
import type { BareGuest, Guest, GuestIsa } from './guests.ts';

const FOLDER = import.meta.dirname;

/** One program to build. Paths are absolute; `flags` holds no path outside this folder. */
export interface GuestBuild {
  readonly id: string;
  readonly output: string;
  readonly compiler: string;
  readonly flags: readonly string[];
  readonly sources: readonly string[];
  /** Read by the build besides `sources`. */
  readonly headers: readonly string[];
  readonly libraries: readonly string[];
}

/** Of each committed program: its path here, and the hashes that must still hold. */
export interface BuildRecord {
  readonly id: string;
  readonly path: string;
  readonly input: string;
  readonly output: string;
  readonly compiler: string;
}

// No contraction to fused operations, no vectors, no errno from square root: then every target rounds the same
// operations in the same order and prints the same bits. `-Wno-parentheses`: shifts beside masks read well bare.
const COMMON_FLAGS = [
  '-std=c11',
  '-O2',
  '-ffp-contract=off',
  '-fno-math-errno',
  '-Wall',
  '-Wextra',
  '-Wno-parentheses',
];
const GCC_FLAGS = [...COMMON_FLAGS, '-fno-tree-vectorize', '-static', '-s', '-Wl,--build-id=none'];

const TARGETS: Readonly<Record<GuestIsa, { compiler: string; flags: readonly string[] }>> = {
  riscv64: { compiler: 'riscv64-linux-gnu-gcc', flags: [...GCC_FLAGS, '-march=rv64gc', '-mabi=lp64d'] },
  aarch64: { compiler: 'aarch64-linux-gnu-gcc', flags: [...GCC_FLAGS, '-march=armv8-a'] },
  x86_64: { compiler: 'x86_64-linux-gnu-gcc', flags: [...GCC_FLAGS, '-march=x86-64'] },
  wasm32: {
    compiler: 'clang',
    flags: [
      ...COMMON_FLAGS,
      '--target=wasm32',
      '-nostdlib',
      '-fno-vectorize',
      '-fno-slp-vectorize',
      '-Wl,--no-entry',
      '-Wl,--strip-all',
      '-Wl,-z,stack-size=65536',
    ],
  },
};

const BARE_FLAGS = [
  '-std=gnu11',
  '-O2',
  '-ffreestanding',
  '-fno-math-errno',
  '-fno-pic',
  '-no-pie',
  '-static',
  '-nostdlib',
  '-Wall',
  '-march=rv64gc',
  '-mabi=lp64d',
  '-mcmodel=medany',
  '-Wl,--build-id=none',
  '-Wl,--no-warn-rwx-segments',
];

/** How `guest` is built for `isa`. */
export function guestBuild(guest: Guest, isa: GuestIsa): GuestBuild {
  const headers = guest.kind === 'system' ? [] : ['guest.h', ...(isa === 'wasm32' ? ['freestanding.h'] : [])];
  return {
    id: `${isa}/${guest.name}`,
    output: elfPath(guest, isa),
    ...TARGETS[isa],
    sources: [sourcePath(guest)],
    headers: headers.map((name) => join(FOLDER, name)),
    libraries: guest.kind === 'system' ? ['-lm'] : [],
  };
}

/** How a bare-metal program is built: one assembly file, or a C file with the start-up code. */
export function bareBuild(guest: BareGuest): GuestBuild {
  const folder = join(FOLDER, 'bare');
  const c = join(folder, `${guest.name}.c`);
  const script = join(folder, 'flat.ld');
  return {
    id: `bare/${guest.name}`,
    output: bareElfPath(guest),
    compiler: 'riscv64-linux-gnu-gcc',
    flags: BARE_FLAGS,
    sources: existsSync(c) ? [c, join(folder, 'start.S')] : [join(folder, `${guest.name}.S`)],
    headers: [join(folder, 'htif.h'), script],
    libraries: [`-Wl,-T,${script}`],
  };
}

/** Everything whose result is committed. */
export function committedBuilds(): GuestBuild[] {
  const wasm = GUESTS.filter((guest) => isBuiltFor(guest, 'wasm32'));
  return [
    ...GUESTS.map((guest) => guestBuild(guest, 'riscv64')),
    ...wasm.map((guest) => guestBuild(guest, 'wasm32')),
    ...BARE_GUESTS.map(bareBuild),
  ];
}

/** Hash of everything of ours that decides the result: flags, sources, headers. */
export function inputHash(build: GuestBuild): string {
  const hash = createHash('sha256').update(build.compiler);
  const libraries = build.libraries.map((flag) => flag.replace(FOLDER, ''));
  for (const flag of [...build.flags, ...libraries]) hash.update(`\n${flag}`);
  for (const path of [...build.sources, ...build.headers]) {
    hash.update(`\n${relative(FOLDER, path)}\n`).update(readFileSync(path));
  }
  return hash.digest('hex');
}

/** Builds, whole or not at all. `absent`: no such compiler. A program that does not compile throws. */
export async function runBuild(build: GuestBuild): Promise<{ path: string; compiler: string } | { absent: string }> {
  const version = await run(build.compiler, ['--version']);
  if (version.status === 127) return { absent: `${build.compiler} is not installed` };
  await mkdir(dirname(build.output), { recursive: true });
  const partial = `${build.output}.${process.pid}.partial`;
  try {
    const done = await run(build.compiler, [...build.flags, '-o', partial, ...build.sources, ...build.libraries]);
    if (done.status !== 0) throw new Error(`${build.id} does not compile:\n${done.stderr}`);
    if (done.stderr !== '') throw new Error(`${build.id} compiles with warnings:\n${done.stderr}`);
    await rename(partial, build.output);
  } finally {
    await rm(partial, { force: true });
  }
  return { path: build.output, compiler: version.stdout.split('\n')[0] ?? '' };
}

/**
 * The program of `guest` for `isa`, built into the cache when it is not committed and not there, or older than its
 * source. `absent` with a reason when there is no compiler for it.
 */
export async function ensureGuest(guest: Guest, isa: GuestIsa): Promise<{ path: string } | { absent: string }> {
  if (!isBuiltFor(guest, isa)) return { absent: `${guest.name} does not exist for ${isa}` };
  const build = guestBuild(guest, isa);
  if (isa === 'riscv64' || isa === 'wasm32') return { path: build.output };
  const stamp = `${build.output}.sha256`;
  const hash = inputHash(build);
  const stamped = await readFile(stamp, 'utf8').catch(() => '');
  if (stamped === hash && existsSync(build.output)) return { path: build.output };
  const built = await runBuild(build);
  if ('absent' in built) return built;
  await writeFile(stamp, hash);
  return { path: built.path };
}

/** The record of a program just built, for `build.json`. */
export async function recordOf(build: GuestBuild, compiler: string): Promise<BuildRecord> {
  const output = createHash('sha256')
    .update(await readFile(build.output))
    .digest('hex');
  return { id: build.id, path: relative(FOLDER, build.output), input: inputHash(build), output, compiler };
}

const RECORDS = join(FOLDER, 'build.json');

/** The records of the last build, by id. Empty when there are none yet. */
export async function readRecords(): Promise<Map<string, BuildRecord>> {
  const text = await readFile(RECORDS, 'utf8').catch(() => '[]');
  const records = JSON.parse(text) as BuildRecord[];
  return new Map(records.map((record) => [record.id, record]));
}

export async function writeRecords(records: readonly BuildRecord[]): Promise<void> {
  await writeFile(RECORDS, `${JSON.stringify(records, undefined, 2)}\n`);
}

/** What is wrong with the committed programs, a line each; empty when all is well. */
export async function checkRecords(): Promise<string[]> {
  const records = await readRecords();
  const builds = committedBuilds();
  const problems: string[] = [];
  for (const build of builds) {
    const record = records.get(build.id);
    if (record === undefined) problems.push(`${build.id}: never built`);
    else if (!existsSync(build.output)) problems.push(`${build.id}: ${record.path} is missing`);
    else {
      const now = await recordOf(build, record.compiler);
      if (now.input !== record.input) problems.push(`${build.id}: its source or flags changed since it was built`);
      if (now.output !== record.output) problems.push(`${build.id}: ${record.path} is not the program that was built`);
    }
    records.delete(build.id);
  }
  for (const id of records.keys()) problems.push(`${id}: no longer has a source`);
  return problems;
}

interface Exit {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Status 127, as in a shell, when the program is not there. */
function run(program: string, args: readonly string[]): Promise<Exit> {
  return new Promise((settle) => {
    execFile(program, args, { env: { ...process.env, LC_ALL: 'C' } }, (error, stdout, stderr) => {
      if (error === null) settle({ status: 0, stdout, stderr });
      else if (error.code === 'ENOENT') settle({ status: 127, stdout, stderr });
      else settle({ status: typeof error.code === 'number' ? error.code : 1, stdout, stderr: stderr || error.message });
    });
  });
}
