/** What the service answers, under the names of its contract; every type comes from there. */

import type { components } from "./contract.js";

export type Schemas = components["schemas"];

/** A message that lies on the service's disk. `replayed`: an earlier request under the same key brought it there. */
export type Acceptance = Schemas["Acceptance"] & { readonly replayed: boolean };
/** Everything that is known of a message. */
export type MessageRecord = Schemas["Record"];
/** A message in a list: a record without recipients, attempts and events. */
export type Row = Schemas["MessageRow"];
export type State = MessageRecord["state"];
export type Priority = Acceptance["priority"];
/** What would become of a message. */
export type Validation = Schemas["Rehearsal"];
export type Service = Schemas["Service"];
export type Limits = Service["limits"];
export type Queue = Schemas["QueueView"];
export type Provider = Schemas["Provider"];
/** One fault and its place: one of `pointer`, `parameter` and `header`. */
export type Fault = Schemas["Fault"];

/** What the service says is wrong (RFC 9457). Members that only some problems have are optional. */
export type Problem = Pick<Schemas["Problem"], "code" | "title" | "status" | "detail" | "retryable"> &
  Partial<Schemas["Problem"]> & {
    readonly state?: State;
    readonly message_id?: string | null;
  };
