import process from "node:process";
import { createBus } from "virtual:main";

import type { Bus, ConnectOptions } from "../types.js";
import { PORT } from "./usage.js";
import type { Values } from "./words.js";

/** What every command takes that speaks to a hub. */
export const COMMON = {
  hub: "text",
  token: "text",
  json: "flag",
  timeout: "text",
  progress: "flag",
  help: "flag",
} as const;

export type Common = Values<typeof COMMON>;

/** The bus of this name at the hub that is meant. */
export function open(name: string, { hub, token }: Common): Bus {
  const { TABMQ_HUB, TABMQ_TOKEN } = process.env;
  const url = hub ?? TABMQ_HUB ?? `ws://127.0.0.1:${PORT}`;
  const proof = token ?? TABMQ_TOKEN;
  const options: ConnectOptions = { hub: { url, ...(proof !== undefined && { token: proof }) } };
  return createBus(name, options);
}

/** How long an answer is waited for. */
export const patience = ({ timeout = "10s" }: Common) => ({ timeout: timeout as never });
