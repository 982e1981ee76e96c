// What a session knows of its images, without the page: plain entries in, words and tables out.
// An entry has name, time and decision; a decided one what the server answered, one that was not decided `error`.

export const NONE = "not decided";
export const WORST_FIRST = ["NG", NONE, "RECHECK", "GO"];
export const MARKS = { GO: "✓", RECHECK: "?", NG: "✕", [NONE]: "!" };
const MEANINGS = { GO: "The part passes.", RECHECK: "A person should look.", NG: "The part is rejected." };
export const NAMED = 5; // regions that are described in words, and numbered; all have a box
const PLACE = ["x", "y", "width", "height"];
const COLUMNS = ["time", "path", "decision", "probability", "line_probability", "lower", "upper", "found_type", "regions",
  ...PLACE.map((name) => `region_${name}`), "region_probability", "region_boxes", ...PLACE.map((name) => `region_${name}_mm`),
  "model_sha256", "milliseconds", "error"];

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const meaning = (entry) => MEANINGS[entry.decision] ?? `Nothing was decided: ${entry.error}`;

export function worst(entries) { // of several NG the one with the greatest P(NG)
  const rank = (entry) => WORST_FIRST.indexOf(entry.decision);
  return [...entries].sort((a, b) => rank(a) - rank(b) || b.probability - a.probability)[0];
}

export function summary(entries) {
  const count = (decision) => entries.filter((entry) => entry.decision === decision).length;
  const counts = WORST_FIRST.filter(count).map((decision) => `${count(decision)} ${decision}`);
  return `${entries.length} ${entries.length === 1 ? "image" : "images"}: ${counts.join(", ")}`;
}

export function inWords(regions) {
  const millimetres = (of) => (of ? `, ${rounded(of.width)}x${rounded(of.height)} mm` : "");
  const words = regions.slice(0, NAMED).map((one, place) => `${regions.length > 1 ? `${place + 1}: ` : ""}${Math.round(one.x)}, `
    + `${Math.round(one.y)}; ${one.width}x${one.height} px${millimetres(one.millimetres)}; P(NG) ${one.probability.toFixed(2)}`);
  const more = regions.length - words.length;
  return words.join("\n") + (more > 0 ? `\nand ${more} more` : "");
}

const rounded = (length) => String(Number(length.toPrecision(3)));

function places(regions) { // as `predict` has them
  if (!regions) return {};
  const boxes = regions.map((one) => `${one.left},${one.top} to ${one.right},${one.bottom} at ${one.x},${one.y}: ${one.probability}`);
  const values = { regions: regions.length, region_boxes: boxes.join("; "), region_probability: regions[0]?.probability };
  for (const name of PLACE) {
    values[`region_${name}`] = regions[0]?.[name];
    values[`region_${name}_mm`] = regions[0]?.millimetres && Number(regions[0].millimetres[name].toPrecision(9));
  }
  return values;
}

export function table(entries) { // columns as in the predictions.csv of `predict`
  const lines = entries.map((entry) => {
    const [lower, upper] = entry.thresholds ?? [];
    const values = { ...entry, ...places(entry.regions), time: entry.time.toISOString(), path: entry.name, lower, upper, found_type: entry.type,
      decision: entry.error ? "" : entry.decision };
    return COLUMNS.map((column) => values[column] ?? "");
  });
  return [COLUMNS, ...lines].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
}

function quoted(value) {
  const text = String(value).replace(/^[=+\-@\t\r]/, "'$&"); // a name must not become a formula in a spreadsheet
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
