/** The machine's time and chance. */

import type { Clock } from "./wire.js";

/** A timer holds no more milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now() / 1_000,
  draw: Math.random,
  sleep: (seconds) => new Promise((wake) => setTimeout(wake, milliseconds(seconds))),
};

/** Returns seconds as a timer takes them. */
export function milliseconds(seconds: number): number {
  return Math.min(Math.ceil(seconds * 1_000), LONGEST_TIMER);
}
