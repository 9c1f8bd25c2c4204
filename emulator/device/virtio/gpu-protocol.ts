/** Numbers and layouts of the GPU's control queue (Virtual I/O Device, "GPU Device", "Device Operation"). */

export const GpuFeature = { edid: 1n << 1n } as const;

export const GpuCommand = {
  getDisplayInfo: 0x0100,
  resourceCreate2d: 0x0101,
  resourceUnref: 0x0102,
  setScanout: 0x0103,
  resourceFlush: 0x0104,
  transferToHost2d: 0x0105,
  resourceAttachBacking: 0x0106,
  resourceDetachBacking: 0x0107,
  getEdid: 0x010a,
  updateCursor: 0x0300,
  moveCursor: 0x0301,
} as const;

export const GpuResponse = {
  okNoData: 0x1100,
  okDisplayInfo: 0x1101,
  okEdid: 0x1104,
  unspecified: 0x1200,
  outOfMemory: 0x1201,
  invalidScanout: 0x1202,
  invalidResource: 0x1203,
  invalidParameter: 0x1205,
} as const;
export type GpuResponse = (typeof GpuResponse)[keyof typeof GpuResponse];

/** struct virtio_gpu_ctrl_hdr: type, flags, fence (64 bits), context, ring and padding. */
export const CONTROL_HEADER = 24;
export const FLAG_FENCE = 1;
export const MAXIMUM_SCANOUTS = 16;
/** struct virtio_gpu_resp_edid. */
export const EDID_RESPONSE = CONTROL_HEADER + 8 + 1024;
/** struct virtio_gpu_resp_display_info. */
export const DISPLAY_INFO_RESPONSE = CONTROL_HEADER + MAXIMUM_SCANOUTS * 24;
/** struct virtio_gpu_mem_entry: address, length and padding. */
export const BACKING_ENTRY = 16;
/** Bytes of each command, its header included; RESOURCE_ATTACH_BACKING's entries follow. */
export const COMMAND_LENGTH: ReadonlyMap<number, number> = new Map([
  [GpuCommand.getDisplayInfo, CONTROL_HEADER],
  [GpuCommand.resourceCreate2d, CONTROL_HEADER + 16],
  [GpuCommand.resourceUnref, CONTROL_HEADER + 8],
  [GpuCommand.setScanout, CONTROL_HEADER + 24],
  [GpuCommand.resourceFlush, CONTROL_HEADER + 24],
  [GpuCommand.transferToHost2d, CONTROL_HEADER + 32],
  [GpuCommand.resourceAttachBacking, CONTROL_HEADER + 8],
  [GpuCommand.resourceDetachBacking, CONTROL_HEADER + 8],
  [GpuCommand.getEdid, CONTROL_HEADER + 8],
  [GpuCommand.updateCursor, CONTROL_HEADER + 32],
  [GpuCommand.moveCursor, CONTROL_HEADER + 32],
]);

/** Where a format keeps red, green and blue among the four bytes of a pixel. */
export interface PixelFormat {
  readonly name: string;
  readonly red: number;
  readonly green: number;
  readonly blue: number;
}

/** enum virtio_gpu_formats. Names give the bytes in memory order. */
export const PIXEL_FORMATS: ReadonlyMap<number, PixelFormat> = new Map([
  [1, { name: 'B8G8R8A8', red: 2, green: 1, blue: 0 }],
  [2, { name: 'B8G8R8X8', red: 2, green: 1, blue: 0 }],
  [3, { name: 'A8R8G8B8', red: 1, green: 2, blue: 3 }],
  [4, { name: 'X8R8G8B8', red: 1, green: 2, blue: 3 }],
  [67, { name: 'R8G8B8A8', red: 0, green: 1, blue: 2 }],
  [68, { name: 'X8B8G8R8', red: 3, green: 2, blue: 1 }],
  [121, { name: 'A8B8G8R8', red: 3, green: 2, blue: 1 }],
  [134, { name: 'R8G8B8X8', red: 0, green: 1, blue: 2 }],
]);
export const BYTES_PER_PIXEL = 4;

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export function readRectangle(view: DataView, offset: number): Rectangle {
  return {
    x: view.getUint32(offset, true),
    y: view.getUint32(offset + 4, true),
    width: view.getUint32(offset + 8, true),
    height: view.getUint32(offset + 12, true),
  };
}

/** Whether a rectangle lies inside `width` x `height`. Sums of 32-bit numbers are exact here, so nothing wraps. */
export function liesWithin(rectangle: Rectangle, width: number, height: number): boolean {
  return rectangle.x + rectangle.width <= width && rectangle.y + rectangle.height <= height;
}
