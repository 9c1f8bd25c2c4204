import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { ConfigError } from '../check/errors.ts';
import { FileDisk, OverlayDisk, SparseDisk, type BlockBackend } from '../device/virtio/block-backend.ts';

/** What `--drive` asks for. */
export interface DriveOption {
  /** The image; undefined for a disk that is empty at first and kept in memory. */
  readonly file: string | undefined;
  /** Bytes of a disk without image. */
  readonly size: number;
  readonly readOnly: boolean;
  /** What the guest writes is kept in memory and forgotten at the end. */
  readonly snapshot: boolean;
  readonly sectorSize: 512 | 4096;
  readonly serial: string | undefined;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const SPARSE = 'sparse:';

/**
 * Reads `FILE`, or `sparse:SIZE` for an empty disk in memory, with, after commas, `ro`, `snapshot`, `sector=512|4096` and `serial=TEXT`; a comma in
 * the file's name is written twice. Throws ConfigError.
 */
export function parseDrive(text: string): DriveOption {
  const refuse = (where: string, message: string, mend: string): never => {
    throw new ConfigError(message, { where: `--drive ${where}`.trimEnd(), mend });
  };
  const [name = '', ...settings] = text.split(/(?<!,),(?!,)/u).map((part) => part.replaceAll(',,', ','));
  if (name === '') refuse('', 'names no disk', 'write --drive FILE[,ro] or --drive sparse:1G');
  const sparse = name.startsWith(SPARSE);
  const size = sparse ? parseSize(name.slice(SPARSE.length)) : 0;
  if (size === undefined || size % 512 !== 0) {
    return refuse(name, 'not a size', 'write a number of bytes, a multiple of 512, or one with K, M, G or T');
  }
  let [readOnly, snapshot] = [false, false];
  let sectorSize: 512 | 4096 = 512;
  let serial: string | undefined;
  for (const setting of settings) {
    if (setting === 'ro') readOnly = true;
    else if (setting === 'snapshot') snapshot = true;
    else if (setting === 'sector=512') sectorSize = 512;
    else if (setting === 'sector=4096') sectorSize = 4096;
    else if (/^serial=[ -~]{1,20}$/u.test(setting)) serial = setting.slice('serial='.length);
    else refuse(setting, 'unknown setting', 'use ro, snapshot, sector=512, sector=4096 or serial=TEXT (up to 20)');
  }
  if (sparse && readOnly) refuse(name, 'empty for ever', 'leave ro out');
  return { file: sparse ? undefined : name, size, readOnly, snapshot, sectorSize, serial };
}

/** A disk and what closes its file. */
export interface OpenDrive {
  readonly backend: BlockBackend;
  close(): void;
}

/**
 * Opens the image an option names, for writing unless it is read-only or a snapshot. `report` is told of each failure of the file later on,
 * which the guest sees as an I/O error. Throws ConfigError when there is no such file, or it is no disk.
 */
export function openDrive(option: DriveOption, report: (error: unknown) => void): OpenDrive {
  const { file, readOnly, snapshot, sectorSize } = option;
  if (file === undefined) return { backend: new SparseDisk(option.size), close: () => {} };
  const where = `--drive ${file}`;
  const protectedFile = readOnly || snapshot;
  const descriptor = open(file, protectedFile ? 'r' : 'r+', where);
  const status = fstatSync(descriptor);
  if (!status.isFile() || status.size % sectorSize !== 0) {
    closeSync(descriptor);
    throw new ConfigError(
      status.isFile() ? `${status.size} bytes are no whole number of ${sectorSize}-byte sectors` : 'not a regular file',
      { where, mend: 'give a raw disk image' },
    );
  }
  const image = new FileDisk(
    {
      size: status.size,
      read: (target, offset, length, position) => readSync(descriptor, target, offset, length, position),
      write: (source, offset, length, position) => writeSync(descriptor, source, offset, length, position),
      sync: () => fdatasyncSync(descriptor),
    },
    protectedFile,
    report,
  );
  const close = (): void => closeSync(descriptor);
  return { backend: snapshot && !readOnly ? new OverlayDisk(image) : image, close };
}

function open(file: string, flags: 'r' | 'r+', where: string): number {
  try {
    return openSync(file, flags);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const mend =
      code === 'ENOENT'
        ? 'give the name of a raw disk image'
        : flags === 'r+'
          ? 'add ,ro to only read it, or ,snapshot to forget what is written'
          : 'give a file that may be read';
    throw new ConfigError(`cannot be opened: ${code ?? (error as Error).message}`, { where, mend, cause: error });
  }
}

function parseSize(text: string): number | undefined {
  const match = /^(\d{1,12})([KMGT]?)$/u.exec(text);
  if (match === null) return undefined;
  const size = Number(match[1]) * UNITS[match[2]!]!;
  return Number.isSafeInteger(size) ? size : undefined;
}
