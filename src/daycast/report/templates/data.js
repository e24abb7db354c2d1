// The data of the page: JSON in its script elements, and hourly values as `pack` in station_data.py writes them.

function readJson(id) {
  return JSON.parse(document.getElementById(id)?.textContent ?? "null");
}

const MISSING = -32768;

// The inverse of `pack`: all counts as one Int16Array, whose sums wrap around as those of the packed ones did.
async function unpack(packed) {
  const compressed = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const counts = new Int16Array(bytes.length / 2);
  for (let i = 0, before = 0; i < counts.length; i++) {
    const zigzag = bytes[i] | (bytes[i + counts.length] << 8);
    counts[i] = before += (zigzag >>> 1) ^ -(zigzag & 1);
    before = counts[i];
  }
  return { shape: packed.shape, counts };
}

// The hours of one series, index by index of all axes before the last; null where there is no value.
function series({ shape, counts }, variable, ...index) {
  const hours = shape[shape.length - 1];
  const row = index.reduce((at, i, axis) => at * shape[axis + 1] + i, variable.number);
  const scale = 10 ** variable.exponent;
  const values = Array.from(counts.subarray(row * hours, (row + 1) * hours));
  return values.map((count) => (count === MISSING ? null : (count + variable.base) * scale));
}

function decimalsOf(variable) {
  return Math.max(0, -variable.exponent);
}

// A value as text, with a true minus sign; a dash for none.
function tellNumber(value, decimals) {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

// An HTML element. Texts and attributes are set as such and never parsed, so nothing in them can become a tag.
function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

// The same for SVG.
function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}
