// The page of scripts/serve.py: takes an image, asks the server for its translation and compares the two.
"use strict";

const byId = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token");
let runs = [], limits = {}, picture = null, name = "image", latest = 0, stream = null;

function address(path, values = {}) {
  const query = new URLSearchParams(values);
  if (token) query.set("token", token);
  return query.size ? `${path}?${query}` : path;
}

function say(text, wrong = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("wrong", wrong);
}

function fill(select, values, texts = values) {
  select.replaceChildren(...values.map((value, i) => new Option(texts[i], value)));
}

const currentRun = () => runs.find((run) => run.name === byId("run").value);

// The choices that the run offers.
function showRun() {
  const run = currentRun();
  byId("about").textContent = `The run ${run.name} is a ${run.model} model.`;
  fill(byId("epoch"), run.epochs);
  byId("epochs").hidden = run.epochs.length < 2;
  fill(byId("direction"), run.directions, run.directions.map((word) => (word === "AtoB" ? "A to B" : "B to A")));
  byId("directions").hidden = !run.directions.length;
  const none = run.attributes.length ? [""] : [];
  fill(byId("domain"), [...none, ...run.domains], [...none.map(() => "none"), ...run.domains]);
  byId("domains").hidden = !run.domains.length;
  byId("attributes").hidden = !run.attributes.length;
  byId("attributes").querySelectorAll("label").forEach((label) => label.remove());
  run.attributes.forEach((attribute, i) => {
    const label = document.createElement("label"), select = document.createElement("select");
    fill(select, ["", "1", "0"], ["as it is", "yes", "no"]);
    if (i === 0 && !run.domains.length) select.value = "1";
    select.dataset.attribute = attribute;
    label.append(attribute.replaceAll("_", " "), " ", select);
    byId("attributes").append(label);
  });
}

// A domain, or attributes with values, such as Male=1+Young=0.
function target() {
  if (byId("domain").value) return byId("domain").value;
  const selects = [...byId("attributes").querySelectorAll("select")].filter((select) => select.value);
  return selects.map((select) => `${select.dataset.attribute}=${select.value}`).join("+");
}

async function translate() {
  if (!picture || !currentRun()) return;
  const mine = ++latest;
  if (picture.size > limits.bytes) {
    return say(`${(picture.size / 1e6).toFixed(1)} MB: at most ${limits.bytes / 1e6} MB are accepted`, true);
  }
  say("Translating …");
  const values = { run: byId("run").value, epoch: byId("epoch").value, direction: byId("direction").value, target: target() };
  try {
    const answer = await fetch(address("translate", values), { method: "POST", body: picture });
    if (mine !== latest) return;
    if (!answer.ok) return say(await answer.text(), true);
    show(await answer.blob());
  } catch {
    if (mine === latest) say("The server does not answer; is it still running?", true);
  }
}

async function show(made) {
  for (const [id, blob] of [["before", picture], ["after", made]]) {
    URL.revokeObjectURL(byId(id).src);
    byId(id).src = URL.createObjectURL(blob);
  }
  const after = byId("after");
  await after.decode();
  // Browsers show no TIFF: the translation is then shown alone.
  const both = await byId("before").decode().then(() => true, () => false);
  byId("before").hidden = byId("edge").hidden = byId("sliding").hidden = !both;
  byId("download").href = after.src;
  byId("download").download = `${name}_${currentRun().name}.png`;
  byId("result").hidden = false;
  document.body.classList.add("full");
  say(`${after.naturalWidth} × ${after.naturalHeight} pixels`);
}

function take(file) {
  if (!file) return;
  picture = file;
  name = (file.name || "image").replace(/\.[^.]*$/, "");
  translate();
}

function slide(share) {
  byId("slider").value = share;
  byId("compare").style.setProperty("--share", `${share}%`);
}

function slideTo(event) {
  const box = byId("compare").getBoundingClientRect();
  if (event.buttons && !byId("before").hidden) slide(Math.max(0, Math.min(100, (100 * (event.clientX - box.left)) / box.width)));
}

async function openCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    return say("No camera can be used here; browsers allow it at localhost and over https only.", true);
  }
  byId("photo").hidden = false;
  byId("video").srcObject = stream;
  await byId("video").play();
}

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  byId("photo").hidden = true;
}

function shoot() {
  const video = byId("video"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  closeCamera();
  canvas.toBlob((blob) => take(new File([blob], "photo.png")), "image/png");
}

async function start() {
  const answer = await fetch(address("runs"));
  ({ runs, limits } = await answer.json());
  fill(byId("run"), runs.map((run) => run.name));
  showRun();
}

byId("run").addEventListener("change", showRun);
byId("choices").addEventListener("change", translate);
byId("choices").addEventListener("submit", (event) => event.preventDefault());
byId("choose").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", (event) => { take(event.target.files[0]); event.target.value = ""; });
byId("camera").addEventListener("click", openCamera);
byId("shoot").addEventListener("click", shoot);
byId("cancel").addEventListener("click", closeCamera);
byId("slider").addEventListener("input", (event) => slide(event.target.value));
for (const kind of ["pointerdown", "pointermove"]) byId("compare").addEventListener(kind, slideTo);
byId("compare").addEventListener("dragstart", (event) => event.preventDefault());
document.addEventListener("paste", (event) => take([...event.clipboardData.files][0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files[0]);
  });
}
start().catch(() => say("The server does not answer; is it still running?", true));
