import type { Ipv4Address } from './address.ts';

/**
 * The far end of a TCP connection the guest opened. Pulled and pushed, never called back into the network: a service that gets something to
 * send between calls says so by `wake`, which it was given on `connect`.
 */
export interface Stream {
  /** Takes bytes from the guest; returns how many, fewer when it has no room. `bytes` is only lent. */
  write(bytes: Uint8Array): number;
  /** Puts bytes for the guest into `into`; returns how many, 0 when there are none yet, -1 when there will be no more. */
  read(into: Uint8Array): number;
  /** The guest has closed its direction. */
  end(): void;
  /** The connection is gone; nothing is called after this. */
  close(): void;
}

/** What can be connected to beyond the gateway. The only way from the guest's network to the outside. */
export interface Services {
  /** Whether a machine of this address exists: it answers ARP and ping. */
  hosts(address: Ipv4Address): boolean;
  /** A connection; undefined refuses it. */
  connect(address: Ipv4Address, port: number, wake: () => void): Stream | undefined;
}

export const NO_SERVICES: Services = { hosts: () => false, connect: () => undefined };
