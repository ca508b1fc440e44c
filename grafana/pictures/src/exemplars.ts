/** Single messages on a chart of latencies: the examples that were kept with a histogram. */

import { GrafanaTheme2 } from "@grafana/data";
import type { UPlotConfigBuilder } from "@grafana/ui";
import uPlot from "uplot";

import type { Panel } from "./dashboard";
import { ask, number, Scope, stepOf } from "./prometheus";

export interface Exemplar {
  at: number;
  value: number;
}

interface Answer {
  exemplars: { timestamp: number; value: string }[];
}

const SIZE = 6;
/** Where scrapes are closer than Grafana expects them, examples would hide the curves. */
const LEAST_STEP_MS = 15_000;

/** Return the examples of a panel's queries that ask for them. */
export async function exemplars(panel: Panel, points: number, scope: Scope): Promise<Exemplar[]> {
  const { from, to } = scope.range;
  const wanted = (panel.targets ?? []).filter((target) => target.exemplar && !target.hide);
  const answers = wanted.map(async (target) => {
    const { step, timings } = stepOf(panel, target, points, scope);
    const query = scope.values.insert(target.expr, timings);
    const [start, end] = [from, to].map((instant) => String(instant.valueOf() / 1000));
    const series = await ask<Answer[]>("query_exemplars", { query, start: start!, end: end! });
    const found = series.flatMap((one) => one.exemplars);
    return sampled(
      found.map(({ timestamp, value }) => ({ at: timestamp * 1000, value: number(value) })),
      Math.max(step, LEAST_STEP_MS),
    );
  });
  return (await Promise.all(answers)).flat();
}

/** Of those in one step, keep as Grafana does the highest, and those two standard deviations apart from the last kept. */
function sampled(all: Exemplar[], step: number): Exemplar[] {
  const mean = all.reduce((sum, { value }) => sum + value, 0) / all.length;
  const apart = 2 * Math.sqrt(all.reduce((sum, { value }) => sum + (value - mean) ** 2, 0) / all.length);
  const kept = new Map<number, Exemplar[]>();
  for (const one of [...all].sort((left, right) => right.value - left.value)) {
    const bucket = Math.floor(one.at / step);
    const others = kept.get(bucket) ?? [];
    if (others.length === 0 || others.at(-1)!.value - one.value > apart) {
      kept.set(bucket, [...others, one]);
    }
  }
  return [...kept.values()].flat();
}

/** Let a chart show the examples as small diamonds; what lies beyond its scale, at the edge. */
export function addExemplars(builder: UPlotConfigBuilder, all: Exemplar[], theme: GrafanaTheme2): void {
  builder.addHook("draw", (plot) => all.forEach((one) => draw(plot, one, theme.colors.primary.main)));
}

function draw(plot: uPlot, { at, value }: Exemplar, color: string): void {
  const { ctx, bbox } = plot;
  const scale = plot.series[1]?.scale ?? "y";
  const { min = 0, max = 0 } = plot.scales[scale] ?? {};
  const x = plot.valToPos(at, "x", true);
  const y = plot.valToPos(Math.min(max ?? 0, Math.max(min ?? 0, value)), scale, true);
  if (x < bbox.left || x > bbox.left + bbox.width) {
    return;
  }
  const size = SIZE * uPlot.pxRatio;
  ctx.save();
  ctx.translate(x, y);
  ctx.rotate(Math.PI / 4);
  ctx.fillStyle = color;
  ctx.fillRect(-size / 2, -size / 2, size, size);
  ctx.restore();
}
