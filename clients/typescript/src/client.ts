/** The client: every call of the interface. */

import type {
  Acceptance,
  Limits,
  MessageRecord,
  Priority,
  Provider,
  Queue,
  Row,
  Schemas,
  Service,
  State,
  Validation,
} from "./answers.js";
import { BatchOutcome, batchRequest, batchResults, type Body, chunks, type Result } from "./batch.js";
import { systemClock } from "./clock.js";
import { Endpoint } from "./endpoint.js";
import { NotFound, ReliableEmailError, StillWaiting, TooLarge } from "./errors.js";
import { Gate } from "./gate.js";
import { type Instant, instantText, type Message } from "./message.js";
import { acceptance, nothing, reader } from "./reading.js";
import { Patience, type Retry } from "./retrying.js";
import { type Means, settle } from "./settling.js";
import { fetchTransport } from "./transport.js";
import type { Clock, Failure, Reply, Request, Transport } from "./wire.js";

export interface ClientOptions {
  /** Where the service is; without it RELIABLE_EMAIL_URL, or else this machine. */
  readonly url?: string | undefined;
  /** The key that the service asks for; without it RELIABLE_EMAIL_API_KEY. */
  readonly apiKey?: string | undefined;
  /** How long a call is repeated. */
  readonly retry?: Partial<Retry> | undefined;
  /** How many requests are under way at a time; more wait. */
  readonly connections?: number | undefined;
  /** For tests. */
  readonly transport?: Transport | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
}

/** What is changed of a message that waits; what is left out stays as it is. */
export interface Changes {
  /** Null sends it now. */
  readonly send_at?: Instant | null;
  /** Null never lets it expire. */
  readonly expires_at?: Instant | null;
  readonly priority?: Priority;
  readonly pool?: string;
}

const MESSAGES = "/v1/messages";
const DEFAULT_CONNECTIONS = 16;
const FIRST_LOOK_SECONDS = 0.05;
const LOOK_GROWTH = 1.5;
const SLOWEST_LOOK_SECONDS = 5;

const record = reader<MessageRecord>({ id: "string", state: "string", final: "boolean" });
const validation = reader<Validation>({ valid: "boolean", errors: "list" });
const service = reader<Service>({ limits: "object" });
const queue = reader<Queue>({ totals: "object", pools: "list" });
const providers = reader<Schemas["ProviderList"]>({ data: "list" });
const page = reader<Schemas["MessageList"]>({ data: "list" });

/**
 * Speaks to one service. Every call rejects with a ReliableEmailError where it does not bring what it is made for;
 * the constructor throws a TypeError or a RangeError for options that cannot be meant.
 */
export class Client {
  readonly #endpoint: Endpoint;
  readonly #means: Means;
  /** What is learnt of the service's limits is kept for the next batch. */
  #limits: Limits | undefined;

  constructor(options: ClientOptions = {}) {
    this.#endpoint = new Endpoint(options.url, options.apiKey, process.env);
    this.#means = {
      transport: options.transport ?? fetchTransport(this.#endpoint),
      gate: new Gate(options.connections ?? DEFAULT_CONNECTIONS),
      clock: options.clock ?? systemClock,
      patience: new Patience(options.retry),
    };
  }

  /** The address of the service, without `/v1`. */
  get url(): string {
    return this.#endpoint.url;
  }

