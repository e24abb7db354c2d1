// The map: a dot for each station with a position, coloured by the shown variable. North is up, degrees are equally far apart
// at the middle of the map; there is no coastline, because the page loads nothing.

const RAMP = [[59, 111, 182], [76, 164, 176], [128, 184, 120], [233, 190, 84], [213, 92, 62]];
const PAD = 26;

function makeMap(data, choose) {
  const place = document.getElementById("map");
  const { latitude, longitude } = data.stations;
  const placed = range(0, data.count - 1).filter((i) => latitude[i] !== null && longitude[i] !== null);
  if (!placed.length) {
    document.getElementById("place").remove();
    return { mark: () => {}, showVariable: () => {} };
  }
  const state = { variable: data.variables[0], chosen: null };
  const draw = () => renderMap(place, data, placed, state, choose);
  new ResizeObserver(draw).observe(place);
  return {
    mark: (i) => {
      state.chosen = i;
      draw();
    },
    showVariable: (variable) => {
      state.variable = variable;
      draw();
    },
  };
}

function renderMap(place, data, placed, state, choose) {
  const width = place.clientWidth;
  if (width < 80) return;
  const project = fitProjection(data, placed, width);
  const measure = mapMeasure(data, state.variable);
  const known = measure.values ? placed.map((i) => measure.values[i]).filter((value) => value !== null) : [];
  const limits = [known.reduce((a, b) => Math.min(a, b), Infinity), known.reduce((a, b) => Math.max(a, b), -Infinity)];
  const height = project.height;
  const label = `Map of ${placed.length} stations. The table has the same values.`;
  const svg = shape("svg", { width, height, role: "img", "aria-label": label });
  const radius = placed.length > 1500 ? 2.5 : placed.length > 200 ? 4 : 6.5;
  svg.append(...drawDegrees(project, width, height));
  const values = (i) => measure.values?.[i] ?? null;
  const last = (a, b) => (values(a) ?? -Infinity) - (values(b) ?? -Infinity);
  for (const i of [...placed].sort(last)) {
    const value = values(i);
    const fill = value === null ? null : `fill:${colorOf(value, limits)}`;
    svg.append(shape("circle", { class: value === null ? "station none" : "station", cx: project.x(i), cy: project.y(i), r: radius, style: fill }));
  }
  if (placed.length <= 25 && measure.values) svg.append(...drawValues(placed, project, measure, width));
  if (state.chosen !== null && placed.includes(state.chosen)) {
    svg.append(shape("circle", { class: "chosen", cx: project.x(state.chosen), cy: project.y(state.chosen), r: radius + 4 }));
  }
  place.replaceChildren(svg);
  document.getElementById("legend").replaceChildren(...makeLegend(measure, limits, known.length));
  followPointer(place, svg, data, placed, project, measure, choose);
}

// The highest value of the next 24 hours, or the sum.
function mapMeasure(data, variable) {
  const summary = data.summaries[variable?.number] ?? {};
  const measure = summary.sum ? "sum" : "high";
  const title = variable ? `${measure === "sum" ? "sum of" : "highest"} ${variable.label}, ${variable.unit}` : "";
  return { values: summary[measure], title, decimals: variable ? decimalsOf(variable) : 0 };
}

function fitProjection(data, placed, width) {
  const { latitude } = data.stations;
  const longitude = joinAtDateLine(data, placed);
  const [west, east] = limitsOf(placed, longitude);
  const [south, north] = limitsOf(placed, latitude);
  const shrink = Math.max(0.05, Math.cos(((south + north) / 2) * (Math.PI / 180)));
  const broad = Math.max((east - west) * shrink, 0.02);
  const tall = Math.max(north - south, 0.02);
  const height = Math.round(Math.min(Math.max(((width - 2 * PAD) * tall) / broad, 240), 460) + 2 * PAD);
  const scale = Math.min((width - 2 * PAD) / broad, (height - 2 * PAD) / tall);
  const middle = [(west + east) / 2, (south + north) / 2];
  const xOf = (degrees) => width / 2 + (degrees - middle[0]) * shrink * scale;
  const yOf = (degrees) => height / 2 - (degrees - middle[1]) * scale;
  return { height, scale, shrink, middle, xOf, yOf, x: (i) => xOf(longitude[i]).toFixed(1), y: (i) => yOf(latitude[i]).toFixed(1) };
}

// Longitudes that run on beyond 180° where the stations stand on both sides of it.
function joinAtDateLine(data, placed) {
  const { longitude } = data.stations;
  const eastward = longitude.map((degrees) => (degrees !== null && degrees < 0 ? degrees + 360 : degrees));
  const span = (values) => limitsOf(placed, values).reduce((low, high) => high - low);
  return span(eastward) < span(longitude) ? eastward : longitude;
}

