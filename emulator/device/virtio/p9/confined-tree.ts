import fs from 'node:fs';
import { ConfigError } from '../../../check/errors.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants;
/** Linux's value on every architecture; Node does not name it. Opens a place in the tree without opening the file there. */
const O_PATH = 0o10000000;

/** Names from the root down, one character a byte, none of them empty, `.` or `..`. */
export type Path = readonly string[];

/**
 * A host directory that cannot be left. Every operation starts at the root and opens one directory after the other without following
 * symbolic links, so neither `..`, nor a link that was there, nor one the guest has put in a directory's place leads out.
 *
 * On Linux each step is relative to the descriptor of the one before (by `/proc/self/fd`), which holds even while others rename things. Other
 * systems have no such names: there every component is looked at immediately before use, which holds as long as nobody outside interferes.
 */
export class ConfinedTree {
  readonly #root: string;
  /** The root's descriptor; -1 where steps go by name. */
  readonly #descriptor: number;

  /** Throws ConfigError when `root` is not a directory. */
  constructor(root: string, byDescriptor = process.platform === 'linux') {
    try {
      this.#root = fs.realpathSync(root);
      const flags = byDescriptor ? O_PATH | O_DIRECTORY : O_RDONLY | O_DIRECTORY;
      const descriptor = fs.openSync(this.#root, flags);
      this.#descriptor = byDescriptor ? descriptor : -1;
      if (!byDescriptor) fs.closeSync(descriptor);
    } catch (error) {
      throw new ConfigError('cannot be shared', {
        where: root,
        mend: 'name a directory that exists',
        cause: error,
      });
    }
  }

  /** The host's name of the root. */
  get root(): string {
    return this.#root;
  }

  /**
   * Calls `action` with a host path for `path`, whose last component may be anything or nothing; it is the action that must not follow it.
   * The host path is good during the call only. Throws what the host throws: ENOTDIR when a component on the way is not a directory.
   */
  at<T>(path: Path, action: (host: Buffer) => T): T {
    if (this.#descriptor < 0) return action(this.#checkedName(path));
    let directory = this.#descriptor;
    try {
      for (let i = 0; i < path.length - 1; i++) {
        const next = fs.openSync(below(directory, path[i]!), O_PATH | O_DIRECTORY | O_NOFOLLOW);
        if (directory !== this.#descriptor) fs.closeSync(directory);
        directory = next;
      }
      return action(below(directory, path.at(-1) ?? '.'));
    } finally {
      if (directory !== this.#descriptor) fs.closeSync(directory);
    }
  }

  /**
   * Calls `action` with the status of what is at `path` and a host path that leads to that very object, whatever is put in its place
   * meanwhile. A symbolic link is itself, not its target.
   */
  on<T>(path: Path, action: (host: Buffer, status: fs.BigIntStats) => T): T {
    return this.at(path, (host) => {
      if (this.#descriptor < 0) return action(host, fs.lstatSync(host, { bigint: true }));
      const descriptor = fs.openSync(host, O_PATH | O_NOFOLLOW);
      try {
        return action(procName(descriptor), fs.fstatSync(descriptor, { bigint: true }));
      } finally {
        fs.closeSync(descriptor);
      }
    });
  }

  /** As `on`, for a file that is open already: by its descriptor, so that it may have lost its name. */
  onOpen<T>(path: Path, descriptor: number, action: (host: Buffer, status: fs.BigIntStats) => T): T {
    if (this.#descriptor < 0) return this.on(path, action);
    return action(procName(descriptor), fs.fstatSync(descriptor, { bigint: true }));
  }

  close(): void {
    if (this.#descriptor >= 0) fs.closeSync(this.#descriptor);
  }

  #checkedName(path: Path): Buffer {
    let host = Buffer.from(this.#root);
    for (const [i, name] of path.entries()) {
      // A link is no directory to lstat, so the system's own error says so.
      if (i > 0 && !fs.lstatSync(host).isDirectory()) throw notADirectory();
      host = Buffer.concat([host, Buffer.from(`/${name}`, 'latin1')]);
    }
    return host;
  }
}

function procName(descriptor: number): Buffer {
  return Buffer.from(`/proc/self/fd/${descriptor}`);
}

function below(directory: number, name: string): Buffer {
  return Buffer.from(`/proc/self/fd/${directory}/${name}`, 'latin1');
}

function notADirectory(): NodeJS.ErrnoException {
  return Object.assign(new Error('not a directory'), { code: 'ENOTDIR', errno: -20, syscall: 'open' });
}
