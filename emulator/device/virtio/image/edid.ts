/** Bytes of a block of Extended Display Identification Data. */
export const EDID_LENGTH = 128;

const DETAILED_TIMING = 54;
const REFRESH = 60;
/** Blanking intervals any driver accepts; nothing is ever scanned out. */
const HORIZONTAL_BLANKING = 160;
const VERTICAL_BLANKING = 40;
const PIXELS_PER_MILLIMETRE = 4;

/**
 * One block (VESA Enhanced EDID Standard, release A, revision 2, "EDID 1.4 data format") that names `width` x `height` at 60 Hz as the
 * display's preferred mode. Both up to 4095, the largest a detailed timing can say.
 */
export function edidFor(width: number, height: number): Uint8Array {
  const edid = new Uint8Array(EDID_LENGTH);
  edid.set([0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00]);
  edid.set(manufacturer('DYN'), 8);
  edid[10] = 1; // product
  edid[16] = 1; // week and year (from 1990) of manufacture
  edid[17] = 36;
  edid[18] = 1; // version 1.4
  edid[19] = 4;
  edid[20] = 0xa5; // digital, 8 bits a colour, DisplayPort
  const size = [width, height].map((pixels) => Math.max(1, Math.round(pixels / PIXELS_PER_MILLIMETRE)));
  edid[21] = Math.min(255, Math.max(1, Math.round(size[0]! / 10)));
  edid[22] = Math.min(255, Math.max(1, Math.round(size[1]! / 10)));
  edid[23] = 120; // gamma 2.2
  edid[24] = 0x06; // sRGB, the first timing is the preferred one
  edid.fill(1, 38, 54); // no standard timings
  edid.set(detailedTiming(width, height, size[0]!, size[1]!), DETAILED_TIMING);
  edid.set(text(0xfc, 'vm-dyno'), DETAILED_TIMING + 18);
  edid.set(text(0xfe, ''), DETAILED_TIMING + 36);
  edid.set(text(0xfe, ''), DETAILED_TIMING + 54);
  edid[127] = -edid.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return edid;
}

/** Three letters of five bits each. */
function manufacturer(name: string): readonly number[] {
  const value = [...name].reduce((bits, letter) => (bits << 5) | (letter.charCodeAt(0) - 64), 0);
  return [value >> 8, value & 0xff];
}

function detailedTiming(width: number, height: number, widthMillimetres: number, heightMillimetres: number) {
  const clock = Math.round(((width + HORIZONTAL_BLANKING) * (height + VERTICAL_BLANKING) * REFRESH) / 10_000);
  const bytes = new Uint8Array(18);
  new DataView(bytes.buffer).setUint16(0, Math.min(0xffff, clock), true);
  bytes[2] = width & 0xff;
  bytes[3] = HORIZONTAL_BLANKING;
  bytes[4] = (width >> 8) << 4;
  bytes[5] = height & 0xff;
  bytes[6] = VERTICAL_BLANKING;
  bytes[7] = (height >> 8) << 4;
  bytes[8] = 48; // front porch and sync width, horizontal then vertical
  bytes[9] = 32;
  bytes[10] = (3 << 4) | 6;
  bytes[12] = widthMillimetres & 0xff;
  bytes[13] = heightMillimetres & 0xff;
  bytes[14] = ((widthMillimetres >> 8) << 4) | (heightMillimetres >> 8);
  bytes[17] = 0x1e; // separate sync, both positive
  return bytes;
}

/** A display descriptor with up to 13 characters, ended by a line feed and padded with spaces. */
function text(tag: number, content: string): Uint8Array {
  const bytes = new Uint8Array(18).fill(0x20, 5);
  bytes[3] = tag;
  const line = `${content}\n`;
  for (let i = 0; i < line.length && i < 13; i++) bytes[5 + i] = line.charCodeAt(i);
  return bytes;
}
