import { FieldDisplay, getDisplayValueAlignmentFactors, getFieldDisplayValues, VizOrientation } from "@grafana/data";
import {
  BigValue,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  useTheme2,
  VizRepeater,
} from "@grafana/ui";

import { configOf } from "../fields";
import type { ViewProps } from "./PanelView";

export function StatView({ panel, frames, width, height }: ViewProps) {
  const theme = useTheme2();
  const options = panel.options ?? {};
  const graphMode: BigValueGraphMode = options.graphMode ?? BigValueGraphMode.Area;
  const values = () =>
    getFieldDisplayValues({
      data: frames,
      fieldConfig: configOf(panel),
      reduceOptions: { calcs: ["lastNotNull"], ...options.reduceOptions },
      replaceVariables: (text) => text,
      sparkline: graphMode !== BigValueGraphMode.None,
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
      orientation={options.orientation ?? VizOrientation.Auto}
      itemSpacing={3}
      autoGrid
      renderValue={(item) => (
        <BigValue
          value={item.value.display}
          count={item.count}
          sparkline={item.value.sparkline}
          colorMode={options.colorMode ?? BigValueColorMode.Value}
          graphMode={graphMode}
          justifyMode={options.justifyMode ?? BigValueJustifyMode.Auto}
          textMode={options.textMode ?? BigValueTextMode.Auto}
          text={options.text}
          alignmentFactors={item.alignmentFactors}
          disableWideLayout={!(options.wideLayout ?? true)}
          width={item.width}
          height={item.height}
          theme={theme}
        />
      )}
    />
  );
}
