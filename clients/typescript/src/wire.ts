/** What travels: a request, its answer, or why there is none. */

export interface Request {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Begins with `/v1`; holds the query, too. */
  readonly path: string;
  readonly body?: string;
}

export interface Reply {
  readonly status: number;
  /** Under names in small letters. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Why there is no answer: nothing was sent, it may have been, or the other side cannot prove who it is. */
export interface Failure {
  readonly failed: "unsent" | "lost" | "untrusted";
  readonly detail: string;
  readonly cause?: unknown;
}

/** Sends a request and waits for its answer, so many seconds at most. It never rejects. */
export type Transport = (request: Request, timeoutSeconds: number) => Promise<Reply | Failure>;

/** Time and chance, which tests replace. */
export interface Clock {
  /** Seconds that only grow. */
  now(): number;
  /** A number from [0, 1). */
  draw(): number;
  sleep(seconds: number): Promise<void>;
}
