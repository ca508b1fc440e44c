/** A client whose service answers from a list, and whose time passes only where it is told to. */

import { Client, type ClientOptions, type Failure, type Reply, type Request, message } from "../src/index.js";

/** An answer, or what makes one from the request. */
export type Line = Reply | Failure | ((request: Request) => Reply | Failure);

export const LOST: Failure = { failed: "lost", detail: "gone" };
export const UNSENT: Failure = { failed: "unsent", detail: "refused" };

export class Scripted {
  readonly requests: Request[] = [];
  readonly timeouts: number[] = [];
  readonly pauses: number[] = [];
  readonly client: Client;
  now = 1_000;
  /** How long each exchange takes. */
  exchangeSeconds = 0;

  constructor(lines: readonly Line[], options: ClientOptions = {}) {
    const left = [...lines];
    this.client = new Client({
      transport: async (request, timeoutSeconds) => {
        this.requests.push(request);
        this.timeouts.push(timeoutSeconds);
        this.now += this.exchangeSeconds;
        const line = left.length > 1 ? left.shift() : left[0];
        if (line === undefined) throw new Error("Nothing is left of the script");
        return typeof line === "function" ? line(request) : line;
      },
      clock: {
        now: () => this.now,
        draw: () => 0.5,
        sleep: async (seconds) => {
          this.pauses.push(seconds);
          this.now += seconds;
        },
      },
      ...options,
    });
  }

  body(index: number): { readonly [name: string]: unknown } {
    return JSON.parse(this.requests[index]?.body ?? "") as { readonly [name: string]: unknown };
  }
}

export function reply(status: number, body: unknown, headers: { readonly [name: string]: string } = {}): Reply {
  return {
    status,
    headers: new Map(Object.entries(headers)),
    body: typeof body === "string" ? body : JSON.stringify(body),
  };
}

export function problem(
  status: number,
  code: string,
  more: object = {},
  headers: { readonly [name: string]: string } = {},
): Reply {
  const retryable = status === 429 || status === 503;
  return reply(status, { code, title: "No", status, detail: "not now", retryable, errors: [], ...more }, headers);
}

export function accepted(id = "msg_1", more: object = {}): Reply {
  return reply(202, { id, state: "queued", ...more });
}

export function hello(subject = "Hello") {
  return message({ from: "shop@example.com", to: "ada@example.org", subject, text: "It works." });
}

/** Returns what a call was rejected with. */
export async function rejection(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error("It was not rejected");
}
