/** Asks Prometheus as Grafana's data source does, and gives Grafana's frames. */

import { DataFrame, dateTime, Field, FieldType, rangeUtil, TimeRange } from "@grafana/data";

import type { Panel, Target } from "./dashboard";
import type { Values } from "./variables";

type Labels = Record<string, string>;
type Sample = [number, string];

interface Series {
  metric: Labels;
  values?: Sample[];
  value?: Sample;
}

/** Prometheus refused, or did not answer. */
export class QueryFailed extends Error {}

/** Return what Prometheus answers under `data`. */
export async function ask<T>(path: string, parameters: Record<string, string> = {}): Promise<T> {
  const response = await fetch(`/prometheus/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const answer = await response.json().catch(() => ({ error: `${response.status} ${response.statusText}` }));
  if (!response.ok || answer.status !== "success") {
    throw new QueryFailed(answer.error);
  }
  return answer.data as T;
}

/** Return how often Prometheus scrapes, in seconds: what the setting of the same name says in Grafana's data source. */
export async function scrapeSeconds(): Promise<number> {
  const { activeTargets } = await ask<{ activeTargets: { scrapeInterval?: string }[] }>("targets", { state: "active" });
  const intervals = activeTargets.map((target) => rangeUtil.intervalToSeconds(target.scrapeInterval ?? "15s"));
  return Math.max(1, Math.min(15, ...intervals));
}

/** Return the time to show: a span before an end that is some time ago, both as durations such as `30m`. */
export function last(span: string, ago: string): TimeRange {
  const end = Date.now() - rangeUtil.intervalToMs(ago);
  const from = dateTime(end - rangeUtil.intervalToMs(span));
  return { from, to: dateTime(end), raw: { from: `now-${span}`, to: "now" } };
}

/** What all panels of a picture have in common. */
export interface Scope {
  range: TimeRange;
  /** Seconds from one scrape to the next. */
  scrape: number;
  values: Values;
}

/** Return a panel's data; `points` is how many pixels wide it is, which decides how close the points lie. */
export async function query(panel: Panel, points: number, scope: Scope): Promise<DataFrame[]> {
  const targets = (panel.targets ?? []).filter((target) => !target.hide);
  const tables = targets.filter((target) => target.format === "table").length;
  const answers = targets.map(async (target) => {
    const { step, timings } = stepOf(panel, target, points, scope);
    const expression = scope.values.insert(target.expr, timings);
    const { result } = await ask<{ result: Series[] }>(...call(target, expression, scope.range, step / 1000));
    return frames(target, result, step, tables > 1);
  });
  return (await Promise.all(answers)).flat();
}

/** Return how far apart (in milliseconds) the points of a query lie, and what `$__interval` and its like are then. */
export function stepOf(
  panel: Panel,
  target: Target,
  points: number,
  { range, scrape }: Scope,
): { step: number; timings: Labels } {
  const least = target.interval || panel.interval || `${scrape}s`;
  const { intervalMs: step } = rangeUtil.calculateInterval(range, panel.maxDataPoints ?? points, least);
  return { step, timings: timings(range, step, rangeUtil.intervalToMs(least)) };
}

/** Instants in milliseconds, each with its value. */
export type Samples = [number, number][];

/** Return the samples of each series. */
export async function queryRange(query: string, range: TimeRange, interval: number): Promise<Samples[]> {
  const { result } = await ask<{ result: Series[] }>(...callForRange(query, range, interval / 1000));
  return result.map((series) => samples(series).map(([seconds, text]) => [seconds * 1000, number(text)]));
}

type Call = [path: string, parameters: Record<string, string>];

function call(target: Target, query: string, range: TimeRange, step: number): Call {
  return target.instant && !target.range
    ? ["query", { query, time: String(range.to.valueOf() / 1000) }]
    : callForRange(query, range, step);
}

/** Points lie at multiples of the step, so that a later look finds the same ones. */
function callForRange(query: string, range: TimeRange, step: number): Call {
  const [start, end] = [range.from, range.to].map((at) => String(Math.floor(at.valueOf() / 1000 / step) * step));
  return ["query_range", { query, start: start!, end: end!, step: String(step) }];
}

function timings(range: TimeRange, interval: number, scrape: number): Labels {
  const span = range.to.valueOf() - range.from.valueOf();
  const seconds = (milliseconds: number) => `${Math.round(milliseconds / 1000)}s`;
  return {
    __interval: seconds(interval),
    __interval_ms: String(interval),
    __rate_interval: seconds(Math.max(interval + scrape, 4 * scrape)),
    __range: seconds(span),
    __range_s: String(Math.round(span / 1000)),
    __range_ms: String(span),
  };
}

function frames(target: Target, result: Series[], interval: number, isOneOfSeveralTables: boolean): DataFrame[] {
  switch (target.format) {
    case "table":
      return result.length ? [table(target, result, isOneOfSeveralTables)] : [];
    case "heatmap":
      return result.length ? [heatmap(target, result, interval)] : [];
    default:
      return result.map((series) => timeSeries(target, series, interval));
  }
}

function samples(series: Series): Sample[] {
  return series.values ?? (series.value ? [series.value] : []);
}

/** Prometheus writes infinity as `+Inf`. */
export function number(text: string): number {
  return text.endsWith("Inf") ? (text.startsWith("-") ? -Infinity : Infinity) : Number(text);
}

function time(instants: number[], interval?: number): Field<number> {
  return {
    name: "Time",
    type: FieldType.time,
    values: instants.map((seconds) => seconds * 1000),
    config: { interval },
  };
}

function timeSeries(target: Target, series: Series, interval: number): DataFrame {
  const points = withGaps(samples(series), interval / 1000);
  const { __name__: name, ...labels } = series.metric;
  const value: Field<number | null> = {
    name: name ?? "Value",
    type: FieldType.number,
    values: points.map(([, text]) => (text === null ? null : number(text))),
    labels,
    config: { displayNameFromDS: legend(target, series.metric) },
  };
  const instants = points.map(([seconds]) => seconds);
  return { refId: target.refId, length: points.length, fields: [time(instants, interval), value] };
}

/** Return the samples with a null for each step that has none: what is left out would be bridged by a line. */
function withGaps(points: Sample[], step: number): [seconds: number, text: string | null][] {
  return points.flatMap(([seconds, text], index) => {
    const before = points[index - 1]?.[0] ?? seconds;
    const missing = Math.max(0, Math.round((seconds - before) / step) - 1);
    const gap = Array.from({ length: missing }, (_, place): [number, null] => [before + (place + 1) * step, null]);
    return [...gap, [seconds, text] as [number, string]];
  });
}

/** Return a series' name; nothing where Grafana is to make it from the labels. */
function legend({ legendFormat, expr }: Target, labels: Labels): string | undefined {
  if (!legendFormat || legendFormat === "__auto") {
    return Object.keys(labels).length ? undefined : expr;
  }
  return legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label: string) => labels[label] ?? "");
}

function table(target: Target, result: Series[], isOneOfSeveral: boolean): DataFrame {
  const rows = result.flatMap((series) => samples(series).map(([seconds, text]) => ({ series, seconds, text })));
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const fields: Field[] = labels.map((label) => ({
    name: label,
    type: FieldType.string,
    values: rows.map(({ series }) => series.metric[label] ?? ""),
    config: {},
  }));
  const value: Field<number> = {
    name: isOneOfSeveral ? `Value #${target.refId}` : "Value",
    type: FieldType.number,
    values: rows.map(({ text }) => number(text)),
    config: {},
  };
  return {
    refId: target.refId,
    length: rows.length,
    fields: [time(rows.map(({ seconds }) => seconds)), ...fields, value],
  };
}

/** Return one field for each bucket, lowest first, each with what lies in it alone: `le` counts what lies below, too. */
function heatmap(target: Target, result: Series[], interval: number): DataFrame {
  const sorted = [...result].sort((one, other) => number(one.metric["le"] ?? "") - number(other.metric["le"] ?? ""));
  const instants = [...new Set(sorted.flatMap((series) => samples(series).map(([seconds]) => seconds)))].sort(
    (one, other) => one - other,
  );
  let below = new Map<number, number>();
  const fields = sorted.map((series): Field<number | null> => {
    const counts = new Map(samples(series).map(([seconds, text]) => [seconds, number(text)]));
    const values = instants.map((seconds) => {
      const count = counts.get(seconds);
      return count === undefined || Number.isNaN(count) ? null : Math.max(0, count - (below.get(seconds) ?? 0));
    });
    below = counts;
    return { name: series.metric["le"] ?? "", type: FieldType.number, values, labels: series.metric, config: {} };
  });
  return { refId: target.refId, length: instants.length, fields: [time(instants, interval), ...fields] };
}
