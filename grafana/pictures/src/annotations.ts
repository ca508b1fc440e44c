/** What a dashboard marks on every chart: instants and spans in which a query gives something. */

import { colorManipulator, GrafanaTheme2, rangeUtil } from "@grafana/data";
import type { UPlotConfigBuilder } from "@grafana/ui";
import { createContext } from "react";
import uPlot from "uplot";

import type { AnnotationQuery } from "./dashboard";
import { queryRange, Samples, Scope } from "./prometheus";

export interface Mark {
  from: number;
  to: number;
  color: string;
}

export const Marks = createContext<Mark[]>([]);

/** Grafana asks for no more points than this. */
const POINTS = 100;
const DASH = [5, 5];

/** Return what there is to mark. */
export async function marks(
  queries: AnnotationQuery[],
  { range, values }: Scope,
  theme: GrafanaTheme2,
): Promise<Mark[]> {
  const answers = queries
    .filter(({ enable }) => enable)
    .map(async ({ expr = "", step, iconColor, useValueForTime }) => {
      const { intervalMs } = rangeUtil.calculateInterval(range, POINTS, step ?? "60s");
      const color = theme.visualization.getColorByName(iconColor);
      const series = await queryRange(values.insert(expr, { __interval: `${intervalMs / 1000}s` }), range, intervalMs);
      return series
        .flatMap((samples) => spans(samples, intervalMs, useValueForTime ?? false))
        .map((span) => ({ ...span, color }));
    });
  const [from, to] = [range.from.valueOf(), range.to.valueOf()];
  return (await Promise.all(answers)).flat().filter((mark) => mark.to >= from && mark.from <= to);
}

/** Samples beside each other are one span; where the value tells the time, each value is an instant. */
function spans(samples: Samples, interval: number, isValueTime: boolean): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const [instant, value] of samples) {
    const at = isValueTime ? Math.floor(value) : instant;
    const before = found.at(-1);
    if (before !== undefined && at - before.to <= interval) {
      before.to = at;
    } else if (value) {
      found.push({ from: at, to: at });
    }
  }
  return found;
}

/** Let a chart show the marks as Grafana does: dashed lines, a veil over a span, and a sign below the axis. */
export function addMarks(builder: UPlotConfigBuilder, marks: Mark[]): void {
  builder.addHook("draw", (plot) => marks.forEach((mark) => draw(plot, mark)));
}

function draw(plot: uPlot, { from, to, color }: Mark): void {
  const { ctx, bbox } = plot;
  const bottom = bbox.top + bbox.height;
  const inside = (instant: number) =>
    Math.round(Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(instant, "x", true))));
  const [left, right] = [inside(from), inside(to)];
  const size = 5 * uPlot.pxRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = color;
  ctx.lineWidth = uPlot.pxRatio;
  ctx.setLineDash(DASH.map((length) => length * uPlot.pxRatio));
  for (const x of new Set([left, right])) {
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bottom);
    ctx.stroke();
  }
  if (right > left) {
    ctx.fillRect(left, bottom, right - left, size);
    ctx.fillStyle = colorManipulator.alpha(color, 0.1);
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
  } else {
    ctx.beginPath();
    ctx.moveTo(left, bottom);
    ctx.lineTo(left - size, bottom + size);
    ctx.lineTo(left + size, bottom + size);
    ctx.fill();
  }
  ctx.restore();
}
