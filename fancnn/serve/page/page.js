// The page of `python -m fancnn.serve`: images in, decisions out, and a history that stays in this tab.

import { prepareCamera } from "./camera.js";
import { capital, inWords, MARKS, meaning, NAMED, NONE, summary, table, worst } from "./session.js";

const KEPT = 100; // images that can be shown again; decisions are kept all
const AGAIN = 10000; // ms until a server that was not ready is asked again

const at = (id) => document.getElementById(id);
const history = [];
let unsaved = 0;
let waiting = Promise.resolve();
let stopping = new AbortController();
let again = 0;
let shown = null;

const say = (text) => { at("status").textContent = text; };
const digits = (probability) => probability.toFixed(4);
const roundedDown = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, roundingMode: "floor", useGrouping: false });

async function ask(address, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(address, { ...options, headers }).catch(() => { throw new Error("the server does not answer"); });
  const body = await response.json().catch(() => null);
  if (response.status === 401) throw new Error(denied(token));
  if (!response.ok || !body) throw new Error(body?.reason ?? `the server's answer (${response.status}) cannot be read`);
  return body;
}

function denied(token) {
  const reason = token ? "this is not the server's token" : "this server asks for a token";
  at("access").hidden = false;
  at("denied").textContent = capital(reason);
  return reason;
}

async function watch() {
  const fault = await ask("ready").then(() => "", (error) => error.message);
  const text = fault && `Nothing is decided now: ${fault}`;
  at("unready").hidden = !text;
  if (at("unready").textContent !== text) at("unready").textContent = text; // a live region: spoken once
  clearTimeout(again);
  if (fault) again = setTimeout(watch, AGAIN);
  await introduce();
}

async function introduce() {
  try {
    const model = await ask("model");
    at("access").hidden = true;
    if (model.has_cells && !sessionStorage.getItem("heated")) at("heated").checked = false; // boxes say where, and cost nothing
    at("model").textContent = `${model.file} ${model.sha256.slice(0, 12)}: ${model.thresholds_in_words}`;
  } catch (error) {
    at("model").textContent = `The model is not known: ${error.message}`;
  }
}

function inspect(files) {
  const { signal } = stopping;
  if (!files.length) return;
  at("clear").disabled = false;
  waiting = waiting.then(() => lot(files, signal));
}

async function lot(files, signal) {
  const entries = [];
  for (const file of files) {
    if (signal.aborted) return;
    at("result").ariaBusy = "true";
    const name = file.name || "pasted image";
    say(files.length > 1 ? `Inspecting ${entries.length + 1} of ${files.length}: ${name}` : `Inspecting ${name}`);
    const decided = await decide(file, signal);
    if (signal.aborted) return;
    entries.push({ ...decided, name, file, time: new Date(), url: URL.createObjectURL(file) });
    add(entries.at(-1));
  }
  show(worst(entries), entries);
  at("verdict").scrollIntoView({ block: "nearest" });
  say("");
  history.slice(0, -KEPT).forEach(forget);
}

async function decide(file, signal) {
  try {
    const answer = await predict(file, at("heated").checked, signal);
    return { ...answer, ...answer.images[0] };
  } catch (error) {
    if (!signal.aborted) watch();
    return { decision: NONE, error: error.message };
  }
}

async function predict(file, heated, signal) {
  const body = await file.arrayBuffer().catch(() => { throw new Error("this file cannot be read"); });
  const headers = { "Content-Type": file.type.startsWith("image/") ? file.type : "application/octet-stream" };
  return { ...await ask(heated ? "predict?heatmap=1" : "predict", { method: "POST", body, headers, signal }), heated };
}

function forget(entry) {
  if (entry === shown) return;
  URL.revokeObjectURL(entry.url);
  entry.file = entry.url = entry.heatmap = null;
}

function show(entry, entries = [entry]) {
  shown = entry;
  at("result").hidden = false;
  at("result").ariaBusy = "false";
  at("verdict").className = entry.decision.replace(" ", "-");
  at("mark").textContent = MARKS[entry.decision];
  at("word").textContent = entry.decision.toUpperCase();
  at("meaning").textContent = entries.length > 1 ? `${summary(entries)}. Shown: ${entry.name}. ${meaning(entry)}` : meaning(entry);
  at("heat").hidden = true;
  at("shown").src = entry.url;
  at("shown").alt = `Inspected: ${entry.name}`;
  at("boxes").replaceChildren(...(entry.regions ?? []).map((region, place) => box(entry, region, place)).reverse());
  at("measured").hidden = Boolean(entry.error);
  const facts = entry.error ? [] : measured(entry);
  at("facts").replaceChildren(...[["image", entry.name], ...facts].flatMap(([key, value]) => [element("dt", key), element("dd", value)]));
}

function measured(entry) {
  const [lower, upper] = entry.thresholds;
  const [go, ng] = entry.thresholds.map((threshold) => roundedDown.format(threshold));
  const limits = lower < upper ? `GO up to ${go}, RECHECK up to ${ng}, NG above` : `NG above ${ng}`;
  at("score").textContent = `P(NG) ${digits(entry.probability)}; ${limits}`;
  at("scale").setAttribute("aria-label", at("score").textContent);
  at("go").style.width = `${100 * lower}%`;
  at("recheck").style.width = `${100 * (upper - lower)}%`;
  at("needle").style.left = `${100 * entry.probability}%`;
  const type = entry.type ? [["likeliest defect", `${entry.type} (${Math.round(100 * entry.type_share)} %)`]] : [];
  const line = entry.line_probability === null ? [] : [["on the line",
    `P(NG) ${digits(entry.line_probability)} among its parts; the decision is made of ${digits(entry.probability)}`]];
  const where = entry.regions?.length ? [["defect at", inWords(entry.regions)]] : [];
  return [...where, ...line, ["size", `${entry.width}x${entry.height}`], ...type,
    ["time", `${entry.milliseconds.toFixed(0)} ms${entry.heated ? " with its heat map" : ""}`],
    ["model", `${entry.model} ${entry.model_sha256.slice(0, 12)}`]];
}

