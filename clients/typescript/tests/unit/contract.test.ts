import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { test } from "node:test";

import { BY_CODE, BY_STATUS, CallerError, TemporaryError } from "../../src/errors.js";

const CONTRACT = resolve(import.meta.dirname, "../../../../../docs/openapi.json");

interface Contract {
  readonly components: {
    readonly responses: { readonly [name: string]: unknown };
    readonly schemas: {
      readonly Problem: { readonly properties: { readonly code: { readonly "x-extensible-enum": string[] } } };
    };
  };
}

const contract = JSON.parse(await readFile(CONTRACT, "utf8")) as Contract;

test("every code that is an error of its own stands in the contract", () => {
  const codes = contract.components.schemas.Problem.properties.code["x-extensible-enum"];

  assert.deepEqual(
    [...BY_CODE.keys()].filter((code) => !codes.includes(code)),
    [],
  );
});

test("every error of a code or a status stands on a branch", () => {
  for (const kind of [...BY_CODE.values(), ...BY_STATUS.values()]) {
    const branches = [CallerError, TemporaryError].filter((branch) => kind.prototype instanceof branch);
    assert.equal(branches.length, 1, kind.name);
  }
});
