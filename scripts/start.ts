/** What `dyno` runs: the command line, with functions that an earlier run has compiled. */

// CommonJS: Node takes up its kept code only under V8's usual flags.
await import('commander');
await import('cli-table3');
await import('../emulator/machine/whole-functions.ts');
await import('./cli.ts');
