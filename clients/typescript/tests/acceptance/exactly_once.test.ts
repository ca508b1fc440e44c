/**
 * Through a network that drops, delays, duplicates and cuts, every message is accepted once and only once.
 *
 * `CLIENT_SENDS=10000` sends more of them.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { type Acceptance, Client, message, type Message } from "../../src/index.js";
import { FatefulProxy } from "./fateful_proxy.js";
import { type Up, up } from "./up.js";

const SENDS = Number(process.env["CLIENT_SENDS"] ?? 300);
const RETRY = { deadlineSeconds: 900, attemptSeconds: 1.5, baseSeconds: 0.01, maxSeconds: 0.2 };
const DELAY_SECONDS = 2;
const AT_ONCE = 32;

let service: Up;
before(async () => {
  service = await up();
});
after(() => service.stop());

function messages(word: string): Message[] {
  return Array.from({ length: SENDS }, (_, i) =>
    message({ from: "shop@example.com", to: `ada-${i}@example.org`, subject: `${word} ${i}`, text: "Thank you." }),
  );
}

async function assertEachWasAcceptedOnce(
  word: string,
  proxy: FatefulProxy,
  accepted: readonly Acceptance[],
): Promise<void> {
  await proxy.settled();
  const direct = new Client({ url: service.url });
  for (const { id } of accepted) {
    assert.equal((await direct.wait(id)).state, "sent");
  }
  // Whatever else was accepted is waiting or has left by now, and what waits leaves.
  for (let waiting = 1; waiting > 0;) {
    const { totals } = await direct.queue();
    waiting = totals.scheduled + totals.queued + totals.sending + totals.retrying;
  }
  const left = (await service.subjects()).filter((subject) => subject.startsWith(word));
  assert.equal(new Set(accepted.map(({ id }) => id)).size, SENDS);
  assert.deepEqual(
    left.sort(),
    messages(word)
      .map((one) => one.toJSON().subject)
      .sort(),
  );
  assert.ok(proxy.fates.size > 6, `too few fates: ${[...proxy.fates.keys()].join(", ")}`);
}

test(`${SENDS} messages, each in a request of its own`, async () => {
  const proxy = new FatefulProxy(service.url, { seed: 1, delaySeconds: DELAY_SECONDS });
  const client = new Client({ url: await proxy.start(), retry: RETRY, connections: AT_ONCE });
  try {
    const accepted = await Promise.all(messages("Receipt").map((one) => client.send(one)));

    await assertEachWasAcceptedOnce("Receipt", proxy, accepted);
  } finally {
    await proxy.stop();
  }
});

test(`${SENDS} messages in batches`, async () => {
  const proxy = new FatefulProxy(service.url, { seed: 2, delaySeconds: DELAY_SECONDS });
  const client = new Client({ url: await proxy.start(), retry: RETRY, connections: AT_ONCE });
  try {
    const sent = messages("Parcel");
    const size = Math.ceil(SENDS / 30);
    const starts = Array.from({ length: Math.ceil(SENDS / size) }, (_, i) => i * size);
    const outcomes = await Promise.all(starts.map((start) => client.sendBatch(sent.slice(start, start + size))));
    for (const outcome of outcomes) outcome.throwForErrors();

    await assertEachWasAcceptedOnce(
      "Parcel",
      proxy,
      outcomes.flatMap((outcome) => outcome.accepted),
    );
  } finally {
    await proxy.stop();
  }
});
