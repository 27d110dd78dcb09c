import type { Peer } from "tabmq";

// A peer is 32 hexadecimal digits. Every tab derives the same name and color from them.
const BIRDS = [
  "Avocet", "Bittern", "Bunting", "Crane", "Curlew", "Dipper", "Dunlin", "Egret",
  "Falcon", "Finch", "Gannet", "Grebe", "Heron", "Hoopoe", "Ibis", "Jackdaw",
  "Kestrel", "Kite", "Lapwing", "Linnet", "Magpie", "Merlin", "Osprey", "Ouzel",
  "Pipit", "Plover", "Raven", "Robin", "Snipe", "Swift", "Tern", "Wren",
] as const;

/** So many `--tab-N` there are in the style sheet, counted from 0. */
export const COLORS = 8;

function byteOf(id: string, index: number): number {
  return Number.parseInt(id.slice(index * 2, index * 2 + 2), 16) || 0;
}

export function nameOf(id: string): string {
  return `${BIRDS[byteOf(id, 0) % BIRDS.length]} ${id.slice(2, 4)}`;
}

/** The number of the color a tab has unless another has it. */
export function colorOf(id: string): number {
  return byteOf(id, 2) % COLORS;
}

/**
 * Which tab each id is of. A tab with two homes is listed at both, with one tag; on this device
 * first, so the id that it has here stands for it.
 */
export function tabsById(peers: readonly Peer[]): Map<string, string> {
  const by_page = new Map<string, string>();
  const by_id = new Map<string, string>();
  for (const { id, tags } of peers) {
    const page = tags["page"] ?? id;
    const tab = by_page.get(page) ?? id;
    by_page.set(page, tab);
    by_id.set(id, tab);
  }
  return by_id;
}

/** The name of a color in the style sheet. */
export function colorName(color: number): string {
  return `--tab-${color}`;
}
