import { DataFrame, Field, formattedValueToString, getValueFormat, GrafanaTheme2 } from "@grafana/data";
import { useTheme2, VizLayout } from "@grafana/ui";
import * as chromatic from "d3-scale-chromatic";
import { useMemo } from "react";

import { Box, Label, Lanes } from "./Lanes";
import type { ViewProps } from "./PanelView";

const LABEL_HEIGHT = 16;
const AXIS_HEIGHT = 40;
/** On a dark ground Grafana turns all schemes round but these. */
const KEPT = ["Turbo", "Cividis", "Viridis", "Magma", "Inferno", "Plasma", "Warm", "Cool"];

interface Scale {
  low: number;
  high: number;
  palette: string[];
}

export function HeatmapView({ panel, frames, range, width, height }: ViewProps) {
  const theme = useTheme2();
  const options = panel.options ?? {};
  const isLegendShown = options.legend?.show ?? true;
  const frame = frames[0]!;
  const lanes = frame.fields.length - 1;
  const { boxes, scale } = useMemo(() => cells(frame, options, theme), [frame, options, theme]);
  const labels = useMemo(
    () => edges(frame, options.yAxis?.unit ?? "short", options.yAxis?.decimals, height),
    [frame, options, height],
  );
  return (
    <VizLayout
      width={width}
      height={height}
      legend={
        isLegendShown ? (
          <VizLayout.Legend placement="bottom">
            <Colors scale={scale} unit={options.cellValues?.unit ?? frame.fields[1]?.config.unit ?? "short"} />
          </VizLayout.Legend>
        ) : null
      }
    >
      {(innerWidth, innerHeight) => (
        <Lanes
          lanes={lanes}
          labels={labels}
          boxes={boxes}
          fill={0.94}
          range={range}
          width={innerWidth}
          height={innerHeight}
        />
      )}
    </VizLayout>
  );
}

function cells(frame: DataFrame, options: Record<string, any>, theme: GrafanaTheme2): { boxes: Box[]; scale: Scale } {
  const [time, ...buckets] = frame.fields as [Field<number>, ...Field<number | null>[]];
  const hidden = options.filterValues?.le ?? 1e-9;
  const values = buckets.flatMap(({ values }) =>
    values.filter((value) => value !== null && value > hidden),
  ) as number[];
  const scale = {
    low: options.color?.min ?? Math.min(...values),
    high: options.color?.max ?? Math.max(...values),
    palette: palette(options.color ?? {}, theme),
  };
  const step = time.config.interval ?? 0;
  const boxes = buckets.flatMap(({ values }, lane) =>
    values.flatMap((value, index): Box[] => {
      const to = time.values[index]!;
      return value === null || value <= hidden ? [] : [{ from: to - step, to, lane, color: colorOf(value, scale) }];
    }),
  );
  return { boxes, scale };
}

function colorOf(value: number, { low, high, palette }: Scale): string {
  const share = high > low ? (value - low) / (high - low) : 0;
  return palette[Math.min(palette.length - 1, Math.max(0, Math.floor(share * palette.length)))]!;
}

function palette(options: Record<string, any>, theme: GrafanaTheme2): string[] {
  const {
    mode,
    scheme = "Oranges",
    steps = 64,
    reverse = false,
    fill = "dark-orange",
    scale,
    exponent = 0.5,
  } = options;
  const shares = Array.from({ length: steps }, (_, index) => index / (steps - 1));
  if (mode === "opacity") {
    const color = theme.visualization.getColorByName(fill);
    const power = scale === "exponential" ? exponent : 1;
    return shares.map((share) => `color-mix(in srgb, ${color} ${100 * share ** power}%, transparent)`);
  }
  const interpolate = (chromatic as unknown as Record<string, (share: number) => string>)[`interpolate${scheme}`]!;
  const isTurned = (theme.isDark && !KEPT.includes(scheme)) !== reverse;
  return shares.map((share) => interpolate(isTurned ? 1 - share : share));
}

/** Return the upper bound of each bucket at its upper edge, as many as there is room for. */
function edges(frame: DataFrame, unit: string, decimals: number | undefined, height: number): Label[] {
  const format = getValueFormat(unit);
  const bounds = frame.fields.slice(1).map(({ name }) => name);
  const every = Math.ceil((bounds.length * LABEL_HEIGHT) / Math.max(1, height - AXIS_HEIGHT));
  return bounds
    .map((bound, index) => ({
      at: index + 1,
      text: bound === "+Inf" ? bound : formattedValueToString(format(Number(bound), decimals)),
    }))
    .filter((_, index) => (bounds.length - 1 - index) % every === 0);
}

function Colors({ scale: { low, high, palette }, unit }: { scale: Scale; unit: string }) {
  const format = getValueFormat(unit);
  const [least, most] = [low, high].map((value) => formattedValueToString(format(value)));
  return (
    <div className="colors">
      <span>{least}</span>
      <div style={{ background: `linear-gradient(90deg, ${palette.join(", ")})` }} />
      <span>{most}</span>
    </div>
  );
}
