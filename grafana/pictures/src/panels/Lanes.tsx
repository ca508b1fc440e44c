/** Lanes over time with boxes in them: what Grafana's state timelines and heatmaps have in common. */

import { TimeRange } from "@grafana/data";
import { AxisPlacement, ScaleDirection, ScaleOrientation } from "@grafana/schema";
import { UPLOT_AXIS_FONT_SIZE, UPlotChart, UPlotConfigBuilder, useTheme2 } from "@grafana/ui";
import { useContext, useMemo } from "react";
import uPlot from "uplot";

import { addMarks, Marks } from "../annotations";

/** A box from one instant to another (milliseconds), in the lanes that are counted from below. */
export interface Box {
  from: number;
  to: number;
  lane: number;
  color: string;
  text?: string;
  textColor?: string;
}

/** A word on the axis; 0.5 is the middle of the lowest lane, 1 its upper edge. */
export interface Label {
  at: number;
  text: string;
}

interface LanesProps {
  lanes: number;
  labels: Label[];
  boxes: Box[];
  /** How much of its lane's height a box fills. */
  fill: number;
  range: TimeRange;
  width: number;
  height: number;
}

const PADDING = 6;

export function Lanes({ lanes, labels, boxes, fill, range, width, height }: LanesProps) {
  const theme = useTheme2();
  const marks = useContext(Marks);
  const config = useMemo(() => {
    const font = `${UPLOT_AXIS_FONT_SIZE}px ${theme.typography.fontFamily}`;
    const builder = new UPlotConfigBuilder("utc");
    builder.addScale({
      scaleKey: "x",
      isTime: true,
      orientation: ScaleOrientation.Horizontal,
      direction: ScaleDirection.Right,
      range: () => [range.from.valueOf(), range.to.valueOf()],
    });
    builder.addScale({
      scaleKey: "y",
      orientation: ScaleOrientation.Vertical,
      direction: ScaleDirection.Up,
      range: () => [0, lanes],
    });
    builder.addAxis({ scaleKey: "x", isTime: true, placement: AxisPlacement.Bottom, timeZone: "utc", theme });
    builder.addAxis({
      scaleKey: "y",
      placement: AxisPlacement.Left,
      splits: labels.map(({ at }) => at),
      values: labels.map(({ text }) => text),
      grid: { show: false },
      ticks: { show: false },
      theme,
    });
    builder.setPadding([PADDING, PADDING, 0, 0]);
    builder.addHook("draw", (plot) => boxes.forEach((box) => draw(plot, box, fill, font)));
    addMarks(builder, marks);
    return builder;
  }, [lanes, labels, boxes, fill, range, theme, marks]);
  return <UPlotChart config={config} data={[[]]} width={width} height={height} />;
}

function draw(plot: uPlot, { from, to, lane, color, text, textColor }: Box, fill: number, font: string): void {
  const { ctx, bbox } = plot;
  const [left, right] = [from, to].map((instant) =>
    Math.round(Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(instant, "x", true)))),
  ) as [number, number];
  const margin = (1 - fill) / 2;
  const top = Math.round(plot.valToPos(lane + 1 - margin, "y", true));
  const bottom = Math.round(plot.valToPos(lane + margin, "y", true));
  ctx.save();
  ctx.fillStyle = color;
  ctx.fillRect(left, top, right - left, bottom - top);
  if (text !== undefined) {
    ctx.scale(uPlot.pxRatio, uPlot.pxRatio);
    ctx.font = font;
    ctx.textBaseline = "middle";
    ctx.fillStyle = textColor ?? "white";
    const room = (right - left) / uPlot.pxRatio - 2 * PADDING;
    if (ctx.measureText(text).width <= room) {
      ctx.fillText(text, left / uPlot.pxRatio + PADDING, (top + bottom) / 2 / uPlot.pxRatio + 1);
    }
  }
  ctx.restore();
}
