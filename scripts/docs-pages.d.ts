import type { Command } from 'commander';

/** Anchor of a heading, as GitHub makes it. */
export function anchorOf(text: string): string;
/** The page of all commands with their options. */
export function commandsPage(cli: Command): string;
