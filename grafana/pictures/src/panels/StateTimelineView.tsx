import {
  DataFrame,
  DisplayValue,
  Field,
  FieldType,
  getFieldDisplayName,
  GrafanaTheme2,
  ThresholdsMode,
} from "@grafana/data";
import { FieldColorModeId } from "@grafana/schema";
import { useTheme2, VizLayout, VizLegend, VizLegendItem } from "@grafana/ui";
import { useMemo } from "react";

import { Box, Lanes } from "./Lanes";
import type { ViewProps } from "./PanelView";

interface State {
  from: number;
  to: number;
  display: DisplayValue;
}

interface Lane {
  name: string;
  field: Field;
  states: State[];
}

export function StateTimelineView({ panel, frames, range, width, height }: ViewProps) {
  const theme = useTheme2();
  const { rowHeight = 0.9, showValue = "auto", mergeValues = true, legend } = panel.options ?? {};
  const drawn = useMemo(() => {
    const lanes = lanesOf(frames, mergeValues);
    const opacity = (panel.fieldConfig?.defaults?.custom?.fillOpacity ?? 70) / 100;
    return {
      lanes,
      labels: lanes.map(({ name }, index) => ({ at: lanes.length - index - 0.5, text: name })),
      boxes: lanes.flatMap(({ states }, index) =>
        states.map((state) => box(state, lanes.length - 1 - index, opacity, showValue !== "never", theme)),
      ),
    };
  }, [frames, panel, mergeValues, showValue, theme]);
  const isLegendShown = legend?.showLegend ?? true;
  const placement = legend?.placement ?? "bottom";
  return (
    <VizLayout
      width={width}
      height={height}
      legend={
        isLegendShown ? (
          <VizLayout.Legend placement={placement}>
            <VizLegend placement={placement} items={meanings(drawn.lanes, theme)} displayMode={legend?.displayMode} />
          </VizLayout.Legend>
        ) : null
      }
    >
      {(innerWidth, innerHeight) => (
        <Lanes
          lanes={drawn.lanes.length}
          labels={drawn.labels}
          boxes={drawn.boxes}
          fill={rowHeight}
          range={range}
          width={innerWidth}
          height={innerHeight}
        />
      )}
    </VizLayout>
  );
}

function lanesOf(frames: DataFrame[], mergeValues: boolean): Lane[] {
  return frames.flatMap((frame) => {
    const time = frame.fields.find(({ type }) => type === FieldType.time);
    const fields = frame.fields.filter((field) => field !== time);
    return time === undefined
      ? []
      : fields.map((field) => ({
          field,
          name: getFieldDisplayName(field, frame, frames),
          states: statesOf(field, time, mergeValues),
        }));
  });
}

/** Return what a field was from when to when; a state lasts until the next, and ends where a sample is missing. */
function statesOf(field: Field, time: Field<number>, mergeValues: boolean): State[] {
  const step = time.config.interval ?? 0;
  const states: State[] = [];
  field.values.forEach((value, index) => {
    const from = time.values[index]!;
    if (value === null || value === undefined || Number.isNaN(value)) {
      return;
    }
    const display = field.display!(value);
    const before = states.at(-1);
    const follows = before !== undefined && from - before.to < step / 2;
    if (follows && mergeValues && before.display.text === display.text && before.display.color === display.color) {
      before.to = from + step;
    } else {
      states.push({ from, to: from + step, display });
    }
  });
  return states;
}

function box(
  { from, to, display }: State,
  lane: number,
  opacity: number,
  isWritten: boolean,
  theme: GrafanaTheme2,
): Box {
  const color = display.color ?? theme.colors.text.disabled;
  const text = `${display.prefix ?? ""}${display.text}${display.suffix ?? ""}`;
  return {
    from,
    to,
    lane,
    color: blend(color, theme.colors.background.primary, opacity),
    ...(isWritten && { text, textColor: theme.colors.getContrastText(color, 3) }),
  };
}

/** Return the color as it looks over the ground; boxes stand beside each other and must not shine through. */
function blend(color: string, ground: string, opacity: number): string {
  return `color-mix(in srgb, ${color} ${100 * opacity}%, ${ground})`;
}

/** Return what the colors mean: the thresholds where these give them, else the texts that are there. */
function meanings(lanes: Lane[], theme: GrafanaTheme2): VizLegendItem[] {
  const first = lanes[0]?.field.config;
  const isMapped = (first?.mappings ?? []).length > 0;
  if (first?.color?.mode === FieldColorModeId.Thresholds && first.thresholds && !isMapped) {
    const { steps, mode } = first.thresholds;
    const sign = mode === ThresholdsMode.Percentage ? "%" : "";
    return steps.map(({ value, color }, index) => ({
      label: index === 0 ? `< ${steps[1]?.value ?? ""}${sign}` : `${value}${sign}+`,
      color: theme.visualization.getColorByName(color),
      yAxis: 1,
    }));
  }
  const colors = new Map(
    lanes.flatMap(({ states }) =>
      states.map(({ display }): [string, string | undefined] => [display.text, display.color]),
    ),
  );
  return [...colors].map(([label, color]) => ({ label, color, yAxis: 1 }));
}
