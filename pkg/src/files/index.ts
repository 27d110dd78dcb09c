import type { FolderStorage } from "../storage.js";
import { FileStore } from "./file_store.js";
import { folderOf } from "./names.js";
import { Session } from "./session.js";

/** What this process has open, and how to close it. */
const open = new Map<string, () => Promise<void>>();

/** Keeps a bus in files below a path. */
export function inFolder(path: string, bus: string, user: string | undefined): FolderStorage {
  return new Folder(folderOf(path, bus, user));
}

class Folder implements FolderStorage {
  readonly folder: string;
  cause: unknown;
  #closing: Promise<void> | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  open(answer: (batch: Uint8Array) => void) {
    const note = (error: unknown) => {
      this.cause = (error as { cause?: unknown }).cause ?? error;
    };
    const store = new FileStore(this.folder);
    store.note = note;
    // A module that trapped may have left one open.
    const before = open.get(this.folder)?.() ?? Promise.resolve();
    const session = new Session(store, before, answer, note);
    let closing: Promise<void> | undefined;
    const close = () => {
      const end = () => {
        if (open.get(this.folder) === close) open.delete(this.folder);
      };
      this.#closing = closing ??= session.close().then(end);
      return closing;
    };
    open.set(this.folder, close);
    return { perform: (batch: Uint8Array) => session.perform(batch), close: () => void close() };
  }

  async idle(): Promise<void> {
    await this.#closing;
  }
}
