/** What is sent. No I/O. */

import type { Schemas } from "./answers.js";

/** A file that travels with a message. With a `content_id` it is shown where the HTML refers to it as `cid:`. */
export type Attachment = Omit<Schemas["Attachment"], "content"> & { readonly content: Uint8Array };

/** An instant: a Date, or RFC 3339 text with an offset. */
export type Instant = Date | string;

/**
 * The fields of a message, as the contract names them; but files are bytes, and instants may be Dates.
 * Of `send_at` and `delay_seconds`, and of `expires_at` and `ttl_seconds`, one may be given.
 */
export type MessageFields = Omit<Schemas["Message"], "attachments" | "send_at" | "expires_at"> & {
  readonly attachments?: readonly Attachment[] | null;
  readonly send_at?: Instant | null;
  readonly expires_at?: Instant | null;
};

/** One email, made by `message`: its bytes and its key are made once, and every attempt to send it is the same. */
export class Message {
  /** The key that it is sent under, its own or the one that was made for it. */
  readonly idempotencyKey: string;
  /** The message as JSON. */
  readonly #json: string;

  constructor(fields: MessageFields) {
    this.idempotencyKey = fields.idempotency_key ?? crypto.randomUUID();
    this.#json = JSON.stringify({ ...written(fields), idempotency_key: this.idempotencyKey }, noStrangeNumber);
    Object.freeze(this);
  }

  /** The message as the service takes it. */
  toJSON(): Schemas["Message"] {
    return JSON.parse(this.#json) as Schemas["Message"];
  }

  /** The same as text. */
  toString(): string {
    return this.#json;
  }
}

/**
 * Returns a message, which is *one* mail: sending it again, in the same process or under the same key from another
 * one, gives the first answer. The service judges what stands in it, and names every fault at once.
 * Throws a RangeError for a Date that is none and for a number that JSON cannot hold.
 */
export function message(fields: MessageFields): Message {
  return new Message(fields);
}

function written(fields: MessageFields): Schemas["Message"] {
  const { attachments, send_at, expires_at, ...rest } = fields;
  return {
    ...rest,
    ...(send_at != null && { send_at: instantText(send_at) }),
    ...(expires_at != null && { expires_at: instantText(expires_at) }),
    ...(attachments != null && { attachments: attachments.map(attachmentJson) }),
  };
}

function attachmentJson({ content, ...rest }: Attachment): Schemas["Attachment"] {
  if (!(content instanceof Uint8Array)) {
    throw new TypeError("The content of an attachment is bytes: a Uint8Array, such as a Buffer");
  }
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  return { ...rest, content: bytes.toString("base64") };
}

/** Returns an instant as the service takes it. Throws a RangeError for a Date that is none. */
export function instantText(instant: Instant): string {
  return instant instanceof Date ? instant.toISOString() : instant;
}

/** JSON would write null for such a number, and null means absent: the mail would leave at once. */
function noStrangeNumber(name: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new RangeError(`${name} cannot be ${value}`);
  }
  return value;
}
