/**
 * The Debian archive that this machine's apt is configured for: where it is, what a release holds, how a package is
 * fetched and unpacked.
 *
 * No host name is written here: the base address comes from DYNO_DEBIAN_ARCHIVE, or else from apt, whose own downloader then
 * keeps to its proxies, mirrors and credentials. On a machine with neither every function answers with a reason instead.
 * What is fetched by address is trusted for its pinned SHA-256 alone. Packages are unpacked by dpkg-deb, or where that is
 * missing by tar, from the archive that deb(5) describes.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const APT_HELPER = '/usr/lib/apt/apt-helper';
const INSTEAD = '; set DYNO_DEBIAN_ARCHIVE to the address of one';
const ARCHIVE_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** Longest package in `inputs.json` is about 100 MB; a slow link still ends here. */
const DOWNLOAD_TIMEOUT_MS = 600_000;

/** Something that could not be had, in words for the user. Not an exception: tests skip on it and print it. */
export interface Absent {
  readonly absent: string;
}

/** One stanza of a release's `Packages` index. `pool` is the path below the archive's base address. */
export interface PackageRecord {
  readonly package: string;
  readonly version: string;
  readonly pool: string;
  readonly sha256: string;
  readonly depends: string;
}

interface Exit {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Base address of the configured Debian archive, with a trailing slash, and whether apt fetches from it. */
export async function archiveBase(): Promise<{ base: string; apt: boolean } | Absent> {
  const stated = process.env['DYNO_DEBIAN_ARCHIVE'] ?? '';
  if (stated !== '') {
    if (!/^https?:\/\//.test(stated)) return { absent: `DYNO_DEBIAN_ARCHIVE is '${stated}', not an http address` };
    return { base: stated.endsWith('/') ? stated : `${stated}/`, apt: false };
  }
  // "apt-get indextargets" prints one line per configured index; the label tells the main archive from the security one.
  const query = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages', 'Origin: Debian', 'Label: Debian'];
  const listed = await run('apt-get', query);
  if (listed.status === 127) return { absent: `no apt-get on this machine${INSTEAD}` };
  const base = listed.stdout.split('\n').find((line) => line.startsWith('http'));
  if (base === undefined) {
    return { absent: `apt has no Debian archive configured (or apt-get update was never run)${INSTEAD}` };
  }
  return { base: base.endsWith('/') ? base : `${base}/`, apt: true };
}

/**
 * Fetches `path` (below the archive's base) to `to`, whole or not at all. With `sha256` the content must match it.
 */
export async function fetchFromArchive(path: string, to: string, sha256?: string): Promise<{ path: string } | Absent> {
  const archive = await archiveBase();
  if ('absent' in archive) return archive;
  if (archive.apt && !existsSync(APT_HELPER)) return { absent: `${APT_HELPER} is missing` };
  if (!archive.apt && sha256 === undefined && !path.endsWith('InRelease')) {
    return { absent: `${path} has no pinned SHA-256` };
  }
  await mkdir(dirname(to), { recursive: true });
  const partial = `${to}.${process.pid}.partial`;
  try {
    const problem = await (archive.apt ? downloadByApt : download)(archive.base + path, partial, sha256);
    if (problem !== undefined) return { absent: `cannot download ${path}: ${problem}` };
    if (sha256 !== undefined && (await sha256OfFile(partial)) !== sha256) {
      return { absent: `${path} does not have the pinned SHA-256` };
    }
    await rename(partial, to);
    return { path: to };
  } finally {
    await rm(partial, { force: true });
  }
}

/** Why it failed, if it did. */
async function downloadByApt(address: string, to: string, sha256: string | undefined): Promise<string | undefined> {
  const options = ['-o', 'Acquire::Retries=1', '-o', 'Acquire::http::Timeout=15', '-o', 'APT::Sandbox::User=root'];
  const target = sha256 === undefined ? [to] : [to, `SHA256:${sha256}`];
  const done = await run(APT_HELPER, [...options, 'download-file', address, ...target]);
  return done.status === 0 ? undefined : errorLine(done.stderr);
}

async function download(address: string, to: string): Promise<string | undefined> {
  try {
    const answer = await fetch(address, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
    if (!answer.ok || answer.body === null) return `the archive answered ${answer.status}`;
    await writeFile(to, answer.body);
    return undefined;
  } catch (error) {
    const { message, cause } = error as Error;
    return cause instanceof Error && cause.message !== '' ? cause.message : message;
  }
}

/**
 * The stanza of each of `packages` in `release`'s main component for `architecture`. The index is checked against the
 * signed release file: `gpgv` must know its signature and the release file must name the index's SHA-256 (Debian
 * Repository Format, "Release files" and "Packages Indices").
 */
export async function readPackages(
  release: string,
  architecture: string,
  packages: (name: string) => boolean,
  cache: string,
): Promise<{ records: PackageRecord[] } | Absent> {
  const inRelease = await fetchFromArchive(`dists/${release}/InRelease`, join(cache, `${release}.InRelease`));
  if ('absent' in inRelease) return inRelease;
  const signed = await run('gpgv', ['--keyring', ARCHIVE_KEYRING, inRelease.path]);
  if (signed.status !== 0) return { absent: `the signature of ${release}'s InRelease: ${errorLine(signed.stderr)}` };
  const member = `main/binary-${architecture}/Packages.xz`;
  const digest = digestInRelease(await readFile(inRelease.path, 'utf8'), member);
  if (digest === undefined) return { absent: `${release} has no ${member}` };
  const compressed = join(cache, `${release}-${architecture}.Packages.xz`);
  const index = await fetchFromArchive(`dists/${release}/${member}`, compressed, digest);
  if ('absent' in index) return index;
  const text = await run('xz', ['--decompress', '--stdout', compressed]);
  if (text.status !== 0) return { absent: `cannot unpack ${member}: ${errorLine(text.stderr)}` };
  return { records: parsePackages(text.stdout, packages) };
}

/** Unpacks the data part of the package file `deb` below `directory`. */
export async function unpackDeb(deb: string, directory: string): Promise<{ path: string } | Absent> {
  await mkdir(directory, { recursive: true });
  const done = await run('dpkg-deb', ['--extract', deb, directory]);
  if (done.status === 127) return unpackByTar(deb, directory);
  if (done.status !== 0) return { absent: `cannot unpack ${deb}: ${errorLine(done.stderr)}` };
  return { path: directory };
}

/** The same without dpkg. */
export async function unpackByTar(deb: string, directory: string): Promise<{ path: string } | Absent> {
  await mkdir(directory, { recursive: true });
  const member = memberOfAr(await readFile(deb), 'data.tar');
  if (member === undefined) return { absent: `cannot unpack ${deb}: it has no data.tar` };
  const tarball = join(directory, `.${member.name}`);
  try {
    await writeFile(tarball, member.bytes);
    const done = await run('tar', ['--extract', '--no-same-owner', '--file', tarball, '--directory', directory]);
    if (done.status === 127) return { absent: 'neither dpkg-deb nor tar on this machine' };
    if (done.status !== 0) return { absent: `cannot unpack ${deb}: ${errorLine(done.stderr)}` };
    return { path: directory };
  } finally {
    await rm(tarball, { force: true });
  }
}

/**
 * The first member of an ar(5) archive whose name begins with `prefix`: 60-byte headers with name and decimal size, members
 * at even offsets. Undefined also when the archive is damaged.
 */
export function memberOfAr(bytes: Uint8Array, prefix: string): { name: string; bytes: Uint8Array } | undefined {
  const text = (from: number, length: number): string =>
    Buffer.from(bytes.buffer, bytes.byteOffset + from, length).toString('latin1');
  if (bytes.length < 8 || text(0, 8) !== '!<arch>\n') return undefined;
  for (let at = 8; at + 60 <= bytes.length;) {
    const name = text(at, 16).trimEnd().replace(/\/$/, '');
    const size = text(at + 48, 10).trimEnd();
    if (!/^[0-9]+$/.test(size) || text(at + 58, 2) !== '`\n') return undefined;
    const start = at + 60;
    const end = start + Number(size);
    if (end > bytes.length) return undefined;
    if (name.startsWith(prefix) && /^[a-z.0-9]+$/.test(name)) return { name, bytes: bytes.subarray(start, end) };
    at = end + (end % 2);
  }
  return undefined;
}

/** SHA-256 of a file's content, in lower-case hexadecimal. */
export async function sha256OfFile(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/** The SHA-256 that an InRelease file gives for the index `member`. */
export function digestInRelease(text: string, member: string): string | undefined {
  const section = text.slice(text.indexOf('\nSHA256:\n'));
  for (const line of section.split('\n')) {
    const [digest, , name] = line.trim().split(/\s+/);
    if (name === member && digest !== undefined && /^[0-9a-f]{64}$/.test(digest)) return digest;
  }
  return undefined;
}

/** The stanzas of a `Packages` index whose package name `wanted` accepts. A stanza lacking a needed field is left out. */
export function parsePackages(text: string, wanted: (name: string) => boolean): PackageRecord[] {
  const records: PackageRecord[] = [];
  for (const stanza of text.split('\n\n')) {
    const name = field(stanza, 'Package');
    if (name === undefined || !wanted(name)) continue;
    const version = field(stanza, 'Version');
    const pool = field(stanza, 'Filename');
    const sha256 = field(stanza, 'SHA256');
    if (version === undefined || pool === undefined || sha256 === undefined) continue;
    records.push({ package: name, version, pool, sha256, depends: field(stanza, 'Depends') ?? '' });
  }
  return records;
}

function field(stanza: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1];
}

function errorLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => line.startsWith('E:')) ?? lines.at(-1) ?? 'no message').trim();
}

/** Status 127, as in a shell, when the program is not there. */
function run(program: string, args: readonly string[]): Promise<Exit> {
  return new Promise((settle) => {
    const options = { maxBuffer: 1 << 28, timeout: DOWNLOAD_TIMEOUT_MS, env: { ...process.env, LC_ALL: 'C' } };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) settle({ status: 0, stdout, stderr });
      else if (error.code === 'ENOENT') settle({ status: 127, stdout, stderr });
      else settle({ status: typeof error.code === 'number' ? error.code : 1, stdout, stderr: stderr || error.message });
    });
  });
}
