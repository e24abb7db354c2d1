// Puts the page together: times, the overview with its map, the chosen station, and the charts of skill.

function showTimes(data) {
  const zone = data?.zones.length === 1 && data.stations.zone.every((number) => number === 0) ? data.zones[0] : null;
  for (const time of document.querySelectorAll("time[data-hours]")) {
    const wall = wallClock(Number(time.dataset.hours), zone);
    if (wall) time.after(element("span", { class: "local" }, ` (${tellTime(wall)} ${tellZone(zone, data.now).replace(/ \(.*/, "")})`));
  }
  const age = Date.now() / 3_600_000 - Number(document.getElementById("as-of").dataset.hours);
  const old = document.getElementById("old");
  old.hidden = age < 3;
  old.textContent = `This page was written for that hour, ${tellAge(age)} ago.`;
}

async function showStations(data) {
  data.count = data.stations.id.length;
  data.variables.forEach((variable, number) => Object.assign(variable, { number }));
  data.stations.search = data.stations.id.map((id, i) => `${id} ${data.stations.name[i] ?? ""}`.toLowerCase());
  data.horizon = data.forecast.shape.at(-1);
  [data.from, data.to] = [data.end - data.history, data.end + data.horizon];
  const hours = await unpackHours(data);
  const choose = (i) => (location.hash = `station=${encodeURIComponent(data.stations.id[i])}`);
  const state = { chosen: null };
  const overview = makeOverview(data, hours, choose, (order) => {
    state.order = order;
    linkNeighbours(data, order, state.chosen);
  });
  const map = makeMap(data, choose);
  const follow = (scroll) => {
    state.chosen = stationOfHash(data) ?? state.order[0];
    showStation(data, hours, state.chosen);
    linkNeighbours(data, state.order, state.chosen);
    overview.mark(state.chosen);
    map.mark(state.chosen);
    if (scroll) document.getElementById("station").scrollIntoView();
  };
  addVariables(data, (variable) => {
    overview.showVariable(variable);
    overview.mark(state.chosen);
    map.showVariable(variable);
  });
  addEventListener("hashchange", () => stationOfHash(data) !== null && follow(true));
  overview.show();
  follow(stationOfHash(data) !== null);
}

// Null where this browser is too old to unpack them; the table and the map do without.
async function unpackHours(data) {
  try {
    const [forecast, observed] = await Promise.all([unpack(data.forecast), unpack(data.observed)]);
    return { forecast, observed };
  } catch (error) {
    const told = `This browser cannot unpack the hourly values (${error.message}): a newer one draws them.`;
    document.getElementById("station-charts").replaceChildren(element("p", { class: "soft" }, told));
    return null;
  }
}

function stationOfHash(data) {
  const sought = location.hash.startsWith("#station=") ? decodeHash(location.hash.slice(9)) : null;
  const i = data.stations.id.indexOf(sought);
  return i < 0 ? null : i;
}

function decodeHash(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function addVariables(data, choose) {
  const chooser = document.getElementById("variable");
  const offered = data.variables.filter(({ number }) => Object.keys(data.summaries[number]).length);
  chooser.replaceChildren(...offered.map((variable) => element("option", { value: variable.number }, variable.label)));
  chooser.closest("label").hidden = offered.length < 2;
  chooser.addEventListener("change", () => choose(data.variables[Number(chooser.value)]));
}

function showLeads(charts) {
  const names = new Map(charts.leads.flatMap((chart) => chart.lines.map((line) => [line.name, line.color])));
  const keys = [...names].map(([name, color]) => element("span", { class: "key" }, element("i", { style: `color:${color}` }), name));
  document.getElementById("lead-keys").replaceChildren(...keys);
  for (const chart of charts.leads) {
    const place = element("div", { class: "chart" });
    const heading = element("h3", {}, chart.title, element("span", { class: "soft" }, ` ${chart.unit}`));
    document.getElementById("leads").append(element("div", { class: "card" }, heading, place));
    drawChart(place, leadChart(chart));
  }
}

function leadChart(chart) {
  const lines = chart.lines.map((line, n) => ({ ...line, start: 1, css: n ? "baseline" : "median" }));
  return {
    from: 1,
    to: 24,
    ticks: [1, 6, 12, 18, 24].map((x) => ({ x, labels: [String(x)] })),
    rows: ["hours"],
    bands: [],
    lines: lines.reverse(),
    fromZero: true,
    decimals: 2,
    label: `${chart.title}: mean absolute error by hours ahead. Arrow keys tell single hours.`,
    readout: (at) => ({
      title: `${at} h ahead`,
      pairs: chart.lines.filter((line) => line.values[at - 1] !== null).map((line) => [line.name, `${tellNumber(line.values[at - 1], 2)} ${chart.unit}`, line.color]),
    }),
  };
}

const stations = readJson("stations");
const charts = readJson("charts");
showTimes(stations);
if (stations) showStations(stations);
if (charts) showLeads(charts);
