import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AcceptanceUnknown,
  AnswerLost,
  Client,
  Conflict,
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
} from "../../src/index.js";
import { accepted, hello, LOST, problem, rejection, reply, Scripted, UNSENT } from "../scripted.js";

const record = (final: boolean, state: string) => reply(200, { id: "msg_1", state, final });

test("every attempt is the same, key and all", async () => {
  const script = new Scripted([LOST, problem(503, "unavailable"), accepted()]);
  const message = hello();

  const acceptance = await script.client.send(message);

  assert.equal(acceptance.id, "msg_1");
  assert.equal(new Set(script.requests.map(({ body }) => body)).size, 1);
  assert.equal(script.body(0)["idempotency_key"], message.idempotencyKey);
});

test("a message that was there already is replayed", async () => {
  const headers = { "idempotent-replayed": "true" };
  const script = new Scripted([reply(202, { id: "msg_1", state: "queued" }, headers)]);

  assert.equal((await script.client.send(hello())).replayed, true);
});

test("what the service asks to wait is waited, and the draw on top of it", async () => {
  const script = new Scripted([problem(429, "rate_limited", {}, { "retry-after": "7" }), accepted()]);

  await script.client.send(hello());

  assert.deepEqual(script.pauses, [7.1]);
});

test("a date to wait for is counted from the answer's own date", async () => {
  const headers = { "retry-after": "Tue, 01 Dec 2026 09:00:05 GMT", date: "Tue, 01 Dec 2026 09:00:00 GMT" };
  const script = new Scripted([problem(503, "unavailable", {}, headers), accepted()]);

  await script.client.send(hello());

  assert.deepEqual(script.pauses, [5.1]);
});

for (const nonsense of ["-5", "soon", "1e3", "May 5"]) {
  test(`Retry-After: ${nonsense} says nothing`, async () => {
    const headers = { "retry-after": nonsense, date: "Tue, 01 Dec 1970 09:00:00 GMT" };
    const script = new Scripted([problem(503, "unavailable", {}, headers), accepted()]);

    await script.client.send(hello());

    assert.deepEqual(script.pauses, [0.1]);
  });
}

test("a date that is past asks for no wait", async () => {
  const headers = { "retry-after": "Tue, 01 Dec 2026 09:00:00 GMT", date: "Tue, 01 Dec 2026 09:00:05 GMT" };
  const script = new Scripted([problem(503, "unavailable", {}, headers), accepted()]);

  await script.client.send(hello());

  assert.deepEqual(script.pauses, [0.1]);
});

test("a wait behind the deadline ends the call at once, and the error tells it", async () => {
  const script = new Scripted([problem(429, "rate_limited", {}, { "retry-after": "3600" })]);

  const error = await rejection(script.client.send(hello()));

  assert.ok(error instanceof RateLimited);
  assert.equal(error.retryAfterSeconds, 3_600);
  assert.equal(error.attempts, 1);
  assert.deepEqual(script.pauses, []);
});

test("all attempts and pauses lie within the deadline", async () => {
  const script = new Scripted([LOST], { retry: { deadlineSeconds: 10, attemptSeconds: 4 } });
  script.exchangeSeconds = 3;

  await rejection(script.client.send(hello()));

  assert.ok(script.now - 1_000 <= 10 + 3);
  assert.ok(script.timeouts.every((seconds) => seconds <= 4));
  assert.ok((script.timeouts.at(-1) ?? 9) < 4);
});

test("a lost answer is doubt about a submission", async () => {
  const script = new Scripted([LOST], { retry: { attempts: 2 } });
  const message = hello();

  const error = await rejection(script.client.send(message));

  assert.ok(error instanceof AcceptanceUnknown);
  assert.equal(error.inDoubt, true);
  assert.equal(error.attempts, 2);
  assert.equal(error.idempotencyKey, message.idempotencyKey);
});

