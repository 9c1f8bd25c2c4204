import { ConfigError } from '../check/errors.ts';
import { parseIpv4, parseMac, type Ipv4Address, type MacAddress } from '../device/virtio/network/address.ts';
import {
  ServiceTable,
  builtinService,
  parseService,
  type StreamFactory,
} from '../device/virtio/network/service-table.ts';
import { UserNetwork } from '../device/virtio/network/user-network.ts';
import { hostService } from './host-service.ts';

/** Locally administered, as QEMU numbers its cards. */
const DEFAULT_MAC = '52:54:00:12:34:56';

/** What `--net` asks for. */
export interface NetworkOption {
  readonly mac: MacAddress;
  /** Where to write a packet capture. */
  readonly capture: string | undefined;
  readonly services: readonly string[];
  readonly names: ReadonlyMap<string, Ipv4Address>;
}

/**
 * Reads `none` or `user` with, after commas: `mac=52:54:00:12:34:56`, `capture=FILE`, `service=ADDRESS:PORT=KIND[:ARGUMENT]` and
 * `name=NAME=ADDRESS`, the last two as often as needed. Undefined for `none`. Throws ConfigError.
 */
export function parseNetwork(text: string): NetworkOption | undefined {
  const refuse = (where: string, message: string, mend: string): never => {
    throw new ConfigError(message, { where: `--net ${where}`, mend });
  };
  if (text === 'none') return undefined;
  const [mode, ...settings] = text.split(',');
  if (mode !== 'user') return refuse(text, 'not a kind of network', 'use none or user');
  let mac = parseMac(DEFAULT_MAC)!;
  let capture: string | undefined;
  const services: string[] = [];
  const names = new Map<string, Ipv4Address>();
  for (const setting of settings) {
    const [key, value] = cut(setting);
    if (value === '') refuse(setting, 'is empty', 'write KEY=VALUE');
    else if (key === 'mac') {
      const given = parseMac(value);
      if (given === undefined || (given[0]! & 1) !== 0)
        return refuse(setting, 'not a station address', `write six octets such as ${DEFAULT_MAC}`);
      mac = given;
    } else if (key === 'capture') capture = value;
    else if (key === 'service') services.push(value);
    else if (key === 'name') {
      const [name, address] = cut(value);
      const parsed = parseIpv4(address);
      if (name === '' || parsed === undefined)
        return refuse(setting, 'not a name and an address', 'write name=web.test=10.0.2.100');
      names.set(name.toLowerCase(), parsed);
    } else refuse(setting, 'unknown setting', 'use mac, capture, service or name');
  }
  return { mac, capture, services, names };
}

/** The network an option describes. Throws ConfigError for services that do not exist, or cannot in deterministic mode. */
export function createNetwork({ services, names }: NetworkOption, deterministic: boolean): UserNetwork {
  const table = new ServiceTable();
  for (const text of services) {
    const spec = parseService(text);
    table.add(
      spec.address,
      spec.port,
      builtinService(spec) ?? hostServiceOf(text, spec.argument, spec.kind, deterministic),
    );
  }
  return new UserNetwork({ services: table, names });
}

function hostServiceOf(text: string, argument: string, kind: string, deterministic: boolean): StreamFactory {
  const refuse = (message: string, mend: string): never => {
    throw new ConfigError(message, { where: `service ${text}`, mend });
  };
  const match = /^(.+):(\d{1,5})$/.exec(argument);
  if (kind !== 'tcp') return refuse(`no service is called '${kind}'`, 'use echo, discard, http:TEXT or tcp:HOST:PORT');
  if (!match || Number(match[2]) > 65_535 || Number(match[2]) === 0)
    return refuse('not a host and port', 'write tcp:127.0.0.1:8080');
  if (deterministic) return refuse('the host network is not deterministic', 'leave out --deterministic or the service');
  return hostService(match[1]!.replace(/^\[(.*)\]$/, '$1'), Number(match[2]));
}

function cut(text: string): readonly [key: string, value: string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
