/**
 * The guests as programs of Debian's Linux, paging and all, here and in qemu-system-riscv64, turn by turn: `node suites/boot/guests.ts
 * [ROUNDS] [SCALE] [GUEST]…` prints a Markdown table of host seconds of each, best of the rounds, with its start and its output.
 */
import { readFileSync } from 'node:fs';
import { elfPath, GUEST_SCALES, guestArguments, GUESTS, type GuestScale, isBuiltFor } from '../guests/guests.ts';
import { compareUnderLinux } from './under-linux.ts';

async function main(): Promise<void> {
  const [rounds = '1', scale = 'quick', ...names] = process.argv.slice(2);
  if (!(GUEST_SCALES as readonly string[]).includes(scale))
    throw new Error(`${scale} is none of ${GUEST_SCALES.join(', ')}`);
  const unknown = names.filter((name) => !GUESTS.some((guest) => guest.name === name));
  if (unknown.length > 0)
    throw new Error(`no guest is called ${unknown.join(', ')}; there are ${GUESTS.map(({ name }) => name).join(', ')}`);
  const guests = GUESTS.filter((guest) =>
    names.length === 0 ? isBuiltFor(guest, 'wasm32') : names.includes(guest.name),
  );
  const tasks = guests.map((guest) => ({
    name: guest.name,
    lines: [`/guests/${guest.name} ${guestArguments(guest, scale as GuestScale).join(' ')}`],
  }));
  const files = guests.map((guest) => ({
    kind: 'file' as const,
    path: `guests/${guest.name}`,
    content: readFileSync(elfPath(guest, 'riscv64')),
    executable: true,
  }));
  await compareUnderLinux('guest', tasks, Number(rounds), { files });
}

await main();
