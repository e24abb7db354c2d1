// The table of all stations: sorted by any column, searched by id or name, and long ones shown piece by piece.

const FIRST_ROWS = 15;
const MORE_ROWS = 200;
const SPARK = { width: 116, height: 30 };
const alphabet = new Intl.Collator("en", { numeric: true });

// choose(i) is called with the station of a clicked row, ordered(indices) whenever another order is shown.
function makeOverview(data, hours, choose, ordered) {
  const table = document.getElementById("overview");
  const search = document.getElementById("search");
  const state = { key: "station", direction: 1, rows: data.count <= 20 ? data.count : FIRST_ROWS, variable: data.variables[0] };
  const columns = () => makeColumns(data, state.variable);
  const order = () => {
    const column = columns().find(({ key }) => key === state.key) ?? columns()[0];
    const sought = search.value.trim().toLowerCase();
    const found = range(0, data.count - 1).filter((i) => !sought || data.stations.search[i].includes(sought));
    return found.sort((a, b) => compare(column.value(a), column.value(b), state.direction) || a - b);
  };
  const made = new Map(); // rows of the shown variable by station: sorting moves them, and makes no new ones
  const rowOf = (i, shown) => {
    if (!made.has(i)) made.set(i, makeRow(data, hours, shown, i));
    return made.get(i);
  };
  const show = () => {
    const found = order();
    const shown = columns();
    const body = found.slice(0, state.rows).map((i) => rowOf(i, shown));
    const focused = table.tHead.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    table.tHead.replaceChildren(element("tr", {}, ...shown.map((column) => makeHeading(column, state, show))));
    if (focused) table.tHead.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    table.tBodies[0].replaceChildren(...body);
    tellRows(found.length, Math.min(state.rows, found.length), data.count);
    ordered(found);
  };
  const more = (count) => {
    state.rows += count;
    show();
  };
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-station]");
    if (row && !event.target.closest("a")) choose(Number(row.dataset.station));
  });
  search.addEventListener("input", show);
  document.getElementById("more").addEventListener("click", () => more(MORE_ROWS));
  document.getElementById("all").addEventListener("click", () => more(data.count));
  return {
    mark: (i) => {
      state.marked?.removeAttribute("aria-current");
      state.marked = rowOf(i, columns());
      state.marked.setAttribute("aria-current", "true");
    },
    show,
    showVariable: (variable) => {
      state.variable = variable;
      made.clear();
      show();
    },
  };
}

// Texts in the order of their language and numbers by size; what is missing stands last, whatever the direction.
function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  return direction * (typeof a === "string" ? alphabet.compare(a, b) : a - b);
}

// One column each: what it is sorted by, its text, and the direction in which it is sorted first.
function makeColumns(data, variable) {
  const last = data.stations.last;
  const columns = [{ key: "station", title: "station", value: (i) => data.stations.name[i] || data.stations.id[i], first: 1 }];
  if (data.variables.length) columns.push({ key: "course", title: `${variable.label}, 72\u00a0h`, value: () => 0, variable });
  for (const { of, measure, title } of summaryColumns(data, variable)) {
    const values = data.summaries[of.number][measure];
    columns.push({
      key: `${of.name} ${measure}`,
      title: `${title}, ${of.unit.replaceAll(" ", "\u00a0")}`,
      value: (i) => values[i],
      text: (i) => tellNumber(values[i], decimalsOf(of)),
      first: measure === "low" ? 1 : -1,
      strong: of === variable,
    });
  }
  const age = (i) => (last[i] === null ? Infinity : data.now - last[i]);
  columns.push({ key: "age", title: "last reading", value: age, text: (i) => tellLast(data, i), silent: (i) => isSilent(data, i), first: -1 });
  return columns;
}

// Those of the chosen variable, then every sum, and the highest wind.
function summaryColumns(data, variable) {
  const titles = { low: "lowest", high: "highest", sum: "sum" };
  const measures = Object.keys(data.summaries[variable?.number] ?? {});
  const chosen = measures.map((measure) => ({ of: variable, measure, title: titles[measure] }));
  const others = data.variables.flatMap((of) => {
    if (of === variable) return [];
    if (data.summaries[of.number].sum) return [{ of, measure: "sum", title: of.label }];
    return of.name.startsWith("wind_") && data.summaries[of.number].high ? [{ of, measure: "high", title: of.label }] : [];
  });
  return [...chosen, ...others];
}

function isSilent(data, i) {
  return data.stations.last[i] === null || data.stations.last[i] < data.silentBefore;
}

function tellLast(data, i) {
  return data.stations.last[i] === null ? "never" : `${tellAge(data.now - data.stations.last[i])} ago`;
}

function makeHeading(column, state, show) {
  const sorted = state.key === column.key;
  const sort = sorted ? (state.direction > 0 ? "ascending" : "descending") : null;
  if (column.variable) return element("th", { scope: "col", class: "course" }, column.title);
  const button = element("button", { type: "button", "data-key": column.key }, column.title);
  button.addEventListener("click", () => {
    state.direction = sorted ? -state.direction : column.first;
    state.key = column.key;
    show();
  });
  return element("th", { scope: "col", class: column.text ? "number" : null, "aria-sort": sort }, button);
}

function makeRow(data, hours, columns, i) {
  const cells = columns.map((column) => {
    if (column.variable) return element("td", { class: "course" }, hours && drawCourse(data, hours, column.variable, i));
    if (!column.text) return makeNameCell(data, i);
    const css = column.silent?.(i) ? "number bad" : column.strong ? "number strong" : "number";
    return element("td", { class: css }, column.text(i));
  });
  return element("tr", { "data-station": i }, ...cells);
}

function makeNameCell(data, i) {
  const { id, name } = data.stations;
  const link = element("a", { href: `#station=${encodeURIComponent(id[i])}` }, name[i] || id[i]);
  return element("th", { scope: "row" }, link, name[i] && name[i] !== id[i] ? element("span", { class: "soft" }, id[i]) : null);
}

// Two days of observations and a day of medians, on a scale of its own.
function drawCourse(data, hours, variable, i) {
  const past = series(hours.observed, variable, i);
  const ahead = series(hours.forecast, variable, 2, i);
  const known = [...past, ...ahead].filter((value) => value !== null);
  if (!known.length) return null;
  const low = Math.min(...known);
  const high = Math.max(...known);
  const x = (at) => 2 + ((at - data.from) / (data.to - data.from)) * (SPARK.width - 4);
  const y = (value) => 3 + (1 - (value - low) / (high - low || 1)) * (SPARK.height - 6);
  const lines = [
    { start: data.from, values: past, css: "observed", dots: variable.circular },
    { start: data.end + 1, values: ahead, css: "median", dots: variable.circular },
  ];
  const svg = shape("svg", { class: "spark", width: SPARK.width, height: SPARK.height, "aria-hidden": "true" });
  svg.append(...lines.flatMap((line) => drawLine(line, x, y)));
  return svg;
}

function tellRows(found, shown, count) {
  const of = found === count ? `${count.toLocaleString("en")} stations` : `${found.toLocaleString("en")} of ${count.toLocaleString("en")} stations match`;
  document.getElementById("rows").textContent = shown < found ? `${of}, ${shown.toLocaleString("en")} shown` : of;
  const more = document.getElementById("more");
  more.hidden = found - shown <= MORE_ROWS;
  more.textContent = `Show ${MORE_ROWS} more`;
  const all = document.getElementById("all");
  all.hidden = shown >= found;
  all.textContent = `Show all ${found.toLocaleString("en")}`;
}
