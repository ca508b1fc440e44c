/** Every call, against the service as it is. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";

import {
  AnswerLost,
  Client,
  Conflict,
  InvalidMessage,
  InvalidRequest,
  KeyReused,
  message,
  type MessageFields,
  NotFound,
  Unreachable,
} from "../../src/index.js";
import { rejection } from "../scripted.js";
import { type Up, up } from "./up.js";

let service: Up;
let client: Client;
before(async () => {
  service = await up();
  client = new Client({ url: service.url });
});
after(() => service.stop());

const hello = (more: Partial<MessageFields> = {}) =>
  message({ from: "shop@example.com", to: "ada@example.org", subject: "Hello", text: "It works.", ...more });

test("a message is sent, and sending it again gives the first answer", async () => {
  const one = hello({ subject: "Once" });

  const first = await client.send(one);
  const again = await client.send(one);

  assert.equal((await client.wait(first.id)).state, "sent");
  assert.deepEqual([first.replayed, again.replayed, again.id], [false, true, first.id]);
  assert.equal((await service.subjects()).filter((subject) => subject === "Once").length, 1);
});

test("every field arrives", async () => {
  const { id } = await client.send(
    hello({
      to: ["Ada Lovelace <ada@example.org>", { email: "grace@example.net", name: "Grace Hopper" }],
      cc: "linus@example.net",
      bcc: ["archive@example.com"],
      reply_to: "help@example.com",
      html: '<img src="cid:logo">',
      headers: { "X-Order": "1042" },
      attachments: [
        { filename: "logo.png", content_type: "image/png", content: Buffer.from("PNG"), content_id: "logo" },
      ],
      tags: ["receipt"],
      metadata: { order: "1042" },
      priority: "high",
      pool: "default",
      send_at: new Date(Date.now() - 1_000),
      ttl_seconds: 60,
      on_ambiguous: "fail",
      idempotency_key: "order-1042",
    }),
  );

  const found = await client.get(id);

  assert.deepEqual(found.to, [
    { email: "ada@example.org", name: "Ada Lovelace" },
    { email: "grace@example.net", name: "Grace Hopper" },
  ]);
  assert.deepEqual([found.cc.length, found.bcc.length, found.reply_to.length], [1, 1, 1]);
  assert.equal(found.attachments[0]?.size_bytes, 3);
  assert.deepEqual([found.tags, found.metadata, found.priority], [["receipt"], { order: "1042" }, "high"]);
});

test("another message under the same key is refused", async () => {
  await client.send(hello({ idempotency_key: "taken" }));

  const error = await rejection(client.send(hello({ idempotency_key: "taken", subject: "Another" })));

  assert.ok(error instanceof KeyReused);
});

test("what is wrong is told with its place, by send and by validate", async () => {
  const wrong = hello({ to: "grace@" });

  const error = await rejection(client.send(wrong));
  const validation = await client.validate(wrong);

  assert.ok(error instanceof InvalidMessage);
  assert.equal(error.errors[0]?.pointer, "#/to");
  assert.equal(error.problem?.code, "invalid_message");
  assert.ok(error.requestId);
  assert.deepEqual([validation.valid, validation.errors[0]?.pointer], [false, "#/to"]);
  assert.equal((await client.validate(hello())).pool, "default");
});

test("a field that the service does not know is refused, not ignored", async () => {
  const error = await rejection(client.send(hello({ sendAt: "tomorrow" } as Partial<MessageFields>)));

  assert.ok(error instanceof InvalidMessage);
  assert.equal(error.errors[0]?.code, "unknown_field");
});

test("a message that waits is rescheduled, changed, cancelled and dropped", async () => {
  const { id, state } = await client.send(hello({ delay_seconds: 3_600 }));
  const early = await rejection(client.delete(id));
  const later = await client.reschedule(id, new Date("2027-01-01T09:00:00Z"));
  const changed = await client.change(id, { priority: "bulk" });
  const cancelled = await client.cancel(id);

  assert.equal(state, "scheduled");
  assert.ok(early instanceof Conflict);
  assert.equal(early.state, "scheduled");
  assert.equal(later.send_at, "2027-01-01T09:00:00.000Z");
  assert.equal(changed.priority, "bulk");
  assert.equal(cancelled.state, "cancelled");
  assert.ok((await rejection(client.change(id, { priority: "high" }))) instanceof Conflict);
  await client.delete(id);
  assert.ok((await rejection(client.get(id))) instanceof NotFound);
});

test("dead letters are listed page by page, and tried again", async () => {
  const ids: string[] = [];
  for (let i = 0; i < 3; i += 1) {
    const { id } = await client.send(hello({ to: "rejected@example.org", pool: "sandbox" }));
    assert.equal((await client.wait(id)).state, "failed");
    ids.push(id);
  }

  const listed: string[] = [];
  for await (const row of client.messages({ state: "failed", pageSize: 2 })) listed.push(row.id);
  const [first] = ids as [string];
  const { requeues } = await client.requeue(first);

  assert.deepEqual(listed.sort(), ids.sort());
  assert.equal(requeues, 1);
  await client.wait(first);
});

test("many messages have a result each", async () => {
  const outcome = await client.sendBatch([hello(), hello({ to: "grace@" }), hello({ subject: "Third" })]);

  assert.equal(outcome.accepted.length, 2);
  assert.ok(outcome.results[1] instanceof InvalidMessage);
  assert.equal(outcome.results[1].errors[0]?.pointer, "#/to");
});

test("the service tells its limits, its queue and its providers", async () => {
  assert.equal((await client.service()).service, "reliable-email");
  assert.deepEqual((await client.queue()).pools.map(({ name }) => name).sort(), ["default", "sandbox"]);
  assert.deepEqual((await client.providers()).map(({ name }) => name).sort(), ["outbox", "sandbox"]);
});

test("a parameter that cannot be is refused", async () => {
  const error = await rejection(client.messages({ pageSize: 0 }).next());

  assert.ok(error instanceof InvalidRequest);
});

test("where nothing listens, nothing was sent", async () => {
  const gone = createServer();
  await new Promise<void>((listening) => gone.listen(0, "127.0.0.1", listening));
  const { port } = gone.address() as AddressInfo;
  await new Promise((closed) => gone.close(closed));

  const error = await rejection(
    new Client({ url: `http://127.0.0.1:${port}`, retry: { attempts: 2, baseSeconds: 0.01 } }).service(),
  );

  assert.ok(error instanceof Unreachable);
  assert.deepEqual([error.attempts, error.inDoubt], [2, false]);
});

test("an answer that trickles ends with the attempt", async () => {
  const trickling = createServer((_, response) => {
    const drops = setInterval(() => response.write(" "), 10);
    response.on("close", () => clearInterval(drops));
  });
  await new Promise<void>((listening) => trickling.listen(0, "127.0.0.1", listening));
  const { port } = trickling.address() as AddressInfo;

  const error = await rejection(
    new Client({ url: `http://127.0.0.1:${port}`, retry: { attempts: 1, attemptSeconds: 0.1 } }).service(),
  );
  await new Promise((closed) => trickling.close(closed));

  assert.ok(error instanceof AnswerLost);
});
