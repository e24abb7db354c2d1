// Times are hours since 1970, UTC. A zone is an IANA name, a fixed offset such as +05:30, or null where it is unknown.

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const formats = new Map();

// The offset from UTC in hours; null if the zone is unknown, to us or to this browser.
function offsetOf(zone, at) {
  if (!zone) return null;
  if (zone === "UTC") return 0;
  const text = /^[+-]/.test(zone) ? zone : namedOffset(zone, at);
  if (text === null) return null;
  const [, sign, hours, minutes] = /([+-])(\d\d):?(\d\d)?/.exec(text) ?? [null, "+", "0", "0"];
  return (sign === "-" ? -1 : 1) * (Number(hours) + Number(minutes ?? 0) / 60);
}

// As "GMT+01:00"; plain "GMT" for none.
function namedOffset(zone, at) {
  if (!formats.has(zone)) {
    try {
      formats.set(zone, new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" }));
    } catch {
      formats.set(zone, null);
    }
  }
  const parts = formats.get(zone)?.formatToParts(new Date(at * 3_600_000));
  return parts ? parts.find((part) => part.type === "timeZoneName").value : null;
}

// What the clock on the wall shows, as a date whose UTC parts are the local ones; null if the zone is unknown.
function wallClock(at, zone) {
  const offset = offsetOf(zone, at);
  return offset === null ? null : new Date(Math.round((at + offset) * 60) * 60_000);
}

const two = (number) => String(number).padStart(2, "0");
const tellTime = (wall) => `${two(wall.getUTCHours())}:${two(wall.getUTCMinutes())}`;
const tellDay = (wall) => `${DAYS[wall.getUTCDay()]} ${wall.getUTCDate()} ${MONTHS[wall.getUTCMonth()]}`;
const tellDate = (wall) => wall.toISOString().slice(0, 10);

function tellOffset(zone, at) {
  const minutes = Math.round(offsetOf(zone, at) * 60);
  const rest = Math.abs(minutes) % 60;
  return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(Math.abs(minutes) / 60)}${rest ? `:${two(rest)}` : ""}`;
}

// "Mon 30 Nov 20:00 local · 19:00 UTC", with the date in UTC where it is another one.
function tellBoth(at, zone) {
  const utc = wallClock(at, "UTC");
  const local = wallClock(at, zone);
  if (local === null) return `${tellDay(utc)} ${tellTime(utc)} UTC`;
  const day = tellDate(local) === tellDate(utc) ? "" : `${tellDay(utc)} `;
  return `${tellDay(local)} ${tellTime(local)} local · ${day}${tellTime(utc)} UTC`;
}

// "12 min", "5 h", "3 d".
function tellAge(hours) {
  if (hours < 1) return `${Math.max(0, Math.round(hours * 60))} min`;
  return hours < 48 ? `${Math.floor(hours)} h` : `${Math.floor(hours / 24).toLocaleString("en")} d`;
}

// The hours between `from` and `to` at which the clocks of the zone stand at a multiple of `every` hours.
function clockTicks(from, to, zone, every) {
  const ticks = [];
  for (let at = Math.ceil(from * 4) / 4; at <= to; at += 0.25) {
    const wall = wallClock(at, zone);
    if (wall.getUTCMinutes() === 0 && wall.getUTCHours() % every === 0) ticks.push(at);
  }
  return ticks;
}
