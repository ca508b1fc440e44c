/** Over TLS, who cannot prove to be the service is not told anything. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { Client, Untrusted } from "../../src/index.js";
import { hello, rejection } from "../scripted.js";

const OPENSSL = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=fake";

test("a certificate that nobody vouches for ends the call at once, before anything is sent", async () => {
  const folder = await mkdtemp(join(tmpdir(), "reliable-email-tls-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  await promisify(execFile)("openssl", [...OPENSSL.split(" "), "-keyout", key, "-out", cert]);
  let requests = 0;
  const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, () => (requests += 1));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const client = new Client({
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    apiKey: "rmk_secret",
  });

  const error = await rejection(client.send(hello()));
  await new Promise((closed) => server.close(closed));
  await rm(folder, { recursive: true });

  assert.ok(error instanceof Untrusted, String(error));
  assert.deepEqual([error.attempts, error.inDoubt, requests], [1, false, 0]);
});
