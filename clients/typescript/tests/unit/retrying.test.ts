import assert from "node:assert/strict";
import { test } from "node:test";

import { Patience } from "../../src/retrying.js";

test("pauses lie between zero and a ceiling that doubles up to its greatest", () => {
  const patience = new Patience({ baseSeconds: 0.2, maxSeconds: 1 });

  assert.deepEqual(
    [1, 2, 3, 4, 2_000].map((attempts) => patience.pause(attempts, 0, 0.5)),
    [0.1, 0.2, 0.4, 0.5, 0.5],
  );
  assert.equal(patience.pause(9, 0, 0), 0);
});

test("a pause stands on top of what the service asks for", () => {
  assert.equal(new Patience({ baseSeconds: 1 }).pause(1, 7, 0.5), 7.5);
});

test("a pause that ends behind the deadline is not begun", () => {
  const patience = new Patience();

  assert.equal(patience.goesOn(1, 59.9, 60), true);
  assert.equal(patience.goesOn(1, 60, 60), false);
});

test("attempts are bounded by their number, and each by what is left", () => {
  const patience = new Patience({ attempts: 2, attemptSeconds: 20 });

  assert.equal(patience.goesOn(1, 0, 60), true);
  assert.equal(patience.goesOn(2, 0, 60), false);
  assert.equal(patience.attempt(0, 60), 20);
  assert.equal(patience.attempt(55, 60), 5);
  assert.equal(patience.attempt(61, 60), 0.001);
});

for (const retry of [{ deadlineSeconds: -1 }, { baseSeconds: Number.NaN }, { maxSeconds: Infinity }, { attempts: 0 }]) {
  test(`${JSON.stringify(retry)} cannot be meant`, () => {
    assert.throws(() => new Patience(retry), RangeError);
  });
}
