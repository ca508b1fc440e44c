import { TableNG } from "@grafana/ui/unstable";

import { configOf } from "../fields";
import type { ViewProps } from "./PanelView";

export function TableView({ panel, frames, range, width, height }: ViewProps) {
  const options = panel.options ?? {};
  return (
    <TableNG
      data={frames[0]!}
      fieldConfig={configOf(panel)}
      timeRange={range}
      width={width}
      height={height}
      noHeader={!(options.showHeader ?? true)}
      sortBy={options.sortBy}
      cellHeight={options.cellHeight}
      enableVirtualization={false}
      transparent={panel.transparent}
    />
  );
}
