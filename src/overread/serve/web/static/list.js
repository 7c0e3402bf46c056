// The work list: files handed in, and rows that follow what the model has done.
import { ask, rest, send } from "./api.js";

const FILES_A_REQUEST = 200;
const BYTES_A_REQUEST = 200e6;
const MOST_PROBLEMS = 50;
const byId = (id) => document.getElementById(id);
let isUploading = false;
let handedInMeanwhile = [];

for (const id of ["files", "folder"]) {
  byId(id).addEventListener("change", (event) => {
    handIn([...event.target.files]);
    event.target.value = "";
  });
}
const drop = byId("drop");
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  handIn((await Promise.all(entries.map(filesBelow))).flat());
});
addEventListener("beforeunload", (event) => { if (isUploading) event.preventDefault(); });

async function filesBelow(entry) {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a reader gives at most a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const below of some) found.push(...await filesBelow(below));
  }
}

function* pieces(files) {
  let piece = [], bytes = 0;
  for (const file of files) {
    if (piece.length && (piece.length === FILES_A_REQUEST || bytes + file.size > BYTES_A_REQUEST)) {
      yield piece;
      [piece, bytes] = [[], 0];
    }
    piece.push(file);
    bytes += file.size;
  }
  if (piece.length) yield piece;
}

async function handIn(files) {
  if (!files.length) return;
  if (isUploading) {
    handedInMeanwhile.push(...files);
    return;
  }
  isUploading = true;
  byId("upload").hidden = false;
  byId("problems").replaceChildren();
  const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
  let before = 0;
  const jobs = [];
  try {
    for (const piece of pieces(files)) {
      const form = new FormData();
      for (const file of piece) form.append("files", file, file.name);
      jobs.push(await send("/api/v1/images", form, (loaded) => {
        byId("progress").value = Math.min(1, (before + loaded) / total);
        say(`Sending ${files.length} ${files.length === 1 ? "file" : "files"}: ${Math.round(100 * byId("progress").value)} %`);
      }));
      before += piece.reduce((sum, file) => sum + file.size, 0);
    }
    await follow(jobs);
  } catch (fault) {
    say(fault.message);
  }
  isUploading = false;
  refresh().catch(() => {});
  handIn(handedInMeanwhile.splice(0));
}

async function follow(jobs) {
  for (;;) {
    const sum = (name) => jobs.reduce((total, job) => total + job[name], 0);
    const [images, answered] = [sum("n_images"), sum("n_answered")];
    const problems = jobs.flatMap((job) => job.problems);
    const silent = withoutAnswer(jobs);
    byId("progress").value = images ? (answered + silent.count) / images : 1;
    showProblems([...problems, ...silent.reasons]);
    const told = [];
    if (silent.count) told.push(`${silent.count} ${silent.count === 1 ? "image" : "images"} could not be used`);
    if (problems.length) told.push(`${problems.length} ${problems.length === 1 ? "file" : "files"} could not be read`);
    const refused = told.length ? `; ${told.join("; ")}: see below` : "";
    const isDone = jobs.every((job) => job.state === "done");
    if (isDone && !answered) return say(`No image could be used${refused && ": see below"}.`);
    if (isDone) return say(`${answered} ${answered === 1 ? "image has" : "images have"} an answer${refused}.`);
    const reading = jobs.some((job) => job.state === "reading") ? "Unpacking. " : "";
    say(images ? `${reading}${answered} of ${images} images answered${refused}.` : reading);
    await rest(500);
    jobs = await Promise.all(jobs.map(async (job) => (job.state === "done" ? job : (await ask(`/api/v1/jobs/${job.id}?limit=0`)).json())));
    refresh().catch(() => {});
  }
}

// Images that were read, and that the model can do nothing with: each reason once.
function withoutAnswer(jobs) {
  const counts = new Map();
  for (const { problem, n_images } of jobs.flatMap((job) => job.reasons)) counts.set(problem, (counts.get(problem) ?? 0) + n_images);
  const reasons = [...counts].map(([problem, n]) => ({ message: `${n} ${n === 1 ? "image" : "images"}: ${problem}` }));
  return { count: jobs.reduce((total, job) => total + job.n_refused, 0), reasons };
}

function showProblems(problems) {
  const rows = problems.slice(0, MOST_PROBLEMS).map(({ message }) => Object.assign(document.createElement("li"), { textContent: message }));
  if (problems.length > MOST_PROBLEMS) rows.push(Object.assign(document.createElement("li"), { textContent: `and ${problems.length - MOST_PROBLEMS} more` }));
  byId("problems").replaceChildren(...rows);
}

function say(words) {
  if (byId("said").textContent !== words) byId("said").textContent = words;
}

// The server draws the rows; focus stays on the study that it was on.
async function refresh() {
  const page = new DOMParser().parseFromString(await (await ask(location.pathname + location.search)).text(), "text/html");
  const focused = document.activeElement?.id;
  const fresh = page.getElementById("found");
  if (fresh.innerHTML === byId("found").innerHTML) return;
  byId("found").replaceWith(fresh);
  if (focused?.startsWith("study-")) byId(focused)?.focus();
}

for (const select of byId("filters").querySelectorAll("select")) {
  select.addEventListener("change", () => byId("filters").requestSubmit());
}
(async () => {
  for (;;) {
    await rest(4000);
    if (!isUploading && !document.hidden) await refresh().catch(() => {});
  }
})();
