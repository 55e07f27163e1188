// What the page does: takes a file, has it read, shows pages as they come, and hands out the results.

import { Problem, readDocument } from "./events.js";
import { Results, copy, save } from "./results.js";
import { Sheet, waitingSheet } from "./sheet.js";
import { count, problemOf, sizeOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const state = { file: null, sheets: [], markdown: "", view: "text", reading: null, asked: "" };

async function read(file, others = 0) {
  state.reading?.abort();
  const reading = new AbortController();
  state.reading = reading;
  clear();
  state.file = file;
  state.asked = query().toString();
  $("name").textContent = `${nameOf(file)} · ${sizeOf(file.size)}${others ? `, the first of ${count(others + 1, "file")}` : ""}`;
  $("drop").classList.add("small");
  for (const id of ["results", "progress", "stop"]) $(id).hidden = false;
  offerAgain();
  const shown = /^image\/(jpeg|png|webp|bmp|gif)$/.test(file.type) ? URL.createObjectURL(file) : null;
  const waiting = waitingSheet(shown);
  $("sheets").append(waiting);
  $("progress").removeAttribute("value");
  const began = performance.now();
  const seconds = () => ((performance.now() - began) / 1000).toFixed(1);
  const clock = setInterval(() => state.sheets.length || tell(`reading, ${Math.round(seconds())} s`), 1000);
  tell("reading");
  try {
    await readDocument(file, query(), $("key").value, reading.signal, {
      page(page) {
        waiting.remove();
        const sheet = new Sheet(page, state.view, readAs);
        state.sheets.push(sheet);
        $("sheets").append(sheet.element);
        $("progress").value = page.done / page.total;
        tell(`${page.done} of ${count(page.total, "page")}, ${seconds()} s`);
        offerResults();
      },
      document(whole) {
        state.markdown = whole.markdown;
        const failed = state.sheets.filter((sheet) => sheet.page.error).length;
        tell(`done: ${count(state.sheets.length, "page")}, ${seconds()} s${failed ? `, ${failed} could not be read` : ""}`);
        $("progress").hidden = true;
      },
    });
  } catch (error) {
    if (state.reading !== reading) return;
    if (error.name === "AbortError") tell(`stopped after ${progress()}`);
    else fail(error);
  } finally {
    clearInterval(clock);
    if (shown) URL.revokeObjectURL(shown);
    waiting.remove();
    if (state.reading === reading) {
      state.reading = null;
      $("stop").hidden = true;
      // where it was stopped it stands where it was
      if (!state.sheets.length) $("progress").hidden = true;
      offerAgain();
    }
  }
}

/** Reads the same file in another way. */
function readAs(mode) {
  $("mode").value = mode;
  modeChanged();
  read(state.file);
}

function fail(error) {
  if (!(error instanceof Problem)) console.error(error);
  $("problem").textContent = problemOf(error, nameOf(state.file), state.sheets.length);
  $("problem").hidden = false;
  tell(state.sheets.length ? `ended after ${progress()}` : "not read");
  if (error.status === 401) {
    $("key-label").hidden = false;
    $("key").focus();
  }
}

function clear() {
  for (const sheet of state.sheets) sheet.forget();
  Object.assign(state, { sheets: [], markdown: "" });
  $("sheets").replaceChildren();
  $("problem").hidden = true;
  offerResults();
}

function query() {
  const query = new URLSearchParams();
  const mode = $("mode").value;
  if (mode) {
    query.set("use_layout_detection", "false");
    query.set("prompt_label", mode);
  }
  const pages = $("pages").value.replaceAll(/\s/g, "");
  if (pages) query.set("pages", pages);
  if (!mode && $("charts").checked) query.set("use_chart_recognition", "true");
  if (!mode && $("seals").checked) query.set("use_seal_recognition", "true");
  return query;
}

// what is offered

function offerResults() {
  for (const id of ["views", "downloads", "help"]) $(id).hidden = !state.sheets.length;
}

/** To read again, and in what way, where that is another one than what is shown. */
function offerAgain() {
  if (!state.file) return;
  const differs = query().toString() !== state.asked;
  const isOther = differs && $("mode").value !== (new URLSearchParams(state.asked).get("prompt_label") ?? "");
  $("again").hidden = false;
  $("again").classList.toggle("due", differs);
  $("again").textContent = isOther ? `Read again as ${$("mode").selectedOptions[0].text}` : "Read again";
}

function modeChanged() {
  // documents have charts, seals and pages; an image that is one block has not
  for (const id of ["charts", "seals"]) $(id).disabled = Boolean($("mode").value);
  offerAgain();
}

// results

const results = () => new Results(nameOf(state.file), state.sheets, state.markdown);

$("get-markdown").onclick = () => save(results().markdown, `${results().stem}.md`, "text/markdown");
$("get-json").onclick = () => save(results().json, `${results().stem}.json`, "application/json");
$("get-zip").onclick = () => save(results().archive, `${results().stem}.zip`);
$("copy").onclick = async () => {
  $("copy").textContent = (await copy(results().textOf(state.view))) ? "Copied" : "Not copied";
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
};

for (const button of document.querySelectorAll("[data-view]")) {
  button.onclick = () => {
    state.view = button.dataset.view;
    for (const one of document.querySelectorAll("[data-view]")) one.setAttribute("aria-pressed", String(one === button));
    for (const sheet of state.sheets) sheet.showAs(state.view);
  };
}

// what is read

function take(files) {
  if (files.length) read(files[0], files.length - 1);
}

for (const button of document.querySelectorAll("[data-example]")) {
  button.onclick = async () => {
    const name = button.dataset.example;
    const image = await (await fetch(`static/examples/${name}`)).blob();
    $("mode").value = button.dataset.mode;
    $("pages").value = "";
    modeChanged();
    read(new File([image], name, { type: "image/png" }));
  };
}
$("file").onchange = (event) => {
  take([...event.target.files]);
  event.target.value = ""; // so that the same file can be chosen again
};
$("form").onsubmit = (event) => {
  event.preventDefault();
  if (state.file) read(state.file);
};
$("stop").onclick = () => state.reading?.abort();
document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => event.relatedTarget || $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take([...event.dataTransfer.files]);
});
$("mode").onchange = modeChanged;
for (const id of ["pages", "charts", "seals"]) $(id).oninput = offerAgain;

function nameOf(file) {
  return file.name || "The pasted image";
}

function progress() {
  const last = state.sheets.at(-1)?.page;
  return last ? `${last.done} of ${count(last.total, "page")}` : "0 pages";
}

function tell(text) {
  $("status").textContent = text;
}

async function lookAtServer() {
  let up = false;
  try {
    up = (await fetch("readyz")).ok;
  } catch {
    // the gateway itself is gone
  }
  $("server").className = `server ${up ? "up" : "down"}`;
  $("server").textContent = up ? "the server is ready" : "the server is not ready";
}

lookAtServer();
setInterval(() => document.hidden || lookAtServer(), 15_000);
