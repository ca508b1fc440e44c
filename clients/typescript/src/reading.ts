/** From JSON to the answers of the contract: unknown fields stay, and what a caller cannot do without must be there. */

import type { Acceptance } from "./answers.js";
import { ReliableEmailError } from "./errors.js";
import { isObject, type Json, judge, parsed, strange } from "./judging.js";
import type { Failure, Reply } from "./wire.js";

type Kind = "string" | "boolean" | "list" | "object";

/** Returns what reads an answer that has certain members, or tells what is wrong. */
export function reader<T>(members: {
  readonly [name: string]: Kind;
}): (result: Reply | Failure) => T | ReliableEmailError {
  return (result) => {
    const judged = judge(result);
    if (judged instanceof ReliableEmailError) {
      return judged;
    }
    const view = parsed(judged);
    return view !== undefined && has(view, members) ? (view as T) : strange(judged);
  };
}

/** Reads an answer without content. */
export function nothing(result: Reply | Failure): null | ReliableEmailError {
  const judged = judge(result);
  return judged instanceof ReliableEmailError ? judged : null;
}

/** Reads the answer to one submission. */
export function acceptance(result: Reply | Failure): Acceptance | ReliableEmailError {
  const judged = judge(result);
  if (judged instanceof ReliableEmailError) {
    return judged;
  }
  return acceptanceOf(parsed(judged), judged.headers.get("idempotent-replayed") === "true") ?? strange(judged);
}

/** Returns an acceptance, undefined where the value is none. */
export function acceptanceOf(value: unknown, replayed: boolean): Acceptance | undefined {
  if (!isObject(value) || !has(value, { id: "string", state: "string" })) {
    return undefined;
  }
  return { ...value, replayed } as unknown as Acceptance;
}

function has(view: Json, members: { readonly [name: string]: Kind }): boolean {
  return Object.entries(members).every(([name, kind]) => {
    const value = view[name];
    if (kind === "list") return Array.isArray(value);
    return kind === "object" ? isObject(value) : typeof value === kind;
  });
}
