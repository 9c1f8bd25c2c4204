/**
 * Work that a kernel does most of: `node suites/boot/kernel-work.ts [ROUNDS] [TASK]…` runs it under Debian's Linux with busybox, here and in
 * qemu-system-riscv64, and prints a Markdown table of host seconds of each task, best of the rounds.
 */
import { compareUnderLinux, type Task } from './under-linux.ts';

const repeat = (times: number, command: string): string[] => [
  'i=0',
  `while [ $i -lt ${times} ]; do ${command}; i=$((i+1)); done`,
];

const TASKS: readonly Task[] = [
  // Two system calls for each byte.
  { name: 'calls', lines: ['dd if=/dev/zero of=/dev/null bs=1 count=300000 2>/dev/null'] },
  // A process is made, loads a program and ends.
  { name: 'processes', lines: repeat(1000, '/bin/busybox true') },
  // Two processes in turn.
  { name: 'pipes', lines: ['dd if=/dev/zero bs=64 count=100000 2>/dev/null | cat >/dev/null'] },
  {
    name: 'copies',
    lines: ['dd if=/dev/zero of=/tmp/a bs=4k count=8000 2>/dev/null', ...repeat(20, 'cp /tmp/a /tmp/b')],
  },
  // Processes end while they are listed, which find counts as an error.
  { name: 'names', lines: repeat(3, '[ $( (find /sys /proc -maxdepth 6 2>/dev/null || true) | wc -l) -gt 10000 ]') },
];

async function main(): Promise<void> {
  const [rounds = '1', ...names] = process.argv.slice(2);
  const tasks = TASKS.filter(({ name }) => names.length === 0 || names.includes(name));
  if (names.some((each) => !TASKS.some(({ name }) => name === each)))
    throw new Error(`${names.join(' ')}: tasks are ${TASKS.map(({ name }) => name).join(', ')}`);
  await compareUnderLinux('task', tasks, Number(rounds), { before: ['mount -t tmpfs none /tmp'] });
}

await main();
