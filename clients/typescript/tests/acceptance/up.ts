/** A whole service, `reliable-email up`, as its user has it: each mail becomes a file. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

/** The folder of the package; tests run in `build/tests/acceptance`. */
export const HOME = resolve(import.meta.dirname, "../../..");

const PROGRAM = process.env["RELIABLE_EMAIL_BIN"] ?? resolve(HOME, "../../.venv/bin/reliable-email");

const CONFIG = `
[[providers]]
name = "outbox"
kind = "outbox"

[[providers]]
name = "sandbox"
kind = "sandbox"
pools = ["sandbox"]
`;

export interface Up {
  readonly url: string;
  /** Returns the subject of every mail that left. */
  subjects(): Promise<string[]>;
  stop(): Promise<void>;
}

/** Starts a service in a folder of its own. */
export async function up(): Promise<Up> {
  const folder = await mkdtemp(join(tmpdir(), "reliable-email-"));
  await writeFile(join(folder, "config.toml"), CONFIG);
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("RELIABLE_EMAIL_")));
  const service = spawn(PROGRAM, ["up", "--data", "data", "--port", "0", "--config", "config.toml"], {
    cwd: folder,
    env: { ...clean, RELIABLE_EMAIL_OPS__PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(service, "close");
  const stop = async (): Promise<void> => {
    service.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true });
  };
  const printed: string[] = [];
  service.stderr.on("data", (part: Buffer) => printed.push(part.toString()));
  for await (const line of createInterface({ input: service.stdout })) {
    printed.push(line);
    const url = /API +(http:\/\/\S+)\/v1$/.exec(line.trimEnd())?.[1];
    if (url !== undefined) {
      service.stdout.resume();
      return { url, subjects: () => subjectsIn(join(folder, "data", "outbox")), stop };
    }
  }
  throw new Error(`${PROGRAM} did not start:\n${printed.join("\n")}`);
}

async function subjectsIn(outbox: string): Promise<string[]> {
  const files = (await readdir(outbox)).filter((name) => name.endsWith(".eml"));
  const found: string[] = [];
  for (const file of files) {
    found.push(/^Subject: (.*?)\r?$/m.exec(await readFile(join(outbox, file), "utf8"))?.[1] ?? "");
  }
  return found;
}
