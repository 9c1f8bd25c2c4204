/** Where the real firmware, kernels and programs are: asked of the scripts that keep them, as processes, for suites import no scripts. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const SCRIPTS = join(import.meta.dirname, '..', '..', 'scripts');

export type BootInput = 'opensbi' | 'u-boot-qemu' | 'linux-riscv64' | 'busybox-riscv64';

/** A file of a pinned package, by default its main one; or why it is not here. Nothing is fetched. */
export function bootInput(name: BootInput, base?: string): string | { readonly absent: string } {
  const listed = ask('inputs.ts', ['--list']);
  // A line is name, group, version and path, or why there is none.
  const line = listed.split('\n').find((each) => each.startsWith(`${name} `));
  const main = line?.split(/ +/).slice(3).join(' ') ?? '';
  const path = base === undefined ? main : join(dirname(main), base);
  if (main.startsWith('/') && existsSync(path)) return path;
  return { absent: `${name} is not in the cache: scripts/with-runtime scripts/inputs.ts ${name}` };
}

/** The initial RAM disk without modules. */
export function bootInitramfs(): string {
  return ask('initramfs.ts', ['--modules', 'none']).trim();
}

function ask(script: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(SCRIPTS, script), ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${script} ended with ${status}: ${stderr}`);
  return stdout;
}
