import type { CoordinatorHost } from '../hosting/coordinator.ts';

/** Hosts of the coordinators that createCoordinator made. They are here so that its declaration names none of their types. */
const hosts = new WeakMap<object, CoordinatorHost>();

/** Remembers the host of a coordinator. */
export const registerHost = (coordinator: object, host: CoordinatorHost): void =>
  void hosts.set(coordinator, host);

/** @throws TypeError if the coordinator is another object */
export function hostOf(coordinator: object): CoordinatorHost {
  const host = hosts.get(coordinator);
  if (host === undefined) throw new TypeError('The coordinator was not made by createCoordinator.');
  return host;
}
