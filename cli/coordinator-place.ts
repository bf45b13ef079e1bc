import { Option, type Command } from 'commander';
import {
  invalidLinkMessage,
  parseCoordinatorLink,
  type CoordinatorLink,
} from '../shared/protocol/coordinator-link.ts';
import { URL_VARIABLE } from './environment.ts';

/** Help of the argument of commands that connect to a coordinator. */
export const LINK_HELP = `the link that the coordinator printed, or host:port (env: ${URL_VARIABLE})`;

/** `--url-file`. @param description use of the file, for the help */
export const urlFileOption = (description: string): Option => new Option('--url-file <file>', description);

/** Place at which a command finds its coordinator: a link, or a file with one. */
export type CoordinatorPlace =
  | { readonly link: CoordinatorLink; readonly urlFile?: undefined }
  | { readonly link?: undefined; readonly urlFile: string };

/**
 * Finds the coordinator of a command: from the first of: its argument, --url-file, GRADCAST_URL, GRADCAST_URL_FILE.
 * @param command with the option --url-file
 * @param argument link on the command line
 * @throws Error with a sentence if there is none, more than one on the command line, or a link is wrong
 */
export function placeOfCoordinator(
  command: Pick<Command, 'getOptionValue' | 'getOptionValueSource'>,
  argument: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
): CoordinatorPlace {
  const urlFile = command.getOptionValue('urlFile') as string | undefined;
  const isFlag = command.getOptionValueSource('urlFile') === 'cli';
  if (argument !== undefined && isFlag)
    throw new Error('A link and --url-file both name a coordinator. Use one of them.');
  const ofEnv = env[URL_VARIABLE]?.trim() === '' ? undefined : env[URL_VARIABLE];
  const link = argument ?? (isFlag ? undefined : ofEnv);
  if (link !== undefined) {
    const parsed = parseCoordinatorLink(link);
    if (parsed !== null) return { link: parsed };
    throw new Error(`${argument === undefined ? `${URL_VARIABLE}: ` : ''}${invalidLinkMessage(link)}`);
  }
  if (urlFile !== undefined) return { urlFile };
  throw new Error(
    `No coordinator is named. Add the link that it printed, or set ${URL_VARIABLE} or --url-file.`,
  );
}
