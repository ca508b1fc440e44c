/** Gives a panel's data the panel's transformations, and each field its unit, colours and names, by Grafana's own rules. */

import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  DataFrame,
  FieldColorModeId,
  FieldConfigOptionsRegistry,
  FieldConfigPropertyItem,
  FieldConfigSource,
  GrafanaTheme2,
  standardTransformers,
  standardTransformersRegistry,
  ThresholdsConfig,
  ThresholdsMode,
  TransformerRegistryItem,
  transformDataFrame,
} from "@grafana/data";
import { firstValueFrom } from "rxjs";

import type { Panel } from "./dashboard";
import type { Values } from "./variables";

// Some stand in Grafana's table under two names.
standardTransformersRegistry.setInit(() =>
  [...new Map(Object.values(standardTransformers).map((one) => [one.id, one])).values()].map(
    (transformer) =>
      ({
        id: transformer.id,
        name: transformer.name,
        transformation: () => Promise.resolve(transformer),
      }) as unknown as TransformerRegistryItem,
  ),
);

const STANDARD = [
  "unit",
  "min",
  "max",
  "fieldMinMax",
  "decimals",
  "displayName",
  "noValue",
  "thresholds",
  "mappings",
  "links",
  "color",
  "filterable",
];

const UNSET: ThresholdsConfig = {
  mode: ThresholdsMode.Absolute,
  steps: [
    { value: -Infinity, color: "green" },
    { value: 80, color: "red" },
  ],
};

/** Return the frames as the panel shows them. */
export async function dress(
  panel: Panel,
  frames: DataFrame[],
  values: Values,
  theme: GrafanaTheme2,
): Promise<DataFrame[]> {
  const insert = (text: string) => values.insert(text);
  const wanted = (panel.transformations ?? []).filter((transformation) => !transformation.disabled);
  const data = await firstValueFrom(transformDataFrame(wanted, frames, { interpolate: insert }));
  const fieldConfig = configOf(panel);
  const dressed = applyFieldOverrides({
    data,
    fieldConfig,
    fieldConfigRegistry: registry(fieldConfig),
    replaceVariables: insert,
    theme,
    timeZone: "utc",
  });
  cacheFieldDisplayNames(dressed);
  return dressed;
}

/** Return the panel's rules for fields, with what each kind of panel does where it has none. */
export function configOf(panel: Panel): FieldConfigSource {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const mode = panel.type === "timeseries" ? FieldColorModeId.PaletteClassic : FieldColorModeId.Thresholds;
  return { defaults: { thresholds: UNSET, color: { mode }, ...defaults }, overrides };
}

/** Return the properties that rules may set: the standard ones, and those of the panel that these rules name. */
function registry({ defaults, overrides }: FieldConfigSource): FieldConfigOptionsRegistry {
  const named = overrides.flatMap(({ properties }) => properties.map(({ id }) => id));
  const custom = new Set([
    ...Object.keys(defaults.custom ?? {}),
    ...named.filter((id) => id.startsWith("custom.")).map((id) => id.slice("custom.".length)),
  ]);
  return new FieldConfigOptionsRegistry(() => [
    ...STANDARD.map((id) => property(id, id, false)),
    ...[...custom].map((path) => property(`custom.${path}`, path, true)),
  ]);
}

function property(id: string, path: string, isCustom: boolean): FieldConfigPropertyItem {
  return {
    id,
    path,
    isCustom,
    name: id,
    process: (value) => value,
    shouldApply: () => true,
    editor: () => null,
    override: () => null,
  };
}
