// A zip file of files as they are: JPEG does not get smaller, and text is little.

const TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  let value = number;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const UTF8_NAMES = 0x0800;
const VERSION = 20;

/** `files` are pairs of a name and its bytes or text. */
export function zip(files, date = new Date()) {
  const encoder = new TextEncoder();
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  const day = ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [path, content] of files) {
    const name = encoder.encode(path);
    const bytes = typeof content === "string" ? encoder.encode(content) : content;
    const common = [VERSION, UTF8_NAMES, 0, time, day];
    const sizes = [crc32(bytes), bytes.length, bytes.length];
    const local = record(0x04034b50, common, sizes, [name.length, 0]);
    directory.push(record(0x02014b50, [VERSION, ...common], sizes, [name.length, 0, 0, 0, 0], [0, offset]), name);
    parts.push(local, name, bytes);
    offset += local.length + name.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record(0x06054b50, [0, 0, files.length, files.length], [size, offset], [0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** A signature, then groups of numbers: of two bytes and of four, in turn. */
function record(signature, ...groups) {
  const length = 4 + groups.reduce((sum, group, number) => sum + group.length * (number % 2 ? 4 : 2), 0);
  const view = new DataView(new ArrayBuffer(length));
  view.setUint32(0, signature, true);
  let at = 4;
  for (const [number, group] of groups.entries()) {
    for (const value of group) {
      if (number % 2) view.setUint32(at, value, true);
      else view.setUint16(at, value, true);
      at += number % 2 ? 4 : 2;
    }
  }
  return new Uint8Array(view.buffer);
}
