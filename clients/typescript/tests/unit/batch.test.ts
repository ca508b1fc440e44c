import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AcceptanceUnknown,
  InvalidMessage,
  ReliableEmailError,
  type Request,
  TooLarge,
  Unauthenticated,
} from "../../src/index.js";
import { hello, LOST, problem, reply, Scripted } from "../scripted.js";

const limits = (more: object = {}) =>
  reply(200, { limits: { batch_messages: 1_000, request_bytes: 1_000_000, ...more } });

const subjects = (request: Request | undefined): string[] =>
  (JSON.parse(request?.body ?? "") as { messages: { subject: string }[] }).messages.map(({ subject }) => subject);

const taken = (request: Request) =>
  reply(202, {
    results: subjects(request).map((id) => ({ status: 202, replayed: false, message: { id, state: "queued" } })),
  });

const refused = (code: string, retryable: boolean, errors: object[] = []) => ({
  status: 422,
  error: { code, title: "No", status: retryable ? 503 : 422, detail: "", retryable, errors },
});

test("a batch is as many requests as its limits ask for", async () => {
  const script = new Scripted([limits({ batch_messages: 2 }), taken]);

  const outcome = await script.client.sendBatch(["a", "b", "c"].map(hello));

  assert.deepEqual(
    outcome.accepted.map(({ id }) => id),
    ["a", "b", "c"],
  );
  assert.deepEqual(script.requests.slice(1).map(subjects), [["a", "b"], ["c"]]);
});

test("no request has more bytes than the service takes, and what is larger by itself is not sent", async () => {
  const size = Buffer.byteLength(hello("é").toString());
  const script = new Scripted([limits({ request_bytes: 2 * size + 20 }), taken]);

  const outcome = await script.client.sendBatch([hello("é"), hello("é"), hello("é".repeat(size)), hello("é")]);

  assert.ok(outcome.results[2] instanceof TooLarge);
  assert.deepEqual(script.requests.slice(1).map(subjects), [["é", "é"], ["é"]]);
  for (const { body } of script.requests.slice(1)) assert.ok(Buffer.byteLength(body ?? "") <= 2 * size + 20);
});

test("only what may succeed is repeated, and each has its own result, in order", async () => {
  const fault = { pointer: "#/messages/1/to", code: "invalid_address", detail: "no" };
  const first = {
    results: [
      { status: 202, replayed: false, message: { id: "a", state: "queued" } },
      refused("invalid_message", false, [fault]),
      refused("unavailable", true),
    ],
  };
  const script = new Scripted([limits(), reply(207, first), taken]);

  const { results } = await script.client.sendBatch(["a", "b", "c"].map(hello));

  assert.deepEqual(script.requests.slice(1).map(subjects), [["a", "b", "c"], ["c"]]);
  assert.ok(results[1] instanceof InvalidMessage);
  assert.equal(results[1].errors[0]?.pointer, "#/to");
  assert.deepEqual(
    results.map((result) => (result instanceof ReliableEmailError ? null : result.id)),
    ["a", null, "c"],
  );
});

test("a lost answer is doubt about each message", async () => {
  const script = new Scripted([limits(), LOST], { retry: { attempts: 2 } });
  const messages = ["a", "b"].map(hello);

  const { errors } = await script.client.sendBatch(messages);

  assert.ok(errors.every((error) => error instanceof AcceptanceUnknown && error.attempts === 2));
  assert.deepEqual(
    errors.map((error) => error.idempotencyKey),
    messages.map((message) => message.idempotencyKey),
  );
});

test("where no limits are had, each message has the error as a value, with its own key", async () => {
  const messages = ["a", "b"].map(hello);

  const outcome = await new Scripted([problem(401, "unauthenticated")]).client.sendBatch(messages);

  assert.ok(outcome.errors.every((error) => error instanceof Unauthenticated && error.code === "unauthenticated"));
  assert.deepEqual(
    outcome.errors.map((error) => error.idempotencyKey),
    messages.map((message) => message.idempotencyKey),
  );
  assert.throws(() => outcome.throwForErrors(), Unauthenticated);
});

test("limits are asked for once", async () => {
  const script = new Scripted([limits(), taken]);

  await script.client.sendBatch([hello("a")]);
  await script.client.sendBatch([hello("b")]);

  assert.deepEqual(
    script.requests.map(({ path }) => path),
    ["/v1", "/v1/messages/batch", "/v1/messages/batch"],
  );
});

test("no message is no request but that for the limits", async () => {
  const script = new Scripted([limits()]);

  assert.deepEqual((await script.client.sendBatch([])).results, []);
});

test("limits are asked for again once something was too large", async () => {
  const script = new Scripted([limits(), problem(413, "too_large"), limits(), taken]);

  const first = await script.client.sendBatch([hello("a")]);
  const second = await script.client.sendBatch([hello("a")]);

  assert.ok(first.results[0] instanceof TooLarge);
  assert.equal(second.accepted.length, 1);
  assert.equal(script.requests.length, 4);
});

test("a batch waits as long as any of its messages is asked to", async () => {
  const waits = problem(429, "rate_limited", {
    results: [refused("rate_limited", true), refused("unavailable", true)],
  });
  const script = new Scripted([limits(), { ...waits, headers: new Map([["retry-after", "7"]]) }, taken]);

  const outcome = await script.client.sendBatch(["a", "b"].map(hello));

  assert.deepEqual(script.pauses, [7.1]);
  assert.equal(outcome.accepted.length, 2);
});
