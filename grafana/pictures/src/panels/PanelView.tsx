import { DataFrame, TimeRange } from "@grafana/data";
import { PanelChrome } from "@grafana/ui";
import { ComponentType } from "react";

import type { Panel } from "../dashboard";
import type { Exemplar } from "../exemplars";
import { BarGaugeView } from "./BarGaugeView";
import { HeatmapView } from "./HeatmapView";
import { StateTimelineView } from "./StateTimelineView";
import { StatView } from "./StatView";
import { TableView } from "./TableView";
import { TextView } from "./TextView";
import { TimeSeriesView } from "./TimeSeriesView";

/** What each kind of panel is given: its frames are dressed, its size is what the frame around it leaves. */
export interface ViewProps {
  panel: Panel;
  frames: DataFrame[];
  exemplars: Exemplar[];
  range: TimeRange;
  width: number;
  height: number;
}

/** A panel with its data, or with the reason why it has none. */
export interface Loaded {
  panel: Panel;
  title: string;
  description: string;
  frames: DataFrame[];
  exemplars: Exemplar[];
  failure?: string;
}

const VIEWS: Record<string, ComponentType<ViewProps>> = {
  bargauge: BarGaugeView,
  heatmap: HeatmapView,
  stat: StatView,
  "state-timeline": StateTimelineView,
  table: TableView,
  text: TextView,
  timeseries: TimeSeriesView,
};

/** Return why a panel cannot be drawn, if so. */
export function failureOf({ panel, failure }: Loaded): string | undefined {
  return failure ?? (panel.type in VIEWS ? undefined : `cannot draw panels of type ${panel.type}`);
}

/** Tell whether there is nothing to draw. */
export function isEmpty({ panel, frames }: Loaded): boolean {
  return panel.type !== "text" && frames.every((frame) => frame.length === 0);
}

/** Draws one panel in Grafana's own frame. */
export function PanelView({
  loaded,
  range,
  width,
  height,
}: {
  loaded: Loaded;
  range: TimeRange;
  width: number;
  height: number;
}) {
  const { panel, title, description, frames, exemplars } = loaded;
  const failure = failureOf(loaded);
  const View = VIEWS[panel.type];
  return (
    <PanelChrome
      width={width}
      height={height}
      title={title}
      description={description}
      displayMode={panel.transparent ? "transparent" : "default"}
      padding={panel.type === "stat" || panel.type === "table" ? "none" : "md"}
    >
      {(innerWidth, innerHeight) =>
        View === undefined || failure !== undefined || isEmpty(loaded) ? (
          <Nothing reason={failure ?? panel.fieldConfig?.defaults?.noValue ?? "No data"} />
        ) : (
          <View
            panel={panel}
            frames={frames}
            exemplars={exemplars}
            range={range}
            width={innerWidth}
            height={innerHeight}
          />
        )
      }
    </PanelChrome>
  );
}

function Nothing({ reason }: { reason: string }) {
  return <div className="nothing">{reason}</div>;
}
