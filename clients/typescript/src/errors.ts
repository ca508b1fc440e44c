/**
 * What can go wrong, as one tree: the branch says whose fault it is and so what helps.
 *
 *     ReliableEmailError
 *     ├── CallerError            the same call will fail again: mend it
 *     │   ├── InvalidRequest       every fault, each with its place
 *     │   │   ├── InvalidMessage
 *     │   │   ├── TooLarge
 *     │   │   └── KeyReused          the idempotency key belongs to another message
 *     │   ├── Unauthenticated
 *     │   ├── Forbidden
 *     │   ├── NotFound
 *     │   ├── Conflict             the message's state does not allow it
 *     │   └── Untrusted            the service's certificate does not convince
 *     ├── TemporaryError         nobody's fault: the same call may succeed later, and was repeated while allowed
 *     │   ├── RateLimited
 *     │   │   └── QuotaExceeded
 *     │   ├── QueueFull
 *     │   ├── Unavailable          the service answered that it cannot do this now; nothing was done
 *     │   ├── Unreachable          nobody answered; nothing was sent
 *     │   ├── AnswerLost           the request may have had its effect
 *     │   │   └── AcceptanceUnknown  the message may be accepted: send the same message again, not a new one
 *     │   └── StillWaiting         `wait` gave up
 *     └── ServiceError           a mistake of the service, or something else answers in its place
 */

import type { Fault, MessageRecord, Problem, State } from "./answers.js";

export interface ErrorDetails {
  readonly problem?: Problem | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

/** A call did not bring what it was made for. */
export class ReliableEmailError extends Error {
  /** What the service said; undefined where it did not answer. */
  readonly problem: Problem | undefined;
  /** What the service asked to wait. */
  readonly retryAfterSeconds: number | undefined;
  /** How often the service was asked. */
  attempts = 0;
  /** Whether an answer was lost on the way, so that the call may have had its effect all the same. */
  inDoubt = false;
  /** The key of the message that was to be sent. */
  idempotencyKey: string | undefined;

  constructor(detail: string, { problem, retryAfterSeconds, cause }: ErrorDetails = {}) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.problem = problem;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** The code of the problem; an open set. */
  get code(): string | undefined {
    return this.problem?.code;
  }

  /** The name of the request in the service's log. */
  get requestId(): string | undefined {
    return this.problem?.request_id;
  }
}

/** The same call will fail again. */
export class CallerError extends ReliableEmailError {}

/** The request is not one that the service takes; nothing was done. */
export class InvalidRequest extends CallerError {
  /** Every fault with its place. */
  get errors(): readonly Fault[] {
    return this.problem?.errors ?? [];
  }
}

/** The message is not valid; nothing was accepted. Its key may be used for the mended one. */
export class InvalidMessage extends InvalidRequest {}

/** The request, a text, the attachments or the metadata have too many bytes. */
export class TooLarge extends InvalidRequest {}

/** Another message was accepted under this idempotency key. */
export class KeyReused extends InvalidRequest {}

/** The service asks for a key, or does not know this one. */
export class Unauthenticated extends CallerError {}

/** The key does not allow this. */
export class Forbidden extends CallerError {}

/** There is no such message: it never was, its retention has ended, or it is another's. */
export class NotFound extends CallerError {}

/** The message's state does not allow this. */
export class Conflict extends CallerError {
  /** The state that stands in the way. */
  get state(): State | undefined {
    return this.problem?.state;
  }
}

/** The other side could not prove that it is the service; nothing was sent. */
export class Untrusted extends CallerError {}

/** The same call may succeed later. It was repeated for as long as the client's `retry` allows. */
export class TemporaryError extends ReliableEmailError {}

/** Requests come faster than they are taken. */
export class RateLimited extends TemporaryError {}

/** More messages were submitted than this key may submit in its period. */
export class QuotaExceeded extends RateLimited {}

/** So many messages wait that no more of this priority are taken. */
export class QueueFull extends TemporaryError {}

/** The service cannot do this now; nothing was done. */
export class Unavailable extends TemporaryError {}

/** Nobody answers at the address; nothing was sent. */
export class Unreachable extends TemporaryError {}

/** A request was sent and its answer did not arrive: it may have had its effect. */
export class AnswerLost extends TemporaryError {}

/**
 * The message may have been accepted. Sending the same message again settles it, within the service's
 * `idempotency_hours`; so does asking for `messageId` where it is known.
 */
export class AcceptanceUnknown extends AnswerLost {
  /** The id that the message has if it was accepted, where the service could say it. */
  get messageId(): string | undefined {
    return this.problem?.message_id ?? undefined;
  }
}

/** The message has not come to a final state in time. */
export class StillWaiting extends TemporaryError {
  /** What was last seen of it. */
  readonly record: MessageRecord;

  constructor(detail: string, record: MessageRecord) {
    super(detail);
    this.record = record;
  }
}

/** The service made a mistake, or something else answers in its place; whether it had an effect is not known. */
export class ServiceError extends ReliableEmailError {}

export type ErrorKind = new (detail: string, details?: ErrorDetails) => ReliableEmailError;

/** Of codes that say more than their status. */
export const BY_CODE: ReadonlyMap<string, ErrorKind> = new Map<string, ErrorKind>([
  ["invalid_message", InvalidMessage],
  ["idempotency_key_reused", KeyReused],
  ["quota_exceeded", QuotaExceeded],
  ["queue_full", QueueFull],
  ["acceptance_unknown", AcceptanceUnknown],
]);

export const BY_STATUS: ReadonlyMap<number, ErrorKind> = new Map<number, ErrorKind>([
  [401, Unauthenticated],
  [403, Forbidden],
  [404, NotFound],
  [408, Unavailable],
  [409, Conflict],
  [413, TooLarge],
  [429, RateLimited],
  [502, AnswerLost],
  [503, Unavailable],
  [504, AnswerLost],
]);
