// One chart as SVG: bands and lines over a common x, an x axis with any number of label rows, and a readout.
//
// spec: from, to (of x); ticks: [{ x, labels }]; rows: what each row of labels is; bands: [{ start, low, high, css }];
// lines: [{ start, values, css, color, dots, bars }], each value one x further; rule: an x with a dashed line; fromZero; decimals;
// label: for readers who cannot see it; readout(x): { title, pairs: [[name, text]] } or null.

const HEIGHT = 168; // of the plot, in pixels
const MARGIN = { left: 46, right: 14, top: 10 };
const ROW = 16; // of labels

function drawChart(place, spec) {
  const draw = () => renderChart(place, spec);
  new ResizeObserver(draw).observe(place);
}

function renderChart(place, spec) {
  const width = place.clientWidth;
  if (width === Number(place.dataset.width) || width < 80) return;
  place.dataset.width = width;
  const [low, high] = valueRange(spec);
  const scale = {
    width,
    x: (at) => MARGIN.left + ((at - spec.from) / (spec.to - spec.from)) * (width - MARGIN.left - MARGIN.right),
    y: (value) => MARGIN.top + (1 - (value - low) / (high - low)) * HEIGHT,
    at: (px) => spec.from + ((px - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * (spec.to - spec.from),
  };
  const height = MARGIN.top + HEIGHT + 6 + ROW * spec.rows.length;
  const svg = shape("svg", { width, height, role: "img", tabindex: 0, "aria-label": spec.label });
  svg.append(...drawAxes(spec, scale, low, high), ...drawMarks(spec, scale));
  place.replaceChildren(svg);
  addReadout(place, svg, spec, scale);
}

// From the lowest to the highest value, with a little room; from zero where the quantity begins there and comes near it.
function valueRange(spec) {
  const values = [...spec.bands.flatMap((band) => [...band.low, ...band.high]), ...spec.lines.flatMap((line) => line.values)];
  const known = values.filter((value) => value !== null);
  let low = Math.min(...known);
  let high = Math.max(...known);
  if (!known.length) [low, high] = [0, 1];
  const room = Math.max((high - low) * 0.06, 10 ** -spec.decimals);
  const fromZero = spec.fromZero && (low < high * 0.4 + room || spec.lines.some((line) => line.bars));
  if (fromZero) return [0, high + room];
  return [low - room, high + room];
}

function niceTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((multiple) => multiple * power >= rough) * power;
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(i * step);
  return { ticks, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function drawAxes(spec, { x, y, width }, low, high) {
  const marks = [];
  const { ticks, decimals } = niceTicks(low, high, 4);
  for (const value of ticks) {
    marks.push(shape("line", { class: "gridline", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
    marks.push(shape("text", { class: "tick", x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, tellNumber(value, decimals)));
  }
  const bottom = MARGIN.top + HEIGHT;
  spec.rows.forEach((name, row) => {
    marks.push(shape("text", { class: "tick row", x: 0, y: bottom + 6 + ROW * (row + 0.75) }, name));
  });
  for (const tick of chooseTicks(spec.ticks, x, width)) {
    marks.push(shape("line", { class: "gridline", x1: x(tick.x), x2: x(tick.x), y1: MARGIN.top, y2: bottom }));
    tick.labels.forEach((text, row) => {
      const css = row ? "tick second" : "tick";
      const middle = Math.min(Math.max(x(tick.x), MARGIN.left + 8), width - 18);
      marks.push(shape("text", { class: css, x: middle, y: bottom + 6 + ROW * (row + 0.75), "text-anchor": "middle" }, text));
    });
  }
  if (spec.rule !== undefined) {
    marks.push(shape("line", { class: "rule", x1: x(spec.rule), x2: x(spec.rule), y1: MARGIN.top, y2: bottom }));
  }
  return marks;
}

// As many ticks as have room for their labels.
function chooseTicks(ticks, x, width) {
  const longest = Math.max(...ticks.flatMap((tick) => tick.labels.map((text) => text.length)));
  const room = (width - MARGIN.left - MARGIN.right) / (longest * 6.6 + 10);
  const every = 2 ** Math.max(0, Math.ceil(Math.log2(ticks.length / room))); // of six hours: twelve, then whole days
  const strong = ticks.findIndex((tick) => tick.strong);
  return ticks.filter((_, i) => (i - Math.max(strong, 0)) % every === 0);
}

function drawMarks(spec, { x, y }) {
  const bands = spec.bands.flatMap((band) =>
    runs(band.low).map(([first, last]) => {
      const steps = range(first, last);
      const there = steps.map((i) => `${x(band.start + i).toFixed(1)},${y(band.high[i]).toFixed(1)}`);
      const back = steps.reverse().map((i) => `${x(band.start + i).toFixed(1)},${y(band.low[i]).toFixed(1)}`);
      return shape("polygon", { class: band.css, points: [...there, ...back].join(" ") });
    }),
  );
  return [...bands, ...spec.lines.flatMap((line) => (line.bars ? drawBars(line, x, y) : drawLine(line, x, y)))];
}

function drawLine(line, x, y) {
  const style = line.color ? `color:${line.color}` : null;
  return runs(line.values).flatMap(([first, last]) => {
    const points = range(first, last).map((i) => [x(line.start + i).toFixed(1), y(line.values[i]).toFixed(1)]);
    if (line.dots || first === last) {
      return points.map(([cx, cy]) => shape("circle", { class: `dot ${line.css}`, style, cx, cy, r: 2 }));
    }
    return [shape("polyline", { class: `line ${line.css}`, style, points: points.join(" ") })];
  });
}

// A sum stands for the hour that ends at its x.
function drawBars(line, x, y) {
  const width = Math.max(1, x(1) - x(0) - 1);
  return line.values.flatMap((value, i) => {
    const at = x(line.start + i - 1) + 0.5;
    return value > 0 ? [shape("rect", { class: `bar ${line.css}`, x: at, y: y(value), width, height: y(0) - y(value) })] : [];
  });
}

// First and last index of each run of values without a gap.
function runs(values) {
  const found = [];
  values.forEach((value, i) => {
    if (value === null) return;
    if (i && values[i - 1] !== null) found[found.length - 1][1] = i;
    else found.push([i, i]);
  });
  return found;
}

function range(first, last) {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

// The readout follows the pointer, a finger, and the arrow keys while the chart has the focus.
function addReadout(place, svg, spec, scale) {
  const cursor = shape("line", { class: "cursor", y1: MARGIN.top, y2: MARGIN.top + HEIGHT });
  const box = element("div", { class: "readout", "aria-live": "polite" });
  let at = null;
  const hide = () => {
    cursor.remove();
    box.remove();
    svg.querySelectorAll(".spot").forEach((spot) => spot.remove());
  };
  const show = (x) => {
    at = Math.min(Math.max(Math.round(x), Math.ceil(spec.from)), Math.floor(spec.to));
    hide();
    const told = spec.readout(at);
    cursor.setAttribute("x1", scale.x(at));
    cursor.setAttribute("x2", scale.x(at));
    svg.append(cursor, ...spots(spec, scale, at));
    box.replaceChildren(element("b", {}, told.title), ...told.pairs.map(tellPair));
    place.append(box);
    const left = scale.x(at) + 14;
    box.style.left = `${left + box.offsetWidth > scale.width ? Math.max(0, left - 28 - box.offsetWidth) : left}px`;
  };
  svg.addEventListener("pointermove", (event) => show(scale.at(event.clientX - svg.getBoundingClientRect().left)));
  svg.addEventListener("pointerdown", (event) => show(scale.at(event.clientX - svg.getBoundingClientRect().left)));
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    show((at ?? spec.rule ?? spec.from) + step);
  });
}

function tellPair([name, text, color]) {
  return element("span", {}, element("i", { style: color ? `color:${color}` : null }, name), element("span", {}, text));
}

function spots(spec, { x, y }, at) {
  return spec.lines.flatMap((line) => {
    const value = line.values[at - line.start] ?? null;
    const style = line.color ? `color:${line.color}` : null;
    return value === null ? [] : [shape("circle", { class: `spot ${line.css}`, style, cx: x(at), cy: y(value), r: 4 })];
  });
}
