// One study: the viewer, what the model says of the image in it, and what the reader says.
import { ask, rest } from "./api.js";
import { Viewer } from "./viewer.js";

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const { study, classes, windows, colours } = data;
const A_COPY = 0.0005; // distances are rounded, and what is nearer than this differs by less than noise

function element(name, words = "", { kind = "" } = {}) {
  const made = document.createElement(name);
  made.textContent = words; // text, never markup: it may come from a file
  if (kind) made.className = kind;
  return made;
}

const percent = (p) => (p > 0 && p < 0.01 ? "< 1 %" : p < 1 && p > 0.99 ? "> 99 %" : `${Math.round(100 * p)} %`);

function framesOf(series) {
  return series.images.flatMap((image) => [...Array(image.n_frames).keys()].map((frame) => ({
    image, frame, answer: image.frames.find((said) => said.frame === frame),
  })));
}

// caveat: why they are no answer, where they are none; said to the eye and to the ear.
function bars(probabilities, caveat = "") {
  const table = element("table", "", { kind: caveat ? "bars unsure" : "bars" });
  if (caveat) table.createCaption().append(element("strong", caveat));
  const body = table.createTBody();
  for (const [name, p] of Object.entries(probabilities).sort((a, b) => b[1] - a[1])) {
    const row = body.insertRow();
    const head = element("th", name);
    head.scope = "row";
    const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: p, ariaHidden: "true" });
    row.append(head, document.createElement("td"), element("td", percent(p), { kind: "number" }));
    row.cells[1].append(meter);
    if (caveat) row.cells[2].append(element("span", ", no answer", { kind: "unseen" }));
  }
  return table;
}

function showAnswer({ image, answer }) {
  const shown = [];
  if (!answer || answer.problem) {
    shown.push(element("p", answer?.problem || image.problem || "Waiting for the model.", { kind: image.state === "waiting" ? "soft" : "none" }));
  } else {
    if (answer.abstains) shown.push(element("p", `The model does not answer: ${answer.abstains}.`, { kind: "none" }));
    else shown.push(element("p", `Likeliest class: ${answer.label}`, { kind: "likeliest" }));
    shown.push(bars(answer.probabilities, data.caveats[answer.abstains]));
    if (answer.abstains !== data.unlike) shown.push(element("p", setOf(answer), { kind: answer.set.length ? "" : "soft" }));
    viewer.heatClass = answer.label;
    viewer.isSilent = Boolean(answer.abstains);
  }
  byId("image-answer").replaceChildren(...shown);
  showNearest(answer && !answer.problem ? answer.nearest : null);
}

function setOf(answer) {
  if (answer.set.length) return `Set of possible classes: ${answer.set.join(" or ")}. Such sets ${data.sets_why}.`;
  return data.has_sets ? "Set of possible classes: empty. No class fits this image." : `The model cannot say how sure it is: ${data.sets_why}.`;
}

function showNearest(nearest) {
  const none = nearest ? "None are kept with this model." : "Told with the model's answer.";
  if (!nearest?.length) return byId("nearest").replaceChildren(element("p", none, { kind: "soft" }));
  const list = element("ol", "", { kind: "plain" });
  for (const { label, patient, distance } of nearest) {
    list.append(element("li", `${label} · ${patient ? `patient ${patient.slice(0, 8)}` : "patient unknown"} · ${distance.toFixed(3)}`));
  }
  const scale = element("p", "The number: how far apart the network finds them. 0: no difference; 1: nothing in common.", { kind: "soft" });
  const copy = element("p", "This image, or a copy of it, seems to have been in the training: that it is known again proves nothing.", { kind: "none" });
  return byId("nearest").replaceChildren(...(nearest[0].distance < A_COPY ? [copy] : []), list, scale);
}

function showReadings(readings) {
  byId("readings").replaceChildren(...[...readings].reverse().map(({ reader, verdict, label, comment, read_at: at }) => {
    const said = verdict === "agree" ? "✓ agrees" : `✗ disagrees${label ? `: ${label}` : ""}`;
    const row = element("li");
    row.append(element("strong", said), element("span", ` ${reader}, ${at.slice(0, 16).replace("T", " ")} UTC`, { kind: "soft" }));
    if (comment) row.append(element("p", comment));
    return row;
  }));
}

for (const name of [["", "as in the file"], ...Object.keys(windows).map((own) => [own, own]), ["own", "by hand"]]) {
  byId("window").append(new Option(name[1], name[0]));
}
byId("heat-class").append(new Option("the likeliest", ""), ...classes.map((name) => new Option(name, name)));
const bar = byId("scale-bar").getContext("2d");
colours.forEach(([r, g, b], i) => {
  bar.fillStyle = `rgb(${r} ${g} ${b})`;
  bar.fillRect(0, 96 - ((i + 1) * 96) / colours.length, 12, 96 / colours.length + 1);
});

const viewer = new Viewer({ windows, colours, classes, onFrame: showAnswer });
let series = 0;
study.series.forEach((one, i) => byId("series").append(new Option(`${i + 1}: ${one.modality || "images"}, ${framesOf(one).length}`, i)));
byId("series").parentElement.hidden = study.series.length < 2;
byId("series").addEventListener("change", (event) => {
  series = Number(event.target.value);
  viewer.show(framesOf(study.series[series]));
});
viewer.show(framesOf(study.series[series] ?? { images: [] }));
showReadings(study.readings);

const form = byId("reading");
form.addEventListener("change", () => { byId("right-label").hidden = form.elements.verdict.value !== "disagree"; });
let isKeeping = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (isKeeping) return;
  isKeeping = true;
  const { verdict, label, comment } = Object.fromEntries(new FormData(form));
  // who agrees names the answer on this page: the model may have said another since
  const body = { study: study.uid, verdict, label: verdict === "disagree" ? label : study.label, comment };
  try {
    await ask("/api/v1/readings", { method: "POST", body });
    byId("reading-said").textContent = "Kept.";
    form.reset();
    byId("right-label").hidden = true;
    showReadings((await (await ask(`/api/v1/studies/${study.uid}`)).json()).readings);
  } catch (fault) {
    byId("reading-said").textContent = fault.message;
  }
  isKeeping = false;
});

const help = byId("help");
byId("help-button").addEventListener("click", () => help.showModal());
addEventListener("keydown", (event) => {
  if ((event.ctrlKey && !event.key.startsWith("Arrow")) || event.altKey || event.metaKey || help.open) return;
  // a dialog that was closed a moment ago may still have the focus
  if (event.target.matches("input, select, textarea, button, summary, a") && event.target.type !== "checkbox" && !help.contains(event.target)) return;
  if (event.key === "?") help.showModal();
  else if (!form.hidden && (event.key === "a" || event.key === "d")) {
    form.elements.verdict.value = event.key === "a" ? "agree" : "disagree";
    form.dispatchEvent(new Event("change"));
    form.elements.comment.focus();
  } else if (!viewer.key(event)) return;
  event.preventDefault();
});

// Answers that come while the page is open.
(async () => {
  while (study.state === "waiting") {
    await rest(1500);
    const fresh = await ask(`/api/v1/studies/${study.uid}`).then((response) => response.json(), () => null);
    if (!fresh || fresh.state === "waiting") continue;
    if (!form.elements.verdict.value && !form.elements.comment.value) return location.reload();
    byId("reading-said").textContent = "The model has answered more images since. Keep this reading, or load the page again.";
    return undefined;
  }
  return undefined;
})();
