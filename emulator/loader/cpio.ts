/** Archives in cpio's "newc" format (Linux documentation, "initramfs buffer format"): what an initial RAM disk is made of. */
import { ConfigError } from '../check/errors.ts';

/** One file. `path` has no leading slash; directories on the way are made when the archive does not name them. */
export type CpioEntry =
  | { readonly kind: 'file'; readonly path: string; readonly content: Uint8Array; readonly executable?: boolean }
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'character-device'; readonly path: string; readonly major: number; readonly minor: number };

const MODES = { file: 0o100644, directory: 0o40755, symlink: 0o120777, 'character-device': 0o20600 } as const;
const MAX_CONTENT = 2 ** 32 - 1;
const TRAILER = 'TRAILER!!!';

/**
 * The archive, the same bytes for the same entries: owner root, time 0, numbered in order.
 * @throws ConfigError for a path that is absolute, empty, given twice or has `.` or `..` in it.
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [index, entry] of withDirectories(entries).entries()) {
    const content = contentOf(entry);
    const mode = entry.kind === 'file' && entry.executable === true ? 0o100755 : MODES[entry.kind];
    const device = entry.kind === 'character-device' ? entry : { major: 0, minor: 0 };
    const links = entry.kind === 'directory' ? 2 : 1;
    parts.push(header(entry.path, index + 1, mode, links, content.length, device.major, device.minor), pad4(content));
  }
  parts.push(header(TRAILER, 0, 0, 1, 0, 0, 0));
  const archive = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

/** Every entry after the directories it lies in. */
function withDirectories(entries: readonly CpioEntry[]): CpioEntry[] {
  const given = new Map<string, CpioEntry>();
  for (const entry of entries) {
    const components = entry.path.split('/');
    if (components.some((name) => name === '' || name === '.' || name === '..') || entry.path.includes('\0')) {
      throw new ConfigError(`'${entry.path}' cannot be a path in an archive`, {
        mend: 'give it relative to the root, without . and ..',
      });
    }
    if (given.has(entry.path)) throw new ConfigError(`'${entry.path}' is in the archive twice`);
    given.set(entry.path, entry);
  }
  const ordered = new Map<string, CpioEntry>();
  for (const entry of entries) {
    const components = entry.path.split('/');
    for (let n = 1; n < components.length; n++) {
      const path = components.slice(0, n).join('/');
      const parent = given.get(path) ?? { kind: 'directory', path };
      if (parent.kind !== 'directory')
        throw new ConfigError(`'${entry.path}' lies in '${path}', which is no directory`);
      ordered.set(path, parent);
    }
    ordered.set(entry.path, entry);
  }
  return [...ordered.values()];
}

function contentOf(entry: CpioEntry): Uint8Array {
  const content =
    entry.kind === 'file'
      ? entry.content
      : entry.kind === 'symlink'
        ? new TextEncoder().encode(entry.target)
        : new Uint8Array(0);
  if (content.length > MAX_CONTENT) throw new ConfigError(`'${entry.path}' is larger than 4 GiB`);
  return content;
}

/** The header with the name, padded: 13 fields of eight hexadecimal digits after the magic. */
function header(
  path: string,
  inode: number,
  mode: number,
  links: number,
  size: number,
  deviceMajor: number,
  deviceMinor: number,
): Uint8Array {
  const name = new TextEncoder().encode(`${path}\0`);
  const fields = [inode, mode, 0, 0, links, 0, size, 0, 0, deviceMajor, deviceMinor, name.length, 0];
  const text = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  const bytes = new Uint8Array(text.length + name.length);
  bytes.set(new TextEncoder().encode(text));
  bytes.set(name, text.length);
  return pad4(bytes);
}

function pad4(bytes: Uint8Array): Uint8Array {
  if (bytes.length % 4 === 0) return bytes;
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  padded.set(bytes);
  return padded;
}
