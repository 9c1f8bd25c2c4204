/** What build.ts bundles: the command line, with the command it is made for at hand. */
import { runCommandLine } from '../cli.ts';
import * as emulate from '../command/emulate.ts';

export { compilerThread } from '../../emulator/machine/background-compiler.ts';
export { serve } from '../../emulator/machine/compiler-service.ts';
export { knownSources } from '../../emulator/machine/engine-identity.ts';
export { guestFlags } from '../guest-flags.ts';
export { keptTranslations } from '../kept-translations.ts';
export { keptTables } from '../../emulator/tier/interpreter/kept-tables.ts';
export { keptModules } from '../../emulator/wasm/kept-modules.ts';

/** As cli.ts has it. */
export function run(argv: readonly string[]): Promise<number> {
  return runCommandLine(argv, { emulate });
}
