import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { test } from 'node:test';

const isLinux = process.platform === 'linux' && fs.existsSync('/proc/self/task');

test(
  'V8 has threads that give way to the main one, which stays as it is',
  { skip: isLinux ? false : 'no /proc with threads' },
  () => {
    // In a process of its own: this one's threads may have been changed by what else it runs.
    const module = new URL('thread-priority.ts', import.meta.url).href;
    const program = `
    const fs = require('node:fs');
    const nices = () => Object.fromEntries(fs.readdirSync('/proc/self/task').map((thread) => {
      const stat = fs.readFileSync('/proc/self/task/' + thread + '/stat', 'utf8');
      const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
      return [thread, [Number(thread) === process.pid ? 'main' : name, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])]];
    }));
    const before = nices();
    import(${JSON.stringify(module)}).then(({ preferGuest }) => {
      preferGuest();
      console.log(JSON.stringify({ before, after: nices() }));
    });`;
    const out = execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' });
    const { before, after } = JSON.parse(out) as Record<'before' | 'after', Record<string, [string, number]>>;
    let changed = 0;
    for (const [thread, [name, nice]] of Object.entries(after)) {
      const was = before[thread]?.[1];
      if (name === 'node-V8Worker') {
        assert.ok(nice > was!, `${name} ${was} ${nice}`);
        changed++;
      } else if (was !== undefined) assert.equal(nice, was, name);
    }
    assert.ok(changed > 0);
  },
);
