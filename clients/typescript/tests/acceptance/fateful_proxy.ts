/** An HTTP proxy on loopback that does to requests what networks and balancers do, one fate drawn for each. */

import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What becomes of a request, and how often: about half of all requests go wrong. */
const WEIGHTS = {
  /** It is answered. */
  pass: 50,
  /** The connection breaks before the service has it. */
  droppedBefore: 7,
  /** The service has it, and the connection breaks before the answer. */
  droppedAfter: 10,
  /** The service has it, and the connection breaks in the middle of the answer. */
  cut: 7,
  /** The service has it, and its answer comes after the client has lost patience. */
  delayed: 2,
  /** The connection breaks, and the service gets the request a while later. */
  late: 6,
  /** The service has it twice, at the same time. */
  twice: 10,
  /** The service has it, and the balancer answers 502. */
  badGateway: 4,
  /** The balancer answers 503, and the service does not have it. */
  noBackend: 4,
};

export type Fate = keyof typeof WEIGHTS;

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export class FatefulProxy {
  /** What it did how often. */
  readonly fates = new Map<Fate, number>();
  readonly #target: string;
  readonly #delaySeconds: number;
  readonly #draw: () => number;
  readonly #server = http.createServer((request, response) => this.#track(this.#serve(request, response)));
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #underWay = new Set<Promise<void>>();

  /** Stands before `target`; `delaySeconds` is longer than the client's patience. */
  constructor(target: string, { seed, delaySeconds }: { readonly seed: number; readonly delaySeconds: number }) {
    this.#target = target;
    this.#delaySeconds = delaySeconds;
    this.#draw = drawn(seed);
  }

  /** Returns its address. */
  async start(): Promise<string> {
    await new Promise<void>((listening) => this.#server.listen(0, "127.0.0.1", 1_024, listening));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Waits until nothing is under way any more: late requests have arrived. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  async stop(): Promise<void> {
    await this.settled();
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
    this.#agent.destroy();
  }

  #track(work: Promise<void>): void {
    this.#underWay.add(work);
    // What went wrong here is one more thing that goes wrong on the way.
    const done = (): boolean => this.#underWay.delete(work);
    work.then(done, done);
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    const fate = this.#fate();
    this.fates.set(fate, (this.fates.get(fate) ?? 0) + 1);
    if (fate === "droppedBefore" || fate === "late") {
      request.socket.destroy();
      if (fate === "late") {
        this.#track(
          sleep(this.#draw() * this.#delaySeconds * 1_000)
            .then(() => this.#forwarded(request, body))
            .then(() => {}),
        );
      }
      return;
    }
    if (fate === "noBackend") {
      notToday(response, 503);
      return;
    }
    const times = fate === "twice" ? 2 : 1;
    const answers = await Promise.all(Array.from({ length: times }, () => this.#forwarded(request, body)));
    const answer = answers[Math.floor(this.#draw() * times)] as Answer;
    await this.#answer(fate, answer, request, response);
  }

  async #answer(
    fate: Fate,
    answer: Answer,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    if (fate === "droppedAfter") {
      request.socket.destroy();
      return;
    }
    if (fate === "badGateway") {
      notToday(response, 502);
      return;
    }
    if (fate === "delayed") {
      await sleep(this.#delaySeconds * 1_000);
    }
    response.writeHead(answer.status, answer.headers);
    if (fate === "cut") {
      response.write(answer.body.subarray(0, answer.body.length / 2), () => request.socket.destroy());
    } else {
      response.end(answer.body);
    }
  }

  #fate(): Fate {
    const fates = Object.entries(WEIGHTS) as [Fate, number][];
    let left = this.#draw() * fates.reduce((sum, [, weight]) => sum + weight, 0);
    return (fates.find(([, weight]) => (left -= weight) < 0) ?? ["pass"])[0] as Fate;
  }

  #forwarded(request: http.IncomingMessage, body: Buffer): Promise<Answer> {
    return new Promise((answered, broken) => {
      const { method, headers } = request;
      const path = request.url ?? "/";
      const forward = http.request(
        this.#target + path,
        { method: method ?? "GET", headers, agent: this.#agent },
        (reply) => {
          bodyOf(reply).then(
            (content) => answered({ status: reply.statusCode ?? 0, headers: reply.headers, body: content }),
            broken,
          );
        },
      );
      forward.on("error", broken).end(body);
    });
  }
}

async function bodyOf(message: http.IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function notToday(response: http.ServerResponse, status: number): void {
  response.writeHead(status, { "Content-Type": "text/html" }).end("<html><body>Not today.</body></html>");
}

/** Returns a generator of numbers in [0, 1) that is the same for the same seed (mulberry32). */
function drawn(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