  /**
   * Submits a message; once this resolves, the service owes its delivery. Whatever happens on the way, the message is
   * accepted once or not at all: every attempt carries the message's key. Rejects with AcceptanceUnknown where time
   * ran out before that was settled.
   */
  async send(message: Message): Promise<Acceptance> {
    const request: Request = { method: "POST", path: MESSAGES, body: message.toString() };
    return had(keyed(await this.#settleOne(request, acceptance, true), message));
  }

  /**
   * Submits many messages, in as many requests as they need, one after the other, and tells what became of each.
   * It rejects with nothing that the service or the network does: errors are values in the outcome, in the order of
   * the messages. The deadline of `retry` holds for each request.
   */
  async sendBatch(messages: Iterable<Message>): Promise<BatchOutcome> {
    const given = [...messages];
    const results = new Map<number, Result>();
    const limits = await this.#knownLimits();
    if (limits instanceof ReliableEmailError) {
      return new BatchOutcome(given.map((message) => keyed(copyOf(limits), message)));
    }
    for (const chunk of chunks(bodies(given), limits)) {
      for (const [index, result] of (await this.#submit(chunk, limits)).entries()) {
        const place = chunk[index]?.place;
        if (place !== undefined) results.set(place, result);
      }
    }
    return new BatchOutcome(given.map((message, place) => keyed(results.get(place) as Result, message)));
  }

  /** Tells what would become of a message, and sends nothing. */
  async validate(message: Message): Promise<Validation> {
    return this.#ask({ method: "POST", path: `${MESSAGES}/validate`, body: message.toString() }, validation);
  }

  /** Returns everything that is known of a message. */
  async get(id: string): Promise<MessageRecord> {
    return this.#ask({ method: "GET", path: pathOf(id) }, record);
  }

  /** Returns the record once its state is final. Rejects with StillWaiting after `timeoutSeconds`. */
  async wait(id: string, { timeoutSeconds = 60 }: { readonly timeoutSeconds?: number } = {}): Promise<MessageRecord> {
    const { clock } = this.#means;
    const ends = clock.now() + timeoutSeconds;
    for (let pause = FIRST_LOOK_SECONDS; ; pause = Math.min(pause * LOOK_GROWTH, SLOWEST_LOOK_SECONDS)) {
      const found = await this.get(id);
      if (found.final) {
        return found;
      }
      const left = ends - clock.now();
      if (left <= 0) {
        throw new StillWaiting(`${id} is still ${found.state} after ${timeoutSeconds} seconds`, found);
      }
      await clock.sleep(Math.min(pause, left));
    }
  }

  /**
   * Sends nothing more of a message and returns its record. Where an attempt is under way its state is still
   * `sending`, and no other attempt follows. Rejects with Conflict for a message that has ended.
   */
  async cancel(id: string): Promise<MessageRecord> {
    return this.#ask({ method: "POST", path: `${pathOf(id)}/cancel` }, record);
  }

  /** Changes a message that waits. */
  async change(id: string, changes: Changes): Promise<MessageRecord> {
    const patch = {
      ...changes,
      ...(changes.send_at instanceof Date && { send_at: instantText(changes.send_at) }),
      ...(changes.expires_at instanceof Date && { expires_at: instantText(changes.expires_at) }),
    };
    return this.#ask({ method: "PATCH", path: pathOf(id), body: JSON.stringify(patch) }, record);
  }

  /** Sends a message that waits at another time, with null now. */
  async reschedule(id: string, sendAt: Instant | null): Promise<MessageRecord> {
    return this.change(id, { send_at: sendAt });
  }

  /** Tries the failed and expired recipients of a message again. */
  async requeue(id: string): Promise<MessageRecord> {
    return this.#ask({ method: "POST", path: `${pathOf(id)}/requeue` }, record);
  }

  /** Drops a message that has ended. Rejects with Conflict for one that has not. */
  async delete(id: string): Promise<void> {
    try {
      await this.#ask({ method: "DELETE", path: pathOf(id) }, nothing);
    } catch (error) {
      // In doubt, an attempt whose answer was lost has dropped it.
      if (!(error instanceof NotFound && error.inDoubt)) throw error;
    }
  }

  /**
   * Yields the dead letters, the newest first: those in `state` (`failed`, `partly_sent`), without it all.
   * Pages are read as they are needed.
   */
  async *messages({
    state = [],
    pageSize = 50,
  }: { readonly state?: State | readonly State[]; readonly pageSize?: number } = {}): AsyncGenerator<Row, void, void> {
    const states = typeof state === "string" ? [state] : state;
    let cursor: string | null | undefined;
    do {
      const query = new URLSearchParams(states.map((one): [string, string] => ["state", one]));
      query.set("limit", String(pageSize));
      if (cursor) query.set("cursor", cursor);
      const found = await this.#ask({ method: "GET", path: `${MESSAGES}?${query.toString()}` }, page);
      yield* found.data;
      cursor = found.next_cursor;
    } while (cursor);
  }

  /** Tells what the service is, and its limits. */
  async service(): Promise<Service> {
    return this.#ask({ method: "GET", path: "/v1" }, service);
  }

  /** Tells how much waits where, and how fast it moves. */
  async queue(): Promise<Queue> {
    return this.#ask({ method: "GET", path: "/v1/queue" }, queue);
  }

  /** Tells how the providers are, as the senders see them. */
  async providers(): Promise<readonly Provider[]> {
    return (await this.#ask({ method: "GET", path: "/v1/providers" }, providers)).data;
  }

  async #submit(chunk: readonly Body[], limits: Limits): Promise<readonly Result[]> {
    const [first] = chunk;
    if (chunk.length === 1 && first !== undefined && first.bytes > limits.request_bytes) {
      // Many a server breaks such a request off, which looks as if its answer was lost.
      return [new TooLarge(`The message has more than the ${limits.request_bytes} bytes that a request may have`)];
    }
    const found = await settle<Acceptance>(this.#means, {
      count: chunk.length,
      submits: true,
      ask: (wanted) => batchRequest(wanted.map((index) => chunk[index] as Body)),
      answers: batchResults,
    });
    if (found.some((result) => result instanceof TooLarge)) {
      this.#limits = undefined; // they may have changed: the next batch asks again
    }
    return found;
  }

  async #knownLimits(): Promise<Limits | ReliableEmailError> {
    try {
      this.#limits ??= (await this.service()).limits;
      return this.#limits;
    } catch (error) {
      if (error instanceof ReliableEmailError) return error;
      throw error;
    }
  }

  async #ask<T>(request: Request, reads: (result: Reply | Failure) => T | ReliableEmailError): Promise<T> {
    return had(await this.#settleOne(request, reads, false));
  }

  async #settleOne<T>(
    request: Request,
    reads: (result: Reply | Failure) => T | ReliableEmailError,
    submits: boolean,
  ): Promise<T | ReliableEmailError> {
    const [result] = await settle<T>(this.#means, {
      count: 1,
      submits,
      ask: () => request,
      answers: (answer) => [reads(answer)],
    });
    return result as T | ReliableEmailError;
  }
}

function* bodies(messages: readonly Message[]): Generator<Body> {
  for (const [place, message] of messages.entries()) {
    const json = message.toString();
    yield { place, json, bytes: Buffer.byteLength(json) };
  }
}

function had<T>(result: T | ReliableEmailError): T {
  if (result instanceof ReliableEmailError) {
    throw result;
  }
  return result;
}

function keyed<T>(result: T | ReliableEmailError, message: Message): T | ReliableEmailError {
  if (result instanceof ReliableEmailError) {
    result.idempotencyKey = message.idempotencyKey;
  }
  return result;
}

/** Returns the same error once more, for another message. */
function copyOf(error: ReliableEmailError): ReliableEmailError {
  return Object.assign(Object.create(Object.getPrototypeOf(error) as object) as ReliableEmailError, error, {
    message: error.message,
    cause: error.cause,
    stack: error.stack,
  });
}

function pathOf(id: string): string {
  return `${MESSAGES}/${encodeURIComponent(id)}`;
}
