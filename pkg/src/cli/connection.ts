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

/** The bus of this name at the hub that is meant. Rejects with why it can't be reached. */
export async function open(name: string, common: Common): Promise<Bus> {
  const { hub, token } = common;
  const { TABMQ_HUB, TABMQ_TOKEN } = process.env;
  const url = hub ?? TABMQ_HUB ?? `ws://127.0.0.1:${PORT}`;
  const proof = token ?? TABMQ_TOKEN;
  const options: ConnectOptions = { hub: { url, ...(proof !== undefined && { token: proof }) } };
  const bus = createBus(name, options);
  try {
    await bus.ready(patience(common));
    return bus;
  } catch (error) {
    await bus.close();
    throw error;
  }
}

/** How long an answer is waited for. */
export const patience = ({ timeout = "10s" }: Common) => ({ timeout: timeout as never });
