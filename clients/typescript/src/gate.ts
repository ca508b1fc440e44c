import { milliseconds } from "./clock.js";

/** Lets so many pass at a time, in the order in which they came. */
export class Gate {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(places: number) {
    if (!(Number.isInteger(places) && places >= 1)) {
      throw new RangeError(`connections must be a whole number from 1, not ${String(places)}`);
    }
    this.#free = places;
  }

  /** Resolves to true once there is a place, to be given back by `leave`; to false where none is free in time. */
  async enter(seconds: number): Promise<boolean> {
    if (this.#free > 0) {
      this.#free -= 1;
      return true;
    }
    return new Promise((decide) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(called);
        decide(false);
      }, milliseconds(seconds));
      const called = (): void => {
        clearTimeout(timer);
        decide(true);
      };
      this.#waiting.add(called);
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
    } else {
      this.#waiting.delete(next);
      next();
    }
  }
}