function box(entry, region, place) { // around what it holds, which stays as it is; numbered as in the words beside the image
  const made = element("b", "");
  const shares = { left: region.left / entry.width, top: region.top / entry.height,
    width: region.width / entry.width, height: region.height / entry.height };
  for (const [side, share] of Object.entries(shares)) made.style[side] = `${100 * share}%`;
  made.classList.toggle("first", shares.left < 0.1);
  made.classList.toggle("top", shares.top < 0.1);
  made.title = inWords([region]);
  if (entry.regions.length > 1 && place < NAMED) made.append(element("i", place + 1));
  return made;
}

function fit(event) { // the image has come, or no browser can draw it
  const image = at("shown");
  at("image").classList.toggle("unseen", event.type === "error");
  at("image").style.setProperty("--ratio", image.naturalWidth / image.naturalHeight || 1);
  image.classList.toggle("enlarged", image.naturalWidth < image.clientWidth);
  showHeat();
}

async function showHeat() {
  const entry = shown;
  if (!entry) return;
  try {
    if (at("heated").checked && !entry.error && !entry.heatmap) entry.heatmap = await heatOf(entry);
  } catch (error) {
    if (entry === shown) say(`There is no heat map: ${error.message}`);
  }
  if (entry !== shown) return;
  at("heat").hidden = !at("heated").checked || !entry.heatmap;
  at("heat").src = entry.heatmap?.png ?? "data:,";
  at("heat").alt = "Heat map: what speaks for NG";
  at("fall").textContent = at("heat").hidden ? "" : "Red: covering this place makes the part look more like GO.";
}

async function heatOf(entry) {
  const answer = await predict(entry.file, true, stopping.signal);
  if (answer.model_sha256 !== entry.model_sha256) throw new Error("the server has another model now");
  return answer.images[0].heatmap;
}

function add(entry) {
  history.push(entry);
  unsaved += 1;
  at("rows").prepend(row(entry));
  at("rows").children[KEPT]?.remove();
  count();
}

function count() {
  const left = history.length > KEPT ? `. The last ${KEPT} of ${history.length} are listed; the CSV has all.` : "";
  at("counts").textContent = history.length ? summary(history) + left : "Nothing inspected yet.";
  at("save").disabled = !history.length;
  at("rows").closest("table").hidden = !history.length;
}

function row(entry) {
  const button = element("button", entry.name);
  button.type = "button";
  button.addEventListener("click", () => { show(entry); at("result").scrollIntoView(); });
  const decision = cell(element("span", `${MARKS[entry.decision]} ${entry.decision}`, `tag ${entry.decision.replace(" ", "-")}`));
  if (entry.error) decision.append(`: ${entry.error}`);
  const figures = entry.error ? ["", ""] : [digits(entry.probability), entry.milliseconds.toFixed(0)];
  const line = document.createElement("tr");
  line.append(cell(button), decision, ...figures.map((text) => cell(text, "figure")), cell(entry.time.toLocaleTimeString()));
  return line;
}

function element(kind, text, style = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (style) made.className = style;
  return made;
}

function cell(content, style = "") {
  const made = element("td", "", style);
  made.append(content);
  return made;
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table(history)], { type: "text/csv" }));
  link.download = `inspected ${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  unsaved = 0;
}

function clear() {
  if (unsaved && !confirm(`Clear this session? The results of ${unsaved} images are not downloaded yet.`)) return;
  stopping.abort(); // what is sent, and what waits
  stopping = new AbortController();
  shown = null;
  unsaved = 0;
  history.forEach(forget);
  history.length = 0;
  at("rows").replaceChildren();
  at("result").hidden = at("clear").disabled = true;
  say("");
  count();
}

async function useToken(event) {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value);
  at("denied").textContent = ""; // so that the same words are spoken again
  await introduce();
  if (at("access").hidden) at("choose").focus();
  else at("token").select();
}

for (const id of ["files", "shot"]) {
  at(id).addEventListener("change", (event) => { inspect([...event.target.files]); event.target.value = ""; });
}
at("choose").addEventListener("click", () => at("files").click());
at("shown").addEventListener("load", fit);
at("shown").addEventListener("error", fit);
at("save").addEventListener("click", save);
at("clear").addEventListener("click", clear);
at("heated").checked = sessionStorage.getItem("heated") !== "no";
at("heated").addEventListener("change", () => {
  sessionStorage.setItem("heated", at("heated").checked ? "yes" : "no");
  showHeat();
});
at("access").addEventListener("submit", useToken);
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
document.addEventListener("paste", (event) => inspect([...event.clipboardData.files]));
document.addEventListener("dragover", (event) => { event.preventDefault(); at("zone").classList.add("over"); });
document.addEventListener("dragleave", () => at("zone").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("zone").classList.remove("over");
  inspect([...event.dataTransfer.files]);
});
prepareCamera((file) => inspect([file]), say);
watch();
