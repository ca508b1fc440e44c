/** Several things asked for at once, each settled for itself: what may be repeated is, the rest is not. */

import type { Problem } from "./answers.js";
import { AcceptanceUnknown, ReliableEmailError, TemporaryError } from "./errors.js";
import type { Gate } from "./gate.js";
import { isInDoubt, unknown } from "./judging.js";
import type { Patience } from "./retrying.js";
import type { Clock, Failure, Reply, Request, Transport } from "./wire.js";

/** What a call needs of its client. */
export interface Means {
  readonly transport: Transport;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly patience: Patience;
}

/** What is asked for: the request for those that are still wanted, and what an answer brought each of them. */
export interface Question<T> {
  readonly count: number;
  /** Whether it submits messages, so that doubt about them is an error of its own. */
  readonly submits: boolean;
  ask(wanted: readonly number[]): Request;
  answers(result: Reply | Failure, count: number): readonly (T | ReliableEmailError)[];
}

/** Asks until each thing is had, is refused for good, or time is over. */
export async function settle<T>(means: Means, question: Question<T>): Promise<(T | ReliableEmailError)[]> {
  const { clock, patience } = means;
  const items = Array.from({ length: question.count }, () => new Item<T>());
  const deadline = patience.deadline(clock.now());
  let open = items.map((item, index) => ({ item, index }));
  for (let attempts = 1; open.length > 0; attempts += 1) {
    const request = question.ask(open.map(({ index }) => index));
    const results = question.answers(await exchange(means, request, deadline), open.length);
    for (const [place, { item }] of open.entries()) {
      item.take(results[place]);
    }
    open = open.filter(({ item }) => item.mayBeRepeated);
    if (open.length === 0) break;
    const asked = Math.max(...open.map(({ item }) => item.askedToWait));
    const seconds = patience.pause(attempts, asked, clock.draw());
    if (!patience.goesOn(attempts, clock.now() + seconds, deadline)) break;
    await clock.sleep(seconds);
  }
  return items.map((item) => item.conclusion(question.submits));
}

/** Sends one request once there is a connection for it; waiting for one is part of the call's time. */
async function exchange(means: Means, request: Request, deadline: number): Promise<Reply | Failure> {
  const { transport, gate, clock, patience } = means;
  if (!(await gate.enter(deadline - clock.now()))) {
    return { failed: "unsent", detail: "All connections of this client were busy until the call's time was over" };
  }
  try {
    return await transport(request, patience.attempt(clock.now(), deadline));
  } finally {
    gate.leave();
  }
}

/** One thing that is asked for, and what is known of it so far. */
class Item<T> {
  #result: T | ReliableEmailError | undefined;
  #attempts = 0;
  #doubted = false;
  #doubt: Problem | undefined;

  take(result: T | ReliableEmailError | undefined): void {
    this.#attempts += 1;
    this.#result = result;
    if (result instanceof ReliableEmailError && isInDoubt(result)) {
      this.#doubted = true;
      if (result instanceof AcceptanceUnknown) {
        this.#doubt = result.problem ?? this.#doubt;
      }
    }
  }

  /** Whether the same again may succeed. */
  get mayBeRepeated(): boolean {
    return this.#result instanceof TemporaryError;
  }

  /** How many seconds the service asked to wait. */
  get askedToWait(): number {
    return (this.#result instanceof ReliableEmailError && this.#result.retryAfterSeconds) || 0;
  }

  conclusion(submits: boolean): T | ReliableEmailError {
    let result = this.#result as T | ReliableEmailError;
    if (result instanceof ReliableEmailError) {
      if (submits && this.#doubted && result instanceof TemporaryError) {
        // `unavailable` says that this attempt stored nothing; an earlier one may have.
        result = unknown(result, this.#doubt);
      }
      result.attempts = this.#attempts;
      result.inDoubt = this.#doubted;
    }
    return result;
  }
}
