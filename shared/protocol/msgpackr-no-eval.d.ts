/** The same without code that is made at run time; it comes without types of its own. */
declare module 'msgpackr/index-no-eval' {
  export { addExtension, Packr, Unpackr } from 'msgpackr';
}
