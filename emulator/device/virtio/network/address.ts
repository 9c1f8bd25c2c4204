/** An IPv4 address as an unsigned 32-bit number, most significant octet first. */
export type Ipv4Address = number;

/** Six octets. */
export type MacAddress = Uint8Array;

export const BROADCAST_MAC: MacAddress = new Uint8Array(6).fill(0xff);
export const BROADCAST_IPV4: Ipv4Address = 0xffff_ffff;

/** Reads `a.b.c.d`; undefined when it is not four decimal octets. */
export function parseIpv4(text: string): Ipv4Address | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  let address = 0;
  for (const octet of match.slice(1)) {
    if (Number(octet) > 255) return undefined;
    address = address * 256 + Number(octet);
  }
  return address;
}

/** The dotted form. */
export function formatIpv4(address: Ipv4Address): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

/** Reads `52:54:00:12:34:56`; undefined when it is not six hexadecimal octets. */
export function parseMac(text: string): MacAddress | undefined {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (octet) => Number.parseInt(octet, 16));
}

/** Lower-case octets with colons. */
export function formatMac(mac: MacAddress): string {
  return Array.from(mac, (octet) => octet.toString(16).padStart(2, '0')).join(':');
}

export function sameMac(a: Uint8Array, b: Uint8Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3] && a[4] === b[4] && a[5] === b[5];
}
