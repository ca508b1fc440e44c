/** From what came back to a good answer, or to the error that says whose fault it is. */

import type { Fault, Problem } from "./answers.js";
import {
  AcceptanceUnknown,
  AnswerLost,
  BY_CODE,
  BY_STATUS,
  InvalidRequest,
  type ErrorKind,
  ReliableEmailError,
  ServiceError,
  TemporaryError,
  Unreachable,
  Untrusted,
} from "./errors.js";
import type { Failure, Reply } from "./wire.js";

/** JSON that was read, of which nothing is known yet. */
export type Json = { readonly [name: string]: unknown };

const OF_FAILURES = { unsent: Unreachable, lost: AnswerLost, untrusted: Untrusted } as const;
/** The one form of a date that HTTP still writes (RFC 9110, section 5.6.7); `Date.parse` by itself reads anything. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** Returns the answer where it is a good one, else what is wrong. */
export function judge(result: Reply | Failure): Reply | ReliableEmailError {
  if ("failed" in result) {
    return new OF_FAILURES[result.failed](result.detail, { cause: result.cause });
  }
  return result.status >= 200 && result.status < 300 ? result : refusal(result);
}

function refusal(reply: Reply): ReliableEmailError {
  const problem = asProblem(parsed(reply));
  return problem === undefined ? foreign(reply) : errorOf(problem, retryAfterSeconds(reply));
}

/** Returns the error of a refusal that no service of ours made: a proxy's, or another program's. */
function foreign(reply: Reply): ReliableEmailError {
  if (reply.status >= 300 && reply.status < 400) {
    const where = reply.headers.get("location") ?? "elsewhere";
    return new ServiceError(`The address leads to ${where}; a redirection is not followed, for the key would be too`);
  }
  const kind = BY_STATUS.get(reply.status) ?? (reply.status < 500 ? InvalidRequest : ServiceError);
  const detail = `Something between answered with status ${reply.status}, and not as this service does`;
  return new kind(detail, { retryAfterSeconds: retryAfterSeconds(reply) });
}

/** Returns the error that a problem is. */
export function errorOf(problem: Problem, retryAfter?: number): ReliableEmailError {
  return new (kindOf(problem))(words(problem), { problem, retryAfterSeconds: retryAfter });
}

/** The service's own word on what may be repeated stands above what the number usually means. */
function kindOf(problem: Problem): ErrorKind {
  const kind = BY_CODE.get(problem.code) ?? BY_STATUS.get(problem.status);
  if (kind !== undefined && problem.retryable === isTemporary(kind)) {
    return kind;
  }
  if (problem.retryable) {
    return TemporaryError;
  }
  return problem.status < 500 ? InvalidRequest : ServiceError;
}

function isTemporary(kind: ErrorKind): boolean {
  return kind === TemporaryError || kind.prototype instanceof TemporaryError;
}

function words(problem: Problem): string {
  const head = [problem.title, problem.detail].filter(Boolean).join(": ");
  const faults = (problem.errors ?? []).map((fault) => `\n  ${placeOf(fault)}: ${fault.detail}`);
  return head + faults.join("");
}

function placeOf(fault: Fault): string {
  return fault.pointer ?? fault.parameter ?? fault.header ?? "#";
}

/** Returns whether a request that ended so may have had its effect all the same. */
export function isInDoubt(error: ReliableEmailError): boolean {
  return error instanceof AnswerLost || error instanceof ServiceError;
}

/** Returns a submission's doubt as an error of its own; `error` is what the last attempt ended with. */
export function unknown(error: ReliableEmailError, lastKnown: Problem | undefined): AcceptanceUnknown {
  if (error instanceof AcceptanceUnknown) {
    return error;
  }
  return new AcceptanceUnknown(
    `It is not known whether the message was accepted; the last attempt ended with: ${error.message}`,
    { problem: lastKnown ?? error.problem, retryAfterSeconds: error.retryAfterSeconds, cause: error },
  );
}

/** Returns the JSON object of an answer, undefined where it is none. */
export function parsed(reply: Reply): Json | undefined {
  try {
    const value: unknown = JSON.parse(reply.body);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns a problem where a value is one. */
export function asProblem(value: unknown): Problem | undefined {
  if (!isObject(value) || typeof value["code"] !== "string") {
    return undefined;
  }
  const errors = value["errors"];
  const read = {
    ...value,
    title: textOf(value["title"]),
    detail: textOf(value["detail"]),
    status: typeof value["status"] === "number" ? value["status"] : 0,
    retryable: value["retryable"] === true,
    errors: Array.isArray(errors) ? errors.filter(isObject) : [],
  };
  return read as unknown as Problem;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/**
 * Returns what `Retry-After` asks to wait (RFC 9110, section 10.2.3), undefined where it says nothing sensible.
 * A date is counted from the answer's own `Date`, so that no two clocks are compared.
 */
export function retryAfterSeconds(reply: Reply): number | undefined {
  const value = reply.headers.get("retry-after")?.trim() ?? "";
  if (/^\d+$/.test(value)) {
    return Number(value);
  }
  const since = reply.headers.get("date")?.trim() ?? "";
  if (!HTTP_DATE.test(value) || !HTTP_DATE.test(since)) {
    return undefined;
  }
  const seconds = (Date.parse(value) - Date.parse(since)) / 1_000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

/** Returns the error of an answer that this service would not give. */
export function strange(reply: Reply): ServiceError {
  return new ServiceError(`The answer, with status ${reply.status}, is not one of this service`);
}