test("doubt of an earlier attempt is not undone by a later one that stored nothing", async () => {
  const unknown = problem(503, "acceptance_unknown", { message_id: "msg_7" });
  const script = new Scripted([unknown, problem(503, "unavailable")], { retry: { attempts: 2 } });

  const error = await rejection(script.client.send(hello()));

  assert.ok(error instanceof AcceptanceUnknown);
  assert.equal(error.messageId, "msg_7");
});

test("a refusal after a lost answer keeps the doubt", async () => {
  const error = await rejection(new Scripted([LOST, problem(401, "unauthenticated")]).client.send(hello()));

  assert.ok(error instanceof Unauthenticated);
  assert.equal(error.inDoubt, true);
});

test("where nobody answered, nothing is in doubt", async () => {
  const error = await rejection(new Scripted([UNSENT], { retry: { attempts: 3 } }).client.send(hello()));

  assert.ok(error instanceof Unreachable);
  assert.equal(error.inDoubt, false);
  assert.equal(error.attempts, 3);
});

const REFUSALS = [
  [problem(422, "invalid_message"), InvalidMessage],
  [problem(422, "idempotency_key_reused"), KeyReused],
  [problem(422, "of_tomorrow"), InvalidRequest],
  [problem(413, "too_large"), TooLarge],
  [problem(401, "unauthenticated"), Unauthenticated],
  [problem(409, "not_final", { state: "queued" }), Conflict],
  [problem(500, "internal"), ServiceError],
  [reply(404, "<html>"), NotFound],
  [reply(418, "<html>"), InvalidRequest],
  [reply(500, "<html>"), ServiceError],
  [reply(302, "", { location: "http://elsewhere" }), ServiceError],
  [reply(202, "<html>"), ServiceError],
  [reply(202, { state: "queued" }), ServiceError],
  [{ failed: "untrusted", detail: "another" }, Untrusted],
] as const;

for (const [answer, kind] of REFUSALS) {
  const name = "failed" in answer ? answer.failed : `${answer.status} ${answer.body.slice(0, 40)}`;
  test(`${name} is ${kind.name}, and is not repeated`, async () => {
    const script = new Scripted([answer]);

    const error = await rejection(script.client.send(hello()));

    assert.ok(error instanceof ReliableEmailError);
    assert.equal(error.constructor, kind);
    assert.equal(error.name, kind.name);
    assert.equal(script.requests.length, 1);
  });
}

const PASSING = [
  [problem(429, "rate_limited"), RateLimited],
  [problem(429, "quota_exceeded"), QuotaExceeded],
  [problem(429, "queue_full"), QueueFull],
  [problem(503, "unavailable"), Unavailable],
  [problem(409, "of_tomorrow", { retryable: true }), TemporaryError],
  [reply(503, "<html>"), Unavailable],
] as const;

for (const [answer, kind] of PASSING) {
  test(`${answer.status} ${answer.body.slice(0, 30)} is ${kind.name}, and is repeated`, async () => {
    const script = new Scripted([answer], { retry: { attempts: 2 } });

    const error = await rejection(script.client.send(hello()));

    assert.equal((error as Error).constructor, kind);
    assert.equal(script.requests.length, 2);
  });
}

test("a gateway's 502 and 504 are lost answers", async () => {
  for (const status of [502, 504]) {
    const error = await rejection(new Scripted([reply(status, "")], { retry: { attempts: 1 } }).client.get("msg_1"));
    assert.equal((error as Error).constructor, AnswerLost);
  }
});

