/** When a call is repeated. Chance and time are arguments. */

export interface Retry {
  /** Bounds each call with all its attempts and pauses. */
  readonly deadlineSeconds: number;
  /** Bounds each attempt. */
  readonly attemptSeconds: number;
  /** Pauses are drawn from zero up to a ceiling that doubles from here … */
  readonly baseSeconds: number;
  /** … to here (full jitter), on top of what the service asks for. */
  readonly maxSeconds: number;
  /** Bounds the number of attempts: with 1 nothing is repeated. */
  readonly attempts: number;
}

const DEFAULTS: Retry = {
  deadlineSeconds: 60,
  attemptSeconds: 20,
  baseSeconds: 0.2,
  maxSeconds: 20,
  attempts: Number.POSITIVE_INFINITY,
};

const LEAST_ATTEMPT_SECONDS = 0.001;

/** Decides on the attempts of a call. Throws a RangeError for numbers that cannot be meant. */
export class Patience {
  readonly #retry: Retry;

  constructor(retry: Partial<Retry> = {}) {
    this.#retry = { ...DEFAULTS, ...retry };
    const { attempts, ...seconds } = this.#retry;
    for (const [name, value] of Object.entries(seconds)) {
      if (!(Number.isFinite(value) && value >= 0)) {
        throw new RangeError(`${name} must be a number of seconds, not ${String(value)}`);
      }
    }
    if (!(attempts >= 1)) {
      throw new RangeError(`attempts must be at least 1, not ${String(attempts)}`);
    }
  }

  /** Returns when a call that begins now must have ended. */
  deadline(now: number): number {
    return now + this.#retry.deadlineSeconds;
  }

  /** Returns how long to wait after so many attempts; `draw` lies in [0, 1). */
  pause(attempts: number, retryAfterSeconds: number, draw: number): number {
    const ceiling = Math.min(this.#retry.maxSeconds, this.#retry.baseSeconds * 2 ** (attempts - 1));
    return retryAfterSeconds + draw * ceiling;
  }

  /**
   * Returns whether another attempt follows after so many, at an instant. A pause that would end behind the
   * deadline is not begun: the call fails at once, and its error says how long to wait.
   */
  goesOn(attempts: number, resumesAt: number, deadline: number): boolean {
    return resumesAt < deadline && attempts < this.#retry.attempts;
  }

  /** Returns how long the next attempt may take. */
  attempt(now: number, deadline: number): number {
    return Math.max(LEAST_ATTEMPT_SECONDS, Math.min(this.#retry.attemptSeconds, deadline - now));
  }
}
