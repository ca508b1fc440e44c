/** Many messages: split by what one request may hold, and what became of each. */

import type { Acceptance, Limits, Problem } from "./answers.js";
import { ReliableEmailError } from "./errors.js";
import { asProblem, errorOf, isObject, judge, parsed, retryAfterSeconds, strange } from "./judging.js";
import { acceptanceOf } from "./reading.js";
import type { Failure, Reply, Request } from "./wire.js";

/** What became of one message of a batch. */
export type Result = Acceptance | ReliableEmailError;

/** What became of each message, in the order in which they were given: an Acceptance, or an error as a value. */
export class BatchOutcome implements Iterable<Result> {
  readonly results: readonly Result[];

  constructor(results: Iterable<Result>) {
    this.results = [...results];
  }

  [Symbol.iterator](): Iterator<Result> {
    return this.results[Symbol.iterator]();
  }

  get accepted(): Acceptance[] {
    return this.results.filter((result): result is Acceptance => !(result instanceof ReliableEmailError));
  }

  get errors(): ReliableEmailError[] {
    return this.results.filter((result) => result instanceof ReliableEmailError);
  }

  /** Throws the first error, if there is one. */
  throwForErrors(): void {
    for (const error of this.errors) throw error;
  }
}

/** A message as JSON; `place` is its index in the whole batch, `bytes` its length. */
export interface Body {
  readonly place: number;
  readonly json: string;
  readonly bytes: number;
}

const OPENING = '{"messages":[';
const CLOSING = "]}";

/** Yields as many messages as one request may hold, in their order. One that is too large stands alone. */
export function* chunks(bodies: Iterable<Body>, limits: Limits): Generator<Body[]> {
  let chunk: Body[] = [];
  let size = 0;
  for (const body of bodies) {
    const more = body.bytes + 1;
    if (chunk.length > 0 && (chunk.length >= limits.batch_messages || size + more > limits.request_bytes)) {
      yield chunk;
      chunk = [];
    }
    if (chunk.length === 0) {
      size = OPENING.length + CLOSING.length;
    }
    chunk.push(body);
    size += more;
  }
  if (chunk.length > 0) {
    yield chunk;
  }
}

/** Returns the request that submits these messages. */
export function batchRequest(bodies: readonly Body[]): Request {
  const body = OPENING + bodies.map(({ json }) => json).join(",") + CLOSING;
  return { method: "POST", path: "/v1/messages/batch", body };
}

/** Returns what became of each of `count` messages; what concerns the request as a whole concerns each. */
export function batchResults(result: Reply | Failure, count: number): Result[] {
  const judged = judge(result);
  if (!(judged instanceof ReliableEmailError)) {
    return each(parsed(judged)?.["results"], count) ?? Array.from({ length: count }, () => strange(judged));
  }
  const inside = (judged.problem as { results?: unknown } | undefined)?.results;
  const wait = "failed" in result ? undefined : retryAfterSeconds(result);
  return each(inside, count, wait) ?? Array.from({ length: count }, () => judge(result) as ReliableEmailError);
}

/** Returns the results of all items; undefined where they are not what the interface promises. */
function each(views: unknown, count: number, wait?: number): Result[] | undefined {
  if (!Array.isArray(views) || views.length !== count) {
    return undefined;
  }
  const results = views.map((view) => resultOf(view, wait));
  return results.every((result) => result !== undefined) ? results : undefined;
}

function resultOf(view: unknown, wait: number | undefined): Result | undefined {
  if (!isObject(view)) {
    return undefined;
  }
  const problem = asProblem(view["error"]);
  if (problem !== undefined) {
    return errorOf(ofOne(problem), wait);
  }
  return acceptanceOf(view["message"], view["replayed"] === true);
}

/** Returns a problem whose faults point into their message: its place in a request is not its place in the batch. */
function ofOne(problem: Problem): Problem {
  const errors = (problem.errors ?? []).map((fault) =>
    fault.pointer === undefined ? fault : { ...fault, pointer: fault.pointer.replace(/^#\/messages\/\d+/, "#") },
  );
  return { ...problem, errors };
}
