import { GrafanaTheme2, rangeUtil, TimeRange } from "@grafana/data";
import { Icon } from "@grafana/ui";
import { CSSProperties } from "react";

import type { Placed } from "./dashboard";
import { Loaded, PanelView } from "./panels/PanelView";

/** A panel with its data and its place. */
export interface Drawn extends Placed {
  loaded: Loaded;
}

interface DashboardProps {
  title: string;
  variables: [label: string, value: string][];
  drawn: Drawn[];
  height: number;
  range: TimeRange;
  theme: GrafanaTheme2;
}

export function DashboardView({ title, variables, drawn, height, range, theme }: DashboardProps) {
  const colors = {
    "--border": theme.colors.border.medium,
    "--faint": theme.colors.text.secondary,
    "--raised": theme.colors.background.secondary,
  } as CSSProperties;
  return (
    <div style={colors}>
      <div className="head">
        <h1>{title}</h1>
        {variables.map(([label, value]) => (
          <Pill key={label} words={[label, value]} />
        ))}
        <Pill words={[rangeUtil.describeTimeRange(range.raw)]} />
      </div>
      <div className="panels" style={{ height }}>
        {drawn.map(({ loaded, left, top, width, height }) => (
          <div key={loaded.panel.id} style={{ left, top, width, height }}>
            {loaded.panel.type === "row" ? (
              <Row title={loaded.title} isCollapsed={loaded.panel.collapsed ?? false} />
            ) : (
              <PanelView loaded={loaded} range={range} width={width} height={height} />
            )}
          </div>
        ))}
      </div>
    </div>
  );
}

function Row({ title, isCollapsed }: { title: string; isCollapsed: boolean }) {
  return (
    <div className="heading">
      <Icon name={isCollapsed ? "angle-right" : "angle-down"} />
      {title}
    </div>
  );
}

function Pill({ words }: { words: string[] }) {
  return (
    <div className="pill">
      {words.map((word) => (
        <span key={word}>{word}</span>
      ))}
    </div>
  );
}
