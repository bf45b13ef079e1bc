import { encode } from 'uqr';
import { isOnLoopback } from './address.ts';
import { element, setText } from './elements.ts';

const SVG = 'http://www.w3.org/2000/svg';
/** Light modules around the code, as cameras want. */
const BORDER = 4;
const LOOPBACK_TEXT = "This machine's cores are busy: open this page on another device.";
const REACHABLE_TEXT = 'Open this page on another device to add that one:';
const UNREACHABLE_TEXT =
  "This machine's cores are busy, and other devices cannot reach this run; its terminal says how to let them in.";

/** The link and QR code by which other devices open the page. */
export class Invite {
  readonly #box = element('invite', HTMLElement);
  readonly #text = element('invite-text', HTMLElement);
  readonly #code = element('invite-code', SVGSVGElement);
  readonly #link = element('invite-link', HTMLAnchorElement);

  /** @param link null if only this machine can open the page */
  show(isWanted: boolean, link: string | null): void {
    this.#box.hidden = !isWanted;
    if (!isWanted) return;
    setText(this.#text, link === null ? UNREACHABLE_TEXT : isOnLoopback(location.href) ? LOOPBACK_TEXT : REACHABLE_TEXT);
    this.#link.hidden = link === null;
    this.#code.toggleAttribute('hidden', link === null);
    if (link === null || this.#link.href === link) return;
    this.#link.href = link;
    setText(this.#link, link);
    this.#draw(link);
  }

  #draw(link: string): void {
    const { data, size } = encode(link, { border: BORDER, ecc: 'M' });
    const path = document.createElementNS(SVG, 'path');
    const modules = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])));
    path.setAttribute('d', modules.join(''));
    this.#code.setAttribute('viewBox', `0 0 ${size} ${size}`);
    this.#code.replaceChildren(path);
  }
}
