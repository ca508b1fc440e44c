/** Where the service is, and how every request presents itself. The environment is an argument. */

import { VERSION } from "./version.js";
import type { Request } from "./wire.js";

export const DEFAULT_URL = "http://127.0.0.1:8525";

type Environment = Readonly<Record<string, string | undefined>>;

/** One service, and the key that it knows us by, which no representation shows. */
export class Endpoint {
  /** The address without `/v1`. */
  readonly url: string;
  readonly #key: string | undefined;

  /** An argument stands above the environment. Throws a TypeError for a URL or a key that cannot be one. */
  constructor(url: string | undefined, key: string | undefined, environment: Environment) {
    this.url = address(url || environment["RELIABLE_EMAIL_URL"] || DEFAULT_URL);
    this.#key = key || environment["RELIABLE_EMAIL_API_KEY"] || undefined;
    if (this.#key !== undefined && !/^[!-~]+$/.test(this.#key)) {
      throw new TypeError("A key is made of visible ASCII characters, without spaces and line breaks");
    }
  }

  headers(request: Request): { [name: string]: string } {
    return {
      Accept: "application/json",
      "User-Agent": `reliable-email-client/${VERSION} node/${process.versions.node}`,
      ...(request.body !== undefined && { "Content-Type": "application/json" }),
      ...(this.#key !== undefined && { Authorization: `Bearer ${this.#key}` }),
    };
  }
}

function address(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash) {
    throw new TypeError(`${JSON.stringify(text)} is no URL of a service; it looks like ${DEFAULT_URL}`);
  }
  if (url.username || url.password) {
    throw new TypeError("A URL of the service holds no user and no password; the key is an option of its own");
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "").replace(/\/v1$/, "").replace(/\/+$/, "");
}
