import { FieldDisplay, getDisplayValueAlignmentFactors, getFieldDisplayValues, VizOrientation } from "@grafana/data";
import { BarGaugeDisplayMode } from "@grafana/schema";
import { BarGauge, useTheme2, VizRepeater } from "@grafana/ui";

import { configOf } from "../fields";
import type { ViewProps } from "./PanelView";

export function BarGaugeView({ panel, frames, width, height }: ViewProps) {
  const theme = useTheme2();
  const options = panel.options ?? {};
  const isManual = options.sizing === "manual";
  const values = () =>
    getFieldDisplayValues({
      data: frames,
      fieldConfig: configOf(panel),
      reduceOptions: { calcs: ["lastNotNull"], ...options.reduceOptions },
      replaceVariables: (text) => text,
      theme,
      timeZone: "utc",
    });
  return (
    <VizRepeater<FieldDisplay, ReturnType<typeof getDisplayValueAlignmentFactors>>
      getValues={values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      source={frames}
      renderCounter={0}
      width={width}
      height={height}
      minVizWidth={isManual ? options.minVizWidth : 8}
      minVizHeight={isManual ? options.minVizHeight : 16}
      maxVizHeight={isManual ? options.maxVizHeight : 300}
      orientation={options.orientation ?? VizOrientation.Auto}
      itemSpacing={options.displayMode === BarGaugeDisplayMode.Lcd ? 2 : 10}
      renderValue={(item) => (
        <BarGauge
          value={item.value.display}
          field={item.value.field}
          display={item.value.view?.getFieldDisplayProcessor(item.value.colIndex ?? 0)}
          displayMode={options.displayMode ?? BarGaugeDisplayMode.Gradient}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          showUnfilled={options.showUnfilled ?? true}
          text={options.text}
          orientation={item.orientation}
          alignmentFactors={item.alignmentFactors}
          itemSpacing={10}
          lcdCellWidth={12}
          width={item.width}
          height={item.height}
          theme={theme}
        />
      )}
    />
  );
}
