/** Requests over the platform's `fetch`: the one place that speaks HTTP. */

import { milliseconds } from "./clock.js";
import type { Endpoint } from "./endpoint.js";
import type { Failure, Reply, Request, Transport } from "./wire.js";

const UNTRUSTED =
  /^(CERT_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|ERR_TLS_CERT|HOSTNAME_MISMATCH|INVALID_CA)/;

/** Returns what sends requests to one service; redirections are not followed, for the key would travel along. */
export function fetchTransport(endpoint: Endpoint): Transport {
  return async (request, timeoutSeconds) => {
    const patience = new AbortController();
    const timer = setTimeout(() => {
      patience.abort(new Error(`nothing came within ${timeoutSeconds.toFixed(3)} seconds`));
    }, milliseconds(timeoutSeconds));
    try {
      return await exchange(endpoint, request, patience.signal);
    } catch (error) {
      return failure(endpoint.url, error);
    } finally {
      clearTimeout(timer);
    }
  };
}

async function exchange(endpoint: Endpoint, request: Request, signal: AbortSignal): Promise<Reply> {
  const response = await fetch(endpoint.url + request.path, {
    method: request.method,
    headers: endpoint.headers(request),
    body: request.body ?? null,
    redirect: "manual",
    signal,
  });
  return { status: response.status, headers: new Map(response.headers), body: await response.text() };
}

function failure(where: string, error: unknown): Failure {
  // `fetch` throws a TypeError that says nothing; its cause is what happened.
  const cause = error instanceof TypeError && error.cause instanceof Error ? error.cause : error;
  const words = wordsOf(cause);
  if (UNTRUSTED.test(member(cause, "code"))) {
    return { failed: "untrusted", detail: `${where} cannot prove who it is: ${words}`, cause };
  }
  if (neverConnected(cause)) {
    return { failed: "unsent", detail: `Nothing answers at ${where}: ${words}`, cause };
  }
  return { failed: "lost", detail: `The answer of ${where} was lost: ${words}`, cause };
}

/** Of a name with several addresses, each has its own error. */
function neverConnected(error: unknown): boolean {
  if (error instanceof AggregateError) {
    return error.errors.length > 0 && error.errors.every(neverConnected);
  }
  return (
    member(error, "code") === "UND_ERR_CONNECT_TIMEOUT" || ["connect", "getaddrinfo"].includes(member(error, "syscall"))
  );
}

function wordsOf(error: unknown): string {
  return (error instanceof Error && error.message) || member(error, "code") || String(error);
}

function member(error: unknown, name: "code" | "syscall"): string {
  const value: unknown = error instanceof Error ? (error as Error & { [name: string]: unknown })[name] : undefined;
  return typeof value === "string" ? value : "";
}
