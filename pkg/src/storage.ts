import type { RawStorage } from "./raw.js";

/** Keeps one bus in a folder. */
export interface FolderStorage extends RawStorage {
  readonly folder: string;
  /** What the system said when it last refused something. */
  readonly cause: unknown;
  /** Resolves once nothing is open. */
  idle(): Promise<void>;
}

/** Makes the storage of a bus and user; `path` is what the user gave. */
export type Folders = (path: string, bus: string, user: string | undefined) => FolderStorage;

let folders: Folders | undefined;

/** An entry of the package whose runtime has files puts them here. */
export function setFolders(made: Folders): void {
  folders = made;
}

export function hasFolders(): boolean {
  return folders !== undefined;
}

/** The storage that options ask for, as the wasm module takes it. */
export function storageOf(
  choice: string,
  bus: string,
  user: string | undefined,
): FolderStorage | undefined {
  return choice === "auto" || choice === "memory" ? undefined : folders?.(choice, bus, user);
}