function limitsOf(indices, values) {
  return [indices.reduce((low, i) => Math.min(low, values[i]), Infinity), indices.reduce((high, i) => Math.max(high, values[i]), -Infinity)];
}

function colorOf(value, [low, high]) {
  const at = high > low ? ((value - low) / (high - low)) * (RAMP.length - 1) : (RAMP.length - 1) / 2;
  const from = Math.min(Math.floor(at), RAMP.length - 2);
  return `rgb(${RAMP[from].map((part, channel) => Math.round(part + (at - from) * (RAMP[from + 1][channel] - part)))})`;
}

function drawDegrees({ xOf, yOf, middle, scale, shrink }, width, height) {
  const wide = width / (scale * shrink) / 2;
  const tall = height / scale / 2;
  const marks = [];
  const across = niceTicks(middle[0] - wide, middle[0] + wide, 5);
  for (const degrees of across.ticks) {
    const at = ((degrees + 540) % 360) - 180;
    marks.push(shape("line", { class: "gridline", x1: xOf(degrees), x2: xOf(degrees), y1: 0, y2: height }));
    if (xOf(degrees) > width - 50) continue; // no room for its label
    marks.push(shape("text", { class: "tick", x: xOf(degrees) + 4, y: height - 5 }, tellDegrees(at, across.decimals, "E", "W")));
  }
  const up = niceTicks(Math.max(-90, middle[1] - tall), Math.min(90, middle[1] + tall), 5);
  for (const degrees of up.ticks) {
    marks.push(shape("line", { class: "gridline", x1: 0, x2: width, y1: yOf(degrees), y2: yOf(degrees) }));
    if (yOf(degrees) < 16) continue;
    marks.push(shape("text", { class: "tick", x: 2, y: yOf(degrees) - 4 }, tellDegrees(degrees, up.decimals, "N", "S")));
  }
  return marks;
}

function tellDegrees(degrees, decimals, positive, negative) {
  return `${Math.abs(degrees).toFixed(decimals)}° ${degrees < 0 ? negative : positive}`;
}

// The values beside the dots, where there are few.
function drawValues(placed, project, measure, width) {
  return placed.map((i) => {
    const text = tellNumber(measure.values[i], measure.decimals);
    const [x, y] = [Number(project.x(i)), Number(project.y(i)) + 4];
    const side = x > width - 50 ? { x: x - 10, "text-anchor": "end" } : { x: x + 10 };
    return shape("text", { class: "value", y, ...side }, text);
  });
}

function makeLegend(measure, limits, count) {
  if (!count) return [measure.title ? `${measure.title}: no station has a forecast of it` : ""];
  const colors = RAMP.map((parts) => `rgb(${parts})`).join(", ");
  return [
    element("span", {}, measure.title),
    element("span", { class: "number" }, tellNumber(limits[0], measure.decimals)),
    element("i", { class: "ramp", style: `background:linear-gradient(90deg, ${colors})` }),
    element("span", { class: "number" }, tellNumber(limits[1], measure.decimals)),
  ];
}

// Tells the station nearest to the pointer, and chooses it on a click.
function followPointer(place, svg, data, placed, project, measure, choose) {
  const box = element("div", { class: "readout" });
  const nearest = (event) => {
    const bounds = svg.getBoundingClientRect();
    const away = (i) => Math.hypot(project.x(i) - event.clientX + bounds.left, project.y(i) - event.clientY + bounds.top);
    const best = placed.reduce((a, b) => (away(b) < away(a) ? b : a));
    return away(best) < 24 ? best : null;
  };
  svg.addEventListener("pointermove", (event) => {
    const i = nearest(event);
    box.remove();
    svg.classList.toggle("pointing", i !== null);
    if (i === null) return;
    const { id, name } = data.stations;
    box.replaceChildren(element("b", {}, name[i] || id[i]), tellPair([measure.title, tellNumber(measure.values?.[i], measure.decimals)]), tellPair(["last reading", tellLast(data, i)]));
    place.append(box);
    const left = Number(project.x(i)) + 14;
    box.style.left = `${left + box.offsetWidth > place.clientWidth ? Math.max(0, left - 28 - box.offsetWidth) : left}px`;
    box.style.top = `${Math.max(0, Number(project.y(i)) - 30)}px`;
  });
  svg.addEventListener("pointerleave", () => box.remove());
  svg.addEventListener("click", (event) => {
    const i = nearest(event);
    if (i !== null) choose(i);
  });
}
