/** What the pictures read of a dashboard's JSON (Grafana's schema v1), and where each panel lies. */

import type { DataTransformerConfig, FieldConfigSource } from "@grafana/data";

export interface GridPos {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  format?: "time_series" | "table" | "heatmap";
  instant?: boolean;
  range?: boolean;
  exemplar?: boolean;
  interval?: string;
  hide?: boolean;
}

export interface Panel {
  id: number;
  type: string;
  title?: string;
  description?: string;
  transparent?: boolean;
  gridPos: GridPos;
  targets?: Target[];
  fieldConfig?: FieldConfigSource;
  // Each kind of panel has its own options, and reads them itself.
  options?: Record<string, any>;
  transformations?: DataTransformerConfig[];
  interval?: string;
  maxDataPoints?: number;
  collapsed?: boolean;
  panels?: Panel[];
}

export interface Variable {
  name: string;
  type: string;
  label?: string;
  hide?: number;
  query?: string | { query?: string };
  regex?: string;
  sort?: number;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string;
  current?: { text?: string | string[]; value?: string | string[] };
}

export interface AnnotationQuery {
  name: string;
  enable: boolean;
  iconColor: string;
  expr?: string;
  step?: string;
  useValueForTime?: boolean;
}

export interface Dashboard {
  uid: string;
  title: string;
  tags?: string[];
  time?: { from: string; to: string };
  timezone?: string;
  templating?: { list?: Variable[] };
  annotations?: { list?: AnnotationQuery[] };
  panels: Panel[];
}

/** A panel and its place on the page, in pixels. */
export interface Placed {
  panel: Panel;
  left: number;
  top: number;
  width: number;
  height: number;
}

const COLUMNS = 24;
const ROW = 30;
const GAP = 8;

/** Return every panel that is seen, and the height of all; a collapsed row shows its heading only. */
export function place(panels: Panel[], width: number): { placed: Placed[]; height: number } {
  const column = (width - GAP * (COLUMNS - 1)) / COLUMNS;
  const placed = panels.map((panel) => {
    const { x, y, w, h } = panel.gridPos;
    return {
      panel,
      left: x * (column + GAP),
      top: y * (ROW + GAP),
      width: w * (column + GAP) - GAP,
      height: h * (ROW + GAP) - GAP,
    };
  });
  return { placed, height: Math.max(0, ...placed.map(({ top, height }) => top + height)) };
}
