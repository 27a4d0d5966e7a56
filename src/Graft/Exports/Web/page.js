// The page: pictures in by drop, file and camera; answers out.
import { digits, numberText, percent } from "./answer.js";

const shown = 10;
const at = id => document.getElementById(id);
const waiting = new Map();
const worker = new Worker("worker.js", { type: "module" });
let next = 0, ready = false, failed = null;

at("late").remove();
worker.onerror = event => fail(event.message || "a script could not be loaded: the whole folder has to be there, on a web server");
worker.onmessage = ({ data }) => {
  if (data.failed) fail(data.failed);
  else if (data.ready) {
    ready = true;
    at("progress").hidden = true;
    status();
  } else if (data.of) {
    at("progress").value = data.loaded / data.of;
    tell(`Loading the model: ${megabytes(data.loaded)} of ${megabytes(data.of)} MB`);
  } else show(data);
};

const megabytes = bytes => (bytes / 1e6).toFixed(1);

function tell(text, wrong = false) {
  at("status").textContent = text;
  at("status").classList.toggle("wrong", wrong);
}

function status() {
  if (failed) return;
  if (!ready) return;
  tell(waiting.size === 0 ? "Ready" : waiting.size === 1 ? "Looking at a picture" : `Looking at ${waiting.size} pictures`);
}

function fail(reason) {
  failed = reason;
  at("progress").hidden = true;
  tell(`The model cannot be run here: ${reason}`, true);
  for (const id of [...waiting.keys()]) show({ id, error: "the model cannot be run here" });
}

function element(tag, className, ...inside) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...inside);
  return made;
}

/** A place for an answer, and the question to the worker. */
function ask(name, picture, before, question, transfer = []) {
  const id = next++;
  const told = element("p", "told none", "…");
  const text = element("div", "", element("h2", "", name), told);
  const item = element("li", "answer", picture, text);
  at("answers").insertBefore(item, before);
  at("clear").hidden = false;
  waiting.set(id, { name, item, text, told, picture });
  if (failed) show({ id, error: "the model cannot be run here" });
  else worker.postMessage({ id, ...question }, transfer);
  status();
}

function take(files) {
  // What came before moves down.
  const before = at("answers").firstChild;
  for (const file of files) {
    const picture = element("img");
    picture.alt = file.name;
    picture.decoding = "async";
    picture.src = URL.createObjectURL(file);
    ask(file.name, picture, before, { file });
  }
}

function show({ id, answer, error, read, run }) {
  const place = waiting.get(id);
  if (!place) return;
  waiting.delete(id);
  status();
  const { name, item, text, told, picture } = place;
  if (error) {
    picture.remove();
    item.classList.add("broken");
    told.replaceWith(element("p", "wrong", `${error[0].toUpperCase()}${error.slice(1)}.`));
    at("said").textContent = `${name}: ${error}`;
    return;
  }
  told.textContent = answer.text;
  told.classList.toggle("none", answer.said?.length === 0);
  text.append(answer.numbers ? numbers(answer.numbers) : bars(answer));
  text.append(element("p", "time", `Read in ${Math.round(read)} ms, answered in ${Math.round(run)} ms`));
  at("said").textContent = `${name}: ${answer.text}`;
}

function data(value, text) {
  const made = element("data", "", text);
  made.value = value;
  return made;
}

function bars({ top, labels, said }) {
  const first = top ? [top[0]] : said;
  const list = element("ul", "bars", ...(top ?? labels).slice(0, Math.max(shown, first.length)).map(label => {
    const line = element("i"), bar = element("div", "bar", line);
    line.style.width = `${100 * label.probability}%`;
    if (labels) {
      const mark = element("b");
      mark.style.left = `${100 * label.threshold}%`;
      mark.title = `said from ${percent(label.threshold)} on`;
      bar.append(mark);
    }
    bar.setAttribute("aria-hidden", "true");
    return element("li", first.includes(label) ? "is" : "", element("span", "name", label.name), data(label.probability, percent(label.probability)), bar);
  }));
  return list;
}

function numbers(all) {
  return element("ul", "bars", ...all.map(number => {
    const item = element("li", "is", element("span", "name", number.name), data(number.value, digits(number.value)));
    if (number.low !== undefined) {
      item.append(element("span", "interval", `nine of ten such lie between ${digits(number.low)} and ${digits(number.high)}`));
    }
    return item;
  }));
}

at("files").onchange = event => {
  take(event.target.files);
  // The same file again is a change too.
  event.target.value = "";
};

at("clear").onclick = () => {
  for (const picture of document.querySelectorAll("#answers img")) URL.revokeObjectURL(picture.src);
  waiting.clear();
  at("answers").replaceChildren();
  at("clear").hidden = true;
  status();
};

for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, event => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
}
addEventListener("dragleave", event => { if (!event.relatedTarget) at("drop").classList.remove("over"); });
addEventListener("drop", event => {
  event.preventDefault();
  at("drop").classList.remove("over");
  take(event.dataTransfer.files);
});

// Browsers give the camera to pages of https and of localhost alone.
let stream = null, shots = 0;
at("camera").hidden = !navigator.mediaDevices?.getUserMedia;

at("camera").onclick = async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (reason) {
    tell(reason.name === "NotAllowedError" ? "The browser was not allowed to use the camera" : `There is no camera to use (${reason.message})`, true);
    return;
  }
  at("video").srcObject = stream;
  at("viewfinder").hidden = false;
  at("camera").hidden = true;
  await at("video").play();
  at("shoot").focus();
};

at("shoot").onclick = async () => {
  const bitmap = await createImageBitmap(at("video"));
  const picture = element("canvas");
  [picture.width, picture.height] = [bitmap.width, bitmap.height];
  picture.getContext("2d").drawImage(bitmap, 0, 0);
  const name = `Camera, picture ${++shots}`;
  picture.role = "img";
  picture.ariaLabel = name;
  ask(name, picture, at("answers").firstChild, { bitmap }, [bitmap]);
};

at("stop").onclick = () => {
  for (const track of stream.getTracks()) track.stop();
  at("video").srcObject = null;
  at("viewfinder").hidden = true;
  at("camera").hidden = false;
};
