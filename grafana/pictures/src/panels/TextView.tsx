import { renderTextPanelMarkdown } from "@grafana/data";

import type { ViewProps } from "./PanelView";

export function TextView({ panel }: ViewProps) {
  const { mode = "markdown", content = "" } = panel.options ?? {};
  const html = mode === "markdown" ? renderTextPanelMarkdown(content) : content;
  return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: html }} />;
}
