/** The package as its users get it: a tarball in an empty folder, and every line of the README there. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { HOME, type Up, up } from "./up.js";

const run = promisify(execFile);

const README = await readFile(join(HOME, "README.md"), "utf8");
const BLOCKS = [...README.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code as string);

const TSCONFIG = {
  compilerOptions: {
    target: "ES2022",
    module: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    typeRoots: [join(HOME, "node_modules", "@types")],
    types: ["node"],
  },
};

let service: Up;
let folder: string;
before(async () => {
  service = await up();
  folder = await mkdtemp(join(tmpdir(), "reliable-email-user-"));
  const npm = { cwd: HOME, env: { ...process.env, npm_config_loglevel: "error" } };
  await run("npm", ["pack", "--pack-destination", folder], npm);
  const [tarball] = await readdir(folder);
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module", private: true }));
  await run("npm", ["install", "--offline", `./${tarball}`], { ...npm, cwd: folder });
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(TSCONFIG));
  for (const [i, block] of BLOCKS.entries()) {
    await writeFile(join(folder, `block${i}.ts`), block.replaceAll("http://127.0.0.1:8525", service.url));
  }
});
after(async () => {
  await service.stop();
  await rm(folder, { recursive: true });
});

test("it brings what it needs and nothing else", async () => {
  assert.deepEqual(
    (await readdir(join(folder, "node_modules"))).filter((name) => !name.startsWith(".")),
    ["reliable-email-client"],
  );
  const files = await readdir(join(folder, "node_modules", "reliable-email-client"));
  assert.deepEqual(files.sort(), ["CHANGELOG.md", "LICENSE", "README.md", "dist", "package.json"]);
});

test("the examples of the README compile for a strict user, and run", async () => {
  await run(process.execPath, [join(HOME, "node_modules", "typescript", "bin", "tsc")], { cwd: folder });
  const printed: string[] = [];
  for (const i of BLOCKS.keys()) {
    printed.push((await run(process.execPath, [`block${i}.js`], { cwd: folder })).stdout);
  }

  assert.match(printed[0] ?? "", /^msg_\S+ queued\n$/);
  assert.equal(printed[1], "scheduled\ntrue\n");
  assert.match(printed[2] ?? "", /^sent \[ 'outbox' \]\n/);
  assert.match(printed[3] ?? "", /^ada@example.org msg_\S+\ngrace@ InvalidMessage/);
  assert.match(printed[4] ?? "", /^#\/to invalid_address/);
  assert.equal(printed[5], "1000\n");
});

test("what it says of itself is what its package says", async () => {
  const { version } = JSON.parse(await readFile(join(HOME, "package.json"), "utf8")) as { version: string };
  const code = "import { VERSION } from 'reliable-email-client'; console.log(VERSION)";

  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", code], { cwd: folder });

  assert.equal(stdout.trim(), version);
});

test("the lock names no registry, for each has its own", async () => {
  assert.doesNotMatch(await readFile(join(HOME, "package-lock.json"), "utf8"), /"resolved"/);
});
