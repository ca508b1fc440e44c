/** A dashboard's variables: what each may be, what it is, and how it is written into a query. */

import type { Variable } from "./dashboard";
import { ask } from "./prometheus";

const ALL = "$__all";

interface Chosen {
  variable: Variable;
  options: string[];
  value: string | string[];
}

/** The variables of one dashboard, each with its value. */
export class Values {
  constructor(private readonly chosen: Map<string, Chosen>) {}

  /** Return the text with all variables written in; those of `more` come as they are. */
  insert(text: string, more: Record<string, string> = {}): string {
    return text.replace(/\$(\w+)|\$\{(\w+)(?:\.[^:}]+)?(?::\w+)?\}|\[\[(\w+)(?::\w+)?\]\]/g, (whole, ...groups) => {
      const name: string = groups[0] ?? groups[1] ?? groups[2];
      const chosen = this.chosen.get(name);
      return more[name] ?? (chosen === undefined ? whole : written(chosen));
    });
  }

  /** Return name and value of each variable that is to be seen. */
  get shown(): [label: string, value: string][] {
    return [...this.chosen.values()]
      .filter(({ variable }) => (variable.hide ?? 0) === 0)
      .map(({ variable, value }) => [
        variable.label || variable.name,
        value === ALL ? "All" : [value].flat().join(" + "),
      ]);
  }
}

/** Return the value of each variable: its current one where there is one, else all, else the first. */
export async function choose(variables: Variable[]): Promise<Values> {
  const chosen = new Map<string, Chosen>();
  for (const variable of variables) {
    const options = await optionsOf(variable, new Values(chosen));
    chosen.set(variable.name, { variable, options, value: valueOf(variable, options) });
  }
  return new Values(chosen);
}

async function optionsOf(variable: Variable, earlier: Values): Promise<string[]> {
  const text = typeof variable.query === "string" ? variable.query : (variable.query?.query ?? "");
  if (variable.type === "datasource") {
    return ["Prometheus"];
  }
  if (variable.type !== "query") {
    return text
      .split(",")
      .map((option) => option.trim())
      .filter(Boolean);
  }
  const [, selector, label] = /^label_values\(\s*(?:(.+)\s*,)?\s*(\w+)\s*\)$/s.exec(earlier.insert(text)) ?? [];
  if (label === undefined) {
    throw new Error(`The variable ${variable.name} asks what only label_values(…) can be here: ${text}`);
  }
  return ask<string[]>(`label/${label}/values`, selector === undefined ? {} : { "match[]": selector.trim() });
}

function valueOf(variable: Variable, options: string[]): string | string[] {
  const current = variable.current?.value;
  if (variable.type !== "datasource" && current !== undefined && current.length > 0) {
    const isAll = [current].flat().includes(ALL);
    return isAll ? ALL : current;
  }
  return variable.includeAll ? ALL : (options[0] ?? "");
}

function written({ variable, options, value }: Chosen): string {
  if (value === ALL && variable.allValue) {
    return variable.allValue;
  }
  if (!variable.multi && !variable.includeAll) {
    return [value].flat().join();
  }
  const values = (value === ALL ? options : [value].flat()).map(escaped);
  return values.length === 1 ? values[0]! : `(${values.join("|")})`;
}

/** In PromQL a value stands inside a string, and there inside a regular expression. */
function escaped(value: string): string {
  return value.replace(/[\\^$.*+?()[\]{}|]/g, "\\\\$&");
}
