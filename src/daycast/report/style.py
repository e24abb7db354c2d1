"""How the page looks and how its charts come alive; both stand inside it, so that it needs no network."""

CSS = """
:root {
  color-scheme: light dark;
  --ink: #1d2733;
  --soft: #5c6b7a;
  --line: #dde3ea;
  --paper: #f5f7f9;
  --card: #fff;
  --accent: #2f7fd1;
  --good: #1c7f58;
  --bad: #b4452c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e9ef;
    --soft: #97a5b4;
    --line: #2c3743;
    --paper: #12181f;
    --card: #1a222b;
    --accent: #63a7ec;
    --good: #54c497;
    --bad: #ee8a70;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0;
  background: var(--paper);
  color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 36px 0 4px; }
p { margin: 4px 0 12px; max-width: 80ch; }
.soft { color: var(--soft); }
.tiles {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(210px, 1fr));
  gap: 12px;
  margin: 20px 0 8px;
}
.tile, .card {
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: 10px;
  padding: 14px 16px;
}
.tile b {
  display: block;
  font-size: 22px;
  line-height: 1.25;
  margin: 2px 0;
  overflow-wrap: anywhere;
}
.tile span { color: var(--soft); font-size: 13px; }
.grid {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr));
  gap: 12px;
}
.grid.small { grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); }
.narrow { max-width: 620px; }
.card { min-width: 0; }
.chart { width: 100%; }
.wide { overflow-x: auto; padding: 4px 0; }
table {
  border-collapse: collapse;
  width: 100%;
  font-variant-numeric: tabular-nums;
  font-size: 14px;
}
th, td {
  text-align: left;
  padding: 7px 12px;
  border-bottom: 1px solid var(--line);
  white-space: nowrap;
}
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 12em; }
tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
.number { text-align: right; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.bar {
  display: inline-block;
  width: 90px;
  height: 8px;
  border-radius: 4px;
  background: var(--line);
  margin-right: 8px;
  overflow: hidden;
  vertical-align: 1px;
}
.bar i { display: block; height: 100%; background: var(--accent); }
.key {
  display: inline-flex;
  align-items: center;
  gap: 6px;
  margin: 0 16px 8px 0;
  font-size: 13px;
  color: var(--soft);
}
.key i { width: 18px; height: 0; border-top: 3px solid; display: inline-block; }
.key i.band { height: 10px; border: 0; border-radius: 2px; background: #2f7fd1; }
select {
  font: inherit;
  padding: 4px 8px;
  border-radius: 6px;
  border: 1px solid var(--line);
  background: var(--card);
  color: var(--ink);
  margin: 0 20px 8px 0;
}
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
code { font: 13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
"""

SCRIPT = """
const charts = JSON.parse(document.getElementById('charts').textContent);
const views = Object.entries(charts).map(([id, spec]) =>
  vegaEmbed(document.getElementById(id), spec, {actions: false, renderer: 'svg'}).then(made => made.view));
const station = document.getElementById('station');
if (station) station.addEventListener('change', () => views.forEach(made => made.then(view => {
  if ('station' in view.getState().signals) view.signal('station', station.value).runAsync();
})));
"""
