/**
 * Protocol between coordinator, workers and observers, for programs that implement it themselves. PROTOCOL.md describes
 * the messages.
 *
 * @example
 * ```js
 * import { frameFromWorker, parseFromCoordinator, PROTOCOL_VERSION } from 'gradcast/protocol';
 *
 * const socket = new WebSocket('ws://127.0.0.1:2718');
 * socket.binaryType = 'arraybuffer';
 * socket.onopen = () => socket.send(frameFromWorker({ type: 'watch', protocol: PROTOCOL_VERSION }));
 * socket.onmessage = ({ data }) => {
 *   const { message } = parseFromCoordinator(new Uint8Array(data));
 *   if (message.type === 'epoch') console.log(message.record);
 * };
 * ```
 * @packageDocumentation
 */
export { CloseCode, FATAL_CLOSE_CODES, ProtocolError } from './close-codes.ts';
export { formatCoordinatorLink, parseCoordinatorLink, type CoordinatorLink } from './coordinator-link.ts';
export {
  decodeFrame,
  encodeFrame,
  frameFromCoordinator,
  frameFromWorker,
  parseFromCoordinator,
  parseFromWorker,
  type DecodedFrame,
  type Received,
} from './frame.ts';
export {
  PROTOCOL_VERSION,
  type EngineInfo,
  type EpochRecord,
  type FromCoordinator,
  type FromWorker,
} from './messages.ts';
