import { decode } from "./codec/decode.js";
import { hex } from "./message.js";
import type { BusEvents, OwnPeer, Peer } from "./types.js";

/** The peers that a node lists, and what has changed since the list before. */
export function comparePeers(
  known_before: readonly Peer[],
  entries: readonly (readonly [Uint8Array, Uint8Array])[],
): { peers: Peer[]; changes: BusEvents["peer"][] } {
  const before = new Map(known_before.map((peer) => [peer.id, peer]));
  const changes: BusEvents["peer"][] = [];
  const others = entries.map(([client, info]) => [hex(client), peerInfo(info)] as const);
  const peers = others.filter(([, { guest }]) => !guest).map(([id, { name, tags }]): Peer => {
    const known = before.get(id);
    before.delete(id);
    if (known && known.name === name && JSON.stringify(known.tags) === JSON.stringify(tags))
      return known;
    const peer = { id, name, tags };
    changes.push({ change: known ? "changed" : "joined", peer });
    return peer;
  });
  for (const peer of before.values()) changes.push({ change: "left", peer });
  return { peers, changes };
}

/** What a peer says of itself; nothing, if it says it in a way that we do not know. */
function peerInfo(bytes: Uint8Array): Pick<OwnPeer, "name" | "tags"> & { guest: boolean } {
  try {
    const { name, tags, guest } = decode(bytes) as Record<string, unknown>;
    // Nothing is converted: a few bytes can name lists in lists that are endless as a text.
    const texts = Object.entries(tags ?? {}).filter(([, tag]) => typeof tag === "string");
    return {
      name: typeof name === "string" ? name : undefined,
      tags: Object.fromEntries(texts) as Record<string, string>,
      guest: guest === true,
    };
  } catch {
    return { name: undefined, tags: {}, guest: false };
  }
}