test("an error shows every fault with its place", async () => {
  const errors = [{ pointer: "#/to", code: "invalid_address", detail: "'grace@' has no domain" }];

  const error = await rejection(new Scripted([problem(422, "invalid_message", { errors })]).client.send(hello()));

  assert.ok(error instanceof InvalidMessage);
  assert.match(error.message, /#\/to: 'grace@' has no domain/);
  assert.deepEqual(error.errors, errors);
});

test("wait looks until the state is final", async () => {
  const script = new Scripted([record(false, "queued"), record(false, "sending"), record(true, "sent")]);

  assert.equal((await script.client.wait("msg_1")).state, "sent");
  assert.deepEqual(script.pauses, [0.05, 0.05 * 1.5]);
});

test("wait gives up in time, and shows what it saw last", async () => {
  const script = new Scripted([record(false, "retrying")]);

  const error = await rejection(script.client.wait("msg_1", { timeoutSeconds: 3 }));

  assert.ok(error instanceof StillWaiting);
  assert.equal(error.record.state, "retrying");
  assert.ok(Math.abs(script.now - 1_003) < 0.001);
});

test("a change says only what is changed, and null is something", async () => {
  const script = new Scripted([record(false, "scheduled")]);

  await script.client.change("msg_1", { send_at: new Date(0), expires_at: null });
  await script.client.reschedule("msg_1", null);

  assert.deepEqual(script.body(0), { send_at: "1970-01-01T00:00:00.000Z", expires_at: null });
  assert.deepEqual(script.body(1), { send_at: null });
});

test("a Date that is none changes nothing: as null it would send the mail now", async () => {
  const script = new Scripted([record(false, "scheduled")]);

  const error = await rejection(script.client.reschedule("msg_1", new Date("tomorrow")));

  assert.ok(error instanceof RangeError);
  assert.equal(script.requests.length, 0);
});

test("what was dropped by an attempt whose answer was lost is dropped", async () => {
  await new Scripted([LOST, problem(404, "not_found")]).client.delete("msg_1");

  const error = await rejection(new Scripted([problem(404, "not_found")]).client.delete("msg_1"));
  assert.ok(error instanceof NotFound);
});

test("messages are read page by page", async () => {
  const pages = [
    reply(200, { data: [{ id: "msg_1" }, { id: "msg_2" }], next_cursor: "c" }),
    reply(200, { data: [{ id: "msg_3" }], next_cursor: null }),
  ];
  const script = new Scripted(pages);

  const ids: string[] = [];
  for await (const row of script.client.messages({ state: ["failed", "partly_sent"], pageSize: 2 })) ids.push(row.id);

  assert.deepEqual(ids, ["msg_1", "msg_2", "msg_3"]);
  assert.deepEqual(
    script.requests.map(({ path }) => path),
    [
      "/v1/messages?state=failed&state=partly_sent&limit=2",
      "/v1/messages?state=failed&state=partly_sent&limit=2&cursor=c",
    ],
  );
});

test("no more requests are under way than there are connections", async () => {
  let underWay = 0;
  let most = 0;
  const client = new Client({
    connections: 3,
    transport: async () => {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise(setImmediate);
      underWay -= 1;
      return accepted();
    },
  });

  await Promise.all(Array.from({ length: 20 }, () => client.send(hello())));

  assert.equal(most, 3);
});

test("waiting for a connection is part of the call's time", async () => {
  let free = (): void => {};
  const client = new Client({
    connections: 1,
    retry: { deadlineSeconds: 0.01 },
    transport: () => new Promise((answer) => (free = () => answer(accepted()))),
  });
  const first = client.send(hello());

  const error = await rejection(client.send(hello()));
  free();

  assert.ok(error instanceof Unreachable);
  assert.equal((await first).id, "msg_1");
});

for (const url of [
  "mail.example.com",
  "ftp://mail.example.com",
  "http://shop:secret@mail.example.com",
  "http://a/?b",
]) {
  test(`${url} is no address of a service`, () => {
    assert.throws(() => new Client({ url }), TypeError);
  });
}

test("an address may have a path, and may end with the version", () => {
  assert.equal(new Client({ url: "https://example.com/mail/v1/" }).url, "https://example.com/mail");
});

test("a key with a line break is refused, and not shown", () => {
  assert.throws(
    () => new Client({ apiKey: "rmk_a\nb" }),
    (error: Error) => !error.message.includes("rmk_a"),
  );
});
