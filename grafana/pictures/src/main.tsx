/** Draws the dashboard that the address names, `?dashboard=overview&span=30m`, and reports what is missing in it. */

import "@fontsource-variable/inter";
import "uplot/dist/uPlot.min.css";
import "./page.css";

import { createTheme, GrafanaTheme2, ThemeContext } from "@grafana/data";
import { GlobalStyles } from "@grafana/ui";
import { createRoot } from "react-dom/client";
import { flushSync } from "react-dom";

import { marks, Marks } from "./annotations";
import { Dashboard, Panel, place } from "./dashboard";
import { DashboardView, Drawn } from "./DashboardView";
import { exemplars } from "./exemplars";
import { dress } from "./fields";
import { failureOf, isEmpty, Loaded } from "./panels/PanelView";
import { last, query, Scope, scrapeSeconds } from "./prometheus";
import { choose } from "./variables";

const FONT = "'Inter Variable'";
const MARGIN = 16;
const PANEL_PADDING = 16;

/** What could not be drawn, and which panels had nothing to show. */
interface Report {
  faults: string[];
  empty: string[];
}

async function draw(asked: URLSearchParams): Promise<Report> {
  const dashboard: Dashboard = await (await fetch(`/dashboards/${asked.get("dashboard")}.json`)).json();
  const span = asked.get("span") ?? (dashboard.time?.from ?? "now-1h").replace("now-", "");
  const theme = createTheme({
    colors: { mode: "dark" },
    typography: { fontFamily: `${FONT}, sans-serif` },
  });
  const scope = {
    range: last(span, asked.get("ago") ?? "0s"),
    scrape: await scrapeSeconds(),
    values: await choose(dashboard.templating?.list ?? []),
  };
  const marked = await marks(dashboard.annotations?.list ?? [], scope, theme);
  const { placed, height } = place(dashboard.panels, window.innerWidth - 2 * MARGIN);
  const drawn = await Promise.all(
    placed.map(async (at): Promise<Drawn> => ({
      ...at,
      loaded: await load(at.panel, Math.round(at.width - PANEL_PADDING), scope, theme),
    })),
  );
  await Promise.all([400, 500].map((weight) => document.fonts.load(`${weight} 12px ${FONT}`))); // a canvas waits for none
  const root = createRoot(document.getElementById("dashboard")!);
  flushSync(() =>
    root.render(
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        <Marks.Provider value={marked}>
          <DashboardView
            title={dashboard.title}
            variables={scope.values.shown}
            drawn={drawn}
            height={height}
            range={scope.range}
            theme={theme}
          />
        </Marks.Provider>
      </ThemeContext.Provider>,
    ),
  );
  const panels = drawn.map(({ loaded }) => loaded).filter(({ panel }) => panel.type !== "row");
  const faulty = panels.filter((loaded) => failureOf(loaded) !== undefined);
  return {
    faults: faulty.map((loaded) => `${loaded.title}: ${failureOf(loaded)}`),
    empty: panels.filter((loaded) => !faulty.includes(loaded) && isEmpty(loaded)).map(({ title }) => title),
  };
}

async function load(panel: Panel, points: number, scope: Scope, theme: GrafanaTheme2): Promise<Loaded> {
  const { values } = scope;
  const inserted = panel.options?.content
    ? { ...panel, options: { ...panel.options, content: values.insert(panel.options.content) } }
    : panel;
  const loaded = {
    panel: inserted,
    title: values.insert(panel.title ?? ""),
    description: values.insert(panel.description ?? ""),
    frames: [],
    exemplars: [],
  };
  try {
    const frames = await query(panel, points, scope);
    return {
      ...loaded,
      frames: await dress(panel, frames, values, theme),
      exemplars: await exemplars(panel, points, scope),
    };
  } catch (error) {
    return { ...loaded, failure: String(error) };
  }
}

const report = await draw(new URLSearchParams(window.location.search)).catch((error): Report => ({
  faults: [String(error)],
  empty: [],
}));
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
