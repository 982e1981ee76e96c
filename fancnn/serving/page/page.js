// The page of `python -m fancnn.serve`: pictures in, decisions out, and a history that stays in this tab.

const MARKS = { GO: "✓", RECHECK: "?", NG: "✕" };
const MEANINGS = { GO: "The part passes.", RECHECK: "A person should look.", NG: "The part is rejected." };
const KEPT = 100; // pictures that can be shown again; decisions are kept all

const at = (id) => document.getElementById(id);
const history = [];
let waiting = Promise.resolve();
let shown = null;
let stream = null;

const say = (text) => { at("said").textContent = text; };
const token = () => sessionStorage.getItem("token");
const digits = (chance) => chance.toFixed(4);

async function ask(address, options = {}) {
  const headers = { ...options.headers, ...(token() ? { Authorization: `Bearer ${token()}` } : {}) };
  const response = await fetch(address, { ...options, headers });
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) at("access").hidden = false;
  if (!response.ok) throw new Error(body.reason || `answered ${response.status}`);
  return body;
}

async function introduce() {
  try {
    const model = await ask("model");
    at("access").hidden = true;
    at("model").textContent = `${model.file} ${model.sha256.slice(0, 12)}: ${model.thresholds_in_words}`;
  } catch (error) {
    at("model").textContent = `The model is not known: ${error.message}`;
  }
}

function inspect(files) {
  for (const file of files) waiting = waiting.then(() => one(file));
  return waiting;
}

async function one(file) {
  const name = file.name || "pasted picture";
  say(`Inspecting ${name}`);
  try {
    const headers = { "Content-Type": file.type.startsWith("image/") ? file.type : "application/octet-stream" };
    const answer = await ask("predict?heatmap=1", { method: "POST", body: file, headers });
    const entry = { ...answer, ...answer.pictures[0], name, time: new Date(), url: URL.createObjectURL(file) };
    history.unshift(entry);
    forget(history[KEPT]);
    say("");
    show(entry);
    list();
  } catch (error) {
    say(`${name} was not decided: ${error.message}`);
  }
}

function forget(entry) {
  if (!entry?.url) return;
  URL.revokeObjectURL(entry.url);
  entry.url = entry.heatmap = null;
}

function show(entry) {
  const [lower, upper] = entry.thresholds;
  shown = entry;
  at("result").hidden = false;
  at("verdict").className = entry.decision;
  at("mark").textContent = MARKS[entry.decision];
  at("word").textContent = entry.decision;
  at("meaning").textContent = MEANINGS[entry.decision];
  at("picture").parentElement.hidden = !entry.url;
  at("shown").src = entry.url ?? "";
  at("shown").alt = `Inspected: ${entry.name}`;
  showHeat();
  const limits = lower < upper ? `GO up to ${lower}, RECHECK up to ${upper}, NG above` : `NG above ${upper}`;
  at("score").textContent = `P(NG) ${digits(entry.probability)}; ${limits}`;
  at("scale").setAttribute("aria-label", at("score").textContent);
  at("go").style.width = `${100 * lower}%`;
  at("recheck").style.width = `${100 * (upper - lower)}%`;
  at("needle").style.left = `${100 * entry.probability}%`;
  const type = entry.type ? [["likeliest defect", `${entry.type} (${Math.round(100 * entry.type_share)} %)`]] : [];
  const facts = [["picture", entry.name], ["size", `${entry.width}x${entry.height}`], ...type,
    ["time", `${entry.milliseconds.toFixed(0)} ms with its heat map`], ["model", `${entry.model} ${entry.model_sha256.slice(0, 12)}`]];
  at("facts").replaceChildren(...facts.flatMap(([key, value]) => [element("dt", key), element("dd", value)]));
}

function showHeat() {
  const heat = shown?.heatmap;
  at("heat").hidden = !heat || !at("heated").checked;
  at("heat").src = heat?.png ?? "data:,";
  at("heat").alt = "Heat map: what speaks for NG";
  at("fall").textContent = heat ? `Covering the hottest place takes ${heat.greatest_fall.toFixed(2)} from the logit.` : "";
}

function list() {
  const counts = ["GO", "RECHECK", "NG"].map((name) => `${history.filter((entry) => entry.decision === name).length} ${name}`);
  at("counts").textContent = history.length ? `${history.length} inspected: ${counts.join(", ")}` : "Nothing inspected yet.";
  at("save").disabled = at("clear").disabled = !history.length;
  at("rows").closest("table").hidden = !history.length;
  at("rows").replaceChildren(...history.slice(0, KEPT).map(row));
}

function row(entry) {
  const again = element("button", entry.name);
  again.type = "button";
  again.addEventListener("click", () => { show(entry); at("result").scrollIntoView(); });
  const tag = element("span", `${MARKS[entry.decision]} ${entry.decision}`, `tag ${entry.decision}`);
  const line = document.createElement("tr");
  line.append(cell(again), cell(tag), cell(digits(entry.probability), "figure"), cell(entry.milliseconds.toFixed(0), "figure"),
    cell(entry.time.toLocaleTimeString()));
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

function table() {
  const columns = ["time", "path", "decision", "probability", "lower", "upper", "found_type", "model_sha256", "milliseconds"];
  const lines = [...history].reverse().map((entry) => [entry.time.toISOString(), entry.name, entry.decision, entry.probability,
    ...entry.thresholds, entry.type ?? "", entry.model_sha256, entry.milliseconds]);
  return [columns, ...lines].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
}

function quoted(value) {
  const text = String(value).replace(/^[=+\-@\t\r]/, "'$&"); // a name must not become a formula in a spreadsheet
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  link.download = `inspected ${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function clear() {
  history.forEach(forget);
  history.length = 0;
  at("result").hidden = true;
  list();
}

async function openCamera() {
  if (!navigator.mediaDevices) return at("shot").click(); // without https the phone's own camera app does it
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    at("video").srcObject = stream;
    at("live").hidden = false;
  } catch (error) {
    say(`The camera cannot be used: ${error.message}`);
  }
}

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = at("video").srcObject = null;
  at("take").disabled = true;
  at("live").hidden = true;
  at("camera").focus();
}

async function take() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [at("video").videoWidth, at("video").videoHeight];
  canvas.getContext("2d").drawImage(at("video"), 0, 0);
  const content = await new Promise((done) => canvas.toBlob(done, "image/png")); // without loss: the model sees what was taken
  await inspect([new File([content], `camera ${new Date().toLocaleTimeString()}.png`, { type: "image/png" })]);
}

for (const id of ["files", "shot"]) {
  at(id).addEventListener("change", (event) => { inspect([...event.target.files]); event.target.value = ""; });
}
at("choose").addEventListener("click", () => at("files").click());
at("camera").addEventListener("click", openCamera);
at("close").addEventListener("click", closeCamera);
at("take").addEventListener("click", take);
at("video").addEventListener("playing", () => { at("take").disabled = false; at("take").focus(); });
at("save").addEventListener("click", save);
at("clear").addEventListener("click", clear);
at("heated").addEventListener("change", showHeat);
at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value);
  say("");
  introduce();
});
document.addEventListener("paste", (event) => inspect([...event.clipboardData.files]));
document.addEventListener("dragover", (event) => { event.preventDefault(); at("zone").classList.add("over"); });
document.addEventListener("dragleave", () => at("zone").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("zone").classList.remove("over");
  inspect([...event.dataTransfer.files].filter((file) => file.size));
});
introduce();
