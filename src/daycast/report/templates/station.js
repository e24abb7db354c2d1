// One station: who it is, a chart for each variable, and the values of the next 24 hours as a table.

const BANDS = [["faint", 0, 4], ["half", 1, 3]]; // css, and the quantiles (of 5, 25, 50, 75, 95 %) that bound it
const MEDIAN = 2;

function showStation(data, hours, i) {
  const { id, name } = data.stations;
  document.getElementById("station-name").textContent = name[i] || id[i];
  document.getElementById("station-id").textContent = name[i] && name[i] !== id[i] ? id[i] : "";
  document.getElementById("facts").replaceChildren(...tellFacts(data, i).map((text) => element("li", {}, text)));
  if (hours) showHours(data, hours, i);
}

// The stations before and after it, in the order of the table.
function linkNeighbours(data, order, i) {
  const at = order.indexOf(i);
  for (const [button, neighbour] of [["previous", order[at - 1]], ["next", order[at + 1]]]) {
    const link = document.getElementById(button);
    link.toggleAttribute("aria-disabled", neighbour === undefined);
    if (neighbour === undefined) link.removeAttribute("href");
    else link.href = `#station=${encodeURIComponent(data.stations.id[neighbour])}`;
  }
}

function showHours(data, hours, i) {
  const cards = data.variables.map((variable) => makeStationCard(data, hours, variable, i)).filter((card) => card !== null);
  const none = element("p", { class: "soft" }, "Neither a forecast nor an observation of the last days is known.");
  document.getElementById("station-charts").replaceChildren(...(cards.length ? cards.map(({ card }) => card) : [none]));
  cards.forEach(({ place, spec }) => drawChart(place, spec));
  const details = document.getElementById("values");
  const fillTable = () => details.open && showValues(data, hours, i);
  details.ontoggle = fillTable;
  fillTable();
}

function zoneOf(data, i) {
  const number = data.stations.zone[i];
  return number === null ? null : data.zones[number];
}

function tellFacts(data, i) {
  const { latitude, longitude, elevation, last, first, share, issued, regime } = data.stations;
  const placed = latitude[i] !== null && longitude[i] !== null;
  const zone = zoneOf(data, i);
  return [
    placed ? `${tellDegrees(latitude[i], 3, "N", "S")}, ${tellDegrees(longitude[i], 3, "E", "W")}${elevation[i] === null ? "" : `, ${tellNumber(elevation[i], 0)} m`}` : "position unknown",
    tellZone(zone, data.now),
    last[i] === null ? "no reading yet" : `last reading ${tellAge(data.now - last[i])} ago, ${tellBoth(last[i], zone)}${isSilent(data, i) ? " (silent)" : ""}`,
    first[i] === null ? null : `${(share[i] * 100).toFixed(1)} % of the hours since ${tellDate(wallClock(first[i], "UTC"))} observed`,
    issued[i] === null ? "no forecast of the last 24 hours" : `forecast of ${tellBoth(issued[i], zone)}, ${regime[i] === null ? "input unknown" : data.regimes[regime[i]]}`,
  ].filter((text) => text !== null);
}

function tellZone(zone, at) {
  if (zone === null) return "local time unknown: no position and no setting tells it, so times are UTC";
  if (offsetOf(zone, at) === null) return `this browser does not know the zone ${zone}, so times are UTC`;
  const fixed = /^[+-]/.test(zone);
  return `local time ${fixed ? tellOffset(zone, at) : `${zone.replaceAll("_", " ")} (${tellOffset(zone, at)})`}`;
}

function makeStationCard(data, hours, variable, i) {
  const past = series(hours.observed, variable, i);
  const fan = [0, 1, 2, 3, 4].map((q) => series(hours.forecast, variable, q, i));
  if ([...past, ...fan[MEDIAN]].every((value) => value === null)) return null;
  const spec = stationChart(data, variable, zoneOf(data, i), past, fan);
  const place = element("div", { class: "chart" });
  const heading = element("h3", {}, variable.label, element("span", { class: "soft" }, ` ${variable.unit}`));
  return { place, spec, card: element("div", { class: "card" }, heading, place) };
}

