/** Sends mail through a reliable-email service. */

export type {
  Acceptance,
  Fault,
  Limits,
  MessageRecord,
  Priority,
  Problem,
  Provider,
  Queue,
  Row,
  Schemas,
  Service,
  State,
  Validation,
} from "./answers.js";
export { BatchOutcome, type Result } from "./batch.js";
export { type Changes, Client, type ClientOptions } from "./client.js";
export {
  AcceptanceUnknown,
  AnswerLost,
  CallerError,
  Conflict,
  Forbidden,
  InvalidMessage,
  InvalidRequest,
  KeyReused,
  NotFound,
  QueueFull,
  QuotaExceeded,
  RateLimited,
  ReliableEmailError,
  ServiceError,
  StillWaiting,
  TemporaryError,
  TooLarge,
  Unauthenticated,
  Unavailable,
  Unreachable,
  Untrusted,
} from "./errors.js";
export { type Attachment, type Instant, message, type Message, type MessageFields } from "./message.js";
export type { Retry } from "./retrying.js";
export type { Clock, Failure, Reply, Request, Transport } from "./wire.js";
export { VERSION } from "./version.js";
