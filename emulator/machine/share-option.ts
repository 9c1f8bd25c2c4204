import { ConfigError } from '../check/errors.ts';

/** What `--share` asks for. */
export interface ShareOption {
  readonly root: string;
  readonly tag: string;
  readonly readOnly: boolean;
}

/**
 * Reads `DIR` with, after commas, `ro` and `tag=NAME`; a comma in the directory's name is written twice. The tag is by default `share`, with a number
 * behind it from the second on. Throws ConfigError.
 */
export function parseShare(text: string, index = 0): ShareOption {
  const [root, ...settings] = text.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(',,', ','));
  let tag = index === 0 ? 'share' : `share${index}`;
  let readOnly = false;
  for (const setting of settings) {
    if (setting === 'ro') readOnly = true;
    else if (setting.startsWith('tag=') && setting.length > 4) tag = setting.slice(4);
    else
      throw new ConfigError('unknown setting', {
        where: `--share ${setting}`,
        mend: 'use ro or tag=NAME; write a comma of a name twice',
      });
  }
  if (root === undefined || root === '')
    throw new ConfigError('names no directory', { where: '--share', mend: 'write --share DIR[,ro][,tag=NAME]' });
  return { root, tag, readOnly };
}