function stationChart(data, variable, zone, past, fan) {
  const decimals = decimalsOf(variable);
  const start = data.end + 1;
  const tell = (value) => `${tellNumber(value, decimals)} ${variable.unit}`;
  const readout = (at) => {
    const seen = past[at - data.from] ?? null;
    const q = fan.map((values) => values[at - start] ?? null);
    const pairs = seen === null ? [] : [["observed", tell(seen)]];
    if (q[MEDIAN] !== null) {
      pairs.push(["median", tell(q[MEDIAN])]);
      pairs.push(["50 % within", `${tellNumber(q[1], decimals)} to ${tell(q[3])}`]);
      pairs.push(["90 % within", `${tellNumber(q[0], decimals)} to ${tell(q[4])}`]);
    }
    return { title: tellBoth(at, zone), pairs: pairs.length ? pairs : [["no value", ""]] };
  };
  return {
    ...timeAxis(data, zone),
    bands: BANDS.map(([css, low, high]) => ({ css: `band ${css}`, start, low: fan[low], high: fan[high] })),
    lines: [
      { css: "observed", start: data.from, values: past, dots: variable.circular, bars: variable.sum },
      { css: "median", start, values: fan[MEDIAN], dots: variable.circular },
    ],
    rule: data.end,
    fromZero: variable.fromZero,
    decimals,
    label: `${variable.label}: two days observed and the next 24 hours forecast. Arrow keys tell single hours.`,
    readout,
  };
}

// Ticks at the station's own midnight and every six hours, with UTC below.
function timeAxis(data, zone) {
  const known = offsetOf(zone, data.end) !== null;
  const shown = known ? zone : "UTC";
  const ticks = clockTicks(data.from, data.to, shown, 6).map((at) => {
    const [local, utc] = [wallClock(at, shown), wallClock(at, "UTC")];
    const midnight = local.getUTCHours() === 0;
    const first = midnight ? `${local.getUTCDate()} ${MONTHS[local.getUTCMonth()]}` : tellTime(local);
    return { x: at, labels: known && zone !== "UTC" ? [first, tellTime(utc)] : [first], strong: midnight };
  });
  return { from: data.from, to: data.to, ticks, rows: known && zone !== "UTC" ? ["local", "UTC"] : ["UTC"] };
}

function showValues(data, hours, i) {
  const zone = zoneOf(data, i);
  const local = offsetOf(zone, data.end) !== null;
  const columns = data.variables.map((variable) => ({ variable, fan: [0, 2, 4].map((q) => series(hours.forecast, variable, q, i)) }));
  const shown = columns.filter(({ fan }) => fan[1].some((value) => value !== null));
  const headings = [...(local ? ["local"] : []), "UTC", ...shown.map(({ variable }) => `${variable.label}, ${variable.unit}`)];
  const rows = range(0, data.horizon - 1).map((hour) => {
    const at = data.end + 1 + hour;
    const times = [...(local ? [wallClock(at, zone)] : []), wallClock(at, "UTC")].map((wall) => `${tellDay(wall)} ${tellTime(wall)}`);
    const cells = shown.map(({ variable, fan }) => tellInterval(fan.map((values) => values[hour]), decimalsOf(variable)));
    return element("tr", {}, ...times.map((text) => element("td", {}, text)), ...cells);
  });
  const head = element("tr", {}, ...headings.map((text, n) => element("th", { scope: "col", class: n > local ? "number" : null }, text)));
  document.getElementById("value-table").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}

function tellInterval([low, median, high], decimals) {
  const interval = median === null ? "" : ` ${tellNumber(low, decimals)} to ${tellNumber(high, decimals)}`;
  return element("td", { class: "number" }, element("b", {}, tellNumber(median, decimals)), element("span", { class: "soft" }, interval));
}
