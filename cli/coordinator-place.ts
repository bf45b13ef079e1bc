import { Option, type Command } from 'commander';
import {
  invalidLinkMessage,
  parseCoordinatorLink,
  type CoordinatorLink,
} from '../shared/protocol/coordinator-link.ts';
import { URL_VARIABLE } from './environment.ts';

/** Help of the argument of commands that connect to a coordinator. */
export const LINK_HELP = `the link that the coordinator printed, or host:port (env: ${URL_VARIABLE})`;

/** The same of commands that may have several. */
export const LINKS_HELP = `${LINK_HELP}; several are tried in turn when one is lost`;

/** `--url-file`. @param description use of the file, for the help */
export const urlFileOption = (description: string): Option => new Option('--url-file <file>', description);

/** Place at which a command finds its coordinator: links, or a file with one. */
export type CoordinatorPlace =
  | {
      readonly link: CoordinatorLink;
      /** Links that are tried in turn if that one is lost. @default none */
      readonly alternatives?: readonly CoordinatorLink[];
      readonly urlFile?: undefined;
    }
  | { readonly link?: undefined; readonly alternatives?: undefined; readonly urlFile: string };

/**
 * Finds the coordinator of a command: from the first of: its argument, --url-file, GRADCAST_URL, GRADCAST_URL_FILE.
 * @param command with the option --url-file
 * @param argument link on the command line, or several
 * @throws Error with a sentence if there is none, more than one on the command line, or a link is wrong
 */
export function placeOfCoordinator(
  command: Pick<Command, 'getOptionValue' | 'getOptionValueSource'>,
  argument: string | readonly string[] | undefined,
  env: NodeJS.ProcessEnv = process.env,
): CoordinatorPlace {
  const urlFile = command.getOptionValue('urlFile') as string | undefined;
  const isFlag = command.getOptionValueSource('urlFile') === 'cli';
  const given = typeof argument === 'string' ? [argument] : (argument ?? []);
  if (given.length > 0 && isFlag)
    throw new Error('A link and --url-file both name a coordinator. Use one of them.');
  const ofEnv = (env[URL_VARIABLE] ?? '').split(/\s+/).filter((text) => text !== '');
  const texts = given.length > 0 ? given : isFlag ? [] : ofEnv;
  const [link, ...alternatives] = texts.map((text) => {
    const parsed = parseCoordinatorLink(text);
    if (parsed !== null) return parsed;
    throw new Error(`${given.length === 0 ? `${URL_VARIABLE}: ` : ''}${invalidLinkMessage(text)}`);
  });
  if (link !== undefined) return alternatives.length === 0 ? { link } : { link, alternatives };
  if (urlFile !== undefined) return { urlFile };
  throw new Error(
    `No coordinator is named. Add the link that it printed, or set ${URL_VARIABLE} or --url-file.`,
  );
}

/** Links with the token of an option, except those that have one. */
export const withToken = (
  links: readonly CoordinatorLink[] = [],
  token: string | undefined,
): CoordinatorLink[] => links.map((link) => ({ ...(token === undefined ? {} : { token }), ...link }));
