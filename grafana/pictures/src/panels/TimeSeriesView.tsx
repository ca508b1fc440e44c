import { DataFrame, Field, FieldType } from "@grafana/data";
import { GraphFieldConfig, LegendDisplayMode } from "@grafana/schema";
import { TimeSeries, useTheme2 } from "@grafana/ui";
import { useContext } from "react";

import { addMarks, Marks } from "../annotations";
import { addExemplars } from "../exemplars";
import type { ViewProps } from "./PanelView";

const CUSTOM: GraphFieldConfig = { lineWidth: 1, fillOpacity: 0, pointSize: 5 };
const LEGEND = { displayMode: LegendDisplayMode.List, placement: "bottom", showLegend: true, calcs: [] } as const;

export function TimeSeriesView({ panel, frames, exemplars, range, width, height }: ViewProps) {
  const theme = useTheme2();
  const marks = useContext(Marks);
  return (
    <TimeSeries
      frames={frames.map(drawable)}
      timeRange={range}
      timeZone="utc"
      width={width}
      height={height}
      legend={{ ...LEGEND, ...panel.options?.legend }}
    >
      {(builder) => {
        addMarks(builder, marks);
        addExemplars(builder, exemplars, theme);
        return null;
      }}
    </TimeSeries>
  );
}

/** What is not a number leaves a gap: 0/0 of a rate, and a quantile beyond the last bucket. */
function drawable(frame: DataFrame): DataFrame {
  const fields = frame.fields.map((field): Field =>
    field.type === FieldType.number
      ? {
          ...field,
          config: { ...field.config, custom: { ...CUSTOM, ...field.config.custom } },
          values: field.values.map((value) => (Number.isFinite(value) ? value : null)),
        }
      : field,
  );
  return { ...frame, fields };
}
