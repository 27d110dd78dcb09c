// An X display of its own for browsers that cannot run without one, and pictures of it.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync, crc32 } from "node:zlib";
import { within } from "./tab.mjs";

const START_MS = 30_000;
const SCREEN = { width: 1600, height: 1200 };

export class Display {
  /** Xvfb finds a free display number by itself and writes it to the descriptor named. */
  static async start(run, executable) {
    const display = new Display();
    display.folder = run.newProfile("display");
    const size = `${SCREEN.width}x${SCREEN.height}x24`;
    const picture = ["-screen", "0", size, "-fbdir", display.folder];
    const flags = ["-displayfd", "3", "-nolisten", "tcp", ...picture];
    const server = spawn(executable, flags, {
      detached: true,
      env: run.environment(),
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    run.addGroup(server.pid);
    const number = new Promise((resolve, reject) => {
      server.stdio[3].once("data", (data) => resolve(String(data).trim()));
      server.once("exit", (code) => reject(new Error(`Xvfb ended with ${code}`)));
    });
    display.name = `:${await within(START_MS, "Xvfb starts", number)}`;
    display.server = server;
    return display;
  }

  /** Asks the server to end; it then removes its lock file and socket in /tmp. */
  async close() {
    const ended = new Promise((resolve) => this.server.once("exit", resolve));
    this.server.kill("SIGTERM");
    await within(START_MS, "Xvfb ends", ended);
  }

  /** Writes what the whole screen shows as a PNG file. */
  screenshot(path) {
    writeFileSync(path, encodePng(readScreen(join(this.folder, "Xvfb_screen0"))));
  }
}

/** Reads the XWD file that Xvfb keeps in step with its screen: 32-bit blue, green, red, pad. */
function readScreen(path) {
  const file = readFileSync(path);
  const field = (index) => file.readUInt32BE(index * 4);
  const header_bytes = field(0);
  const [width, height, row_bytes, color_count] = [field(4), field(5), field(12), field(19)];
  return { width, height, row_bytes, pixels: file.subarray(header_bytes + color_count * 12) };
}

function encodePng({ width, height, row_bytes, pixels }) {
  // One filter byte (none) before each row of red, green, blue.
  const rows = Buffer.alloc((width * 3 + 1) * height);
  let at = 0;
  for (let y = 0; y < height; y += 1) {
    at += 1;
    for (let x = 0; x < width; x += 1) {
      const from = y * row_bytes + x * 4;
      rows[at] = pixels[from + 2];
      rows[at + 1] = pixels[from + 1];
      rows[at + 2] = pixels[from];
      at += 3;
    }
  }
  const size = Buffer.alloc(13);
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  // Eight bits a channel, true color, no interlacing.
  size.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from("89504e470d0a1a0a", "hex");
  return Buffer.concat([
    signature,
    pngChunk("IHDR", size),
    pngChunk("IDAT", deflateSync(rows)),
    pngChunk("IEND", Buffer.alloc(0)),
  ]);
}

function pngChunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}
