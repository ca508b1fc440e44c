import assert from "node:assert/strict";
import { test } from "node:test";

import { message } from "../../src/index.js";

const fields = { to: "ada@example.org", subject: "Hello", text: "It works." };

test("each message has a key of its own, unless it is given one", () => {
  assert.notEqual(message(fields).idempotencyKey, message(fields).idempotencyKey);
  assert.equal(message({ ...fields, idempotency_key: "order-1" }).toJSON().idempotency_key, "order-1");
});

test("a message is what its fields were when it was made", () => {
  const to = ["ada@example.org"];
  const made = message({ ...fields, to });

  to.push("grace@example.net");

  assert.deepEqual(made.toJSON().to, ["ada@example.org"]);
});

test("instants and files travel as text", () => {
  const made = message({
    ...fields,
    send_at: new Date(0),
    attachments: [{ filename: "a.txt", content: Buffer.from("Hi") }],
  }).toJSON();

  assert.equal(made.send_at, "1970-01-01T00:00:00.000Z");
  assert.deepEqual(made.attachments, [{ filename: "a.txt", content: "SGk=" }]);
});

test("a slice of a buffer is attached, not the whole", () => {
  const content = new Uint8Array([65, 66, 67, 68]).subarray(1, 3);

  assert.equal(
    message({ ...fields, attachments: [{ filename: "a", content }] }).toJSON().attachments?.[0]?.content,
    "QkM=",
  );
});

test("what would be written as null is refused: the mail would leave at once", () => {
  assert.throws(() => message({ ...fields, delay_seconds: Number.NaN }), RangeError);
  assert.throws(() => message({ ...fields, send_at: new Date("tomorrow") }), RangeError);
});

test("text is no content of a file", () => {
  assert.throws(
    () => message({ ...fields, attachments: [{ filename: "a", content: "Hi" as unknown as Uint8Array }] }),
    TypeError,
  );
});
