// The photo and its boxes live here; the server is sent both each time and keeps neither.
const $ = (id) => document.getElementById(id);
const stage = $("stage");
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];
const SMALLEST = 4; // px on the page; a shorter drag is a click
let photo = null; // { file, width, height, url }
let boxes = []; // [left, top, width, height] in photo pixels, edges from 0
let found = null; // what the server answered
let pinned = null; // [person, joint] whose map stays
let asking = new AbortController();
let limit = { most_bytes: Infinity };

const make = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const draw = (name, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// --- the server ---

async function ask(path, options) {
  const reply = await fetch(path, options).catch((error) => {
    throw error.name === "AbortError" ? error : new Error("The server does not answer. Is it still running?");
  });
  if (reply.ok) return reply;
  const said = await reply.json().catch(() => ({}));
  throw new Error(said.error ?? `The server answers ${reply.status} ${reply.statusText}.`);
}

const query = (more = {}) => new URLSearchParams({
  network: $("network").value, name: photo.file.name, boxes: JSON.stringify(boxes), ...more });

async function attempt(work) {
  $("error").textContent = "";
  document.body.setAttribute("aria-busy", "true");
  try {
    await work();
    document.body.removeAttribute("aria-busy");
  } catch (error) {
    if (error.name === "AbortError") return; // a newer request goes on
    document.body.removeAttribute("aria-busy");
    $("said").textContent = photo ? "" : "No photo yet.";
    $("error").textContent = error.message;
    $("error").scrollIntoView({ block: "nearest" });
  }
}

function newRequest() {
  asking.abort();
  asking = new AbortController();
  return asking.signal;
}

const open = (file) => attempt(async () => {
  if (file.size > limit.most_bytes) {
    throw new Error(`${file.name}: ${file.size.toLocaleString("en")} bytes; the limit is ${limit.most_text}`);
  }
  $("said").textContent = "Reading the photo …";
  const signal = newRequest();
  const reply = await ask(`photo?${new URLSearchParams({ name: file.name })}`, { method: "POST", body: file, signal });
  const [width, height] = reply.headers.get("X-Size").split(" ").map(Number);
  if (photo) URL.revokeObjectURL(photo.url);
  photo = { file, width, height, url: URL.createObjectURL(await reply.blob()) };
  boxes = [];
  stage.setAttribute("viewBox", `0 0 ${width} ${height}`);
  stage.style.setProperty("--ratio", height / width);
  $("people").replaceChildren();
  fill($("photo"), { href: photo.url, width, height }, []);
  stage.removeAttribute("hidden");
  document.querySelector(".key").hidden = false;
  $("drop").classList.add("small");
  $("people-boxes").disabled = false;
  showBoxes();
  await look();
});

async function look() {
  if (!photo) return;
  found = pinned = null;
  showPoses();
  $("said").textContent = "Looking for poses …";
  const reply = await ask(`poses?${query()}`, { method: "POST", body: photo.file, signal: newRequest() });
  found = await reply.json();
  const count = found.people.length;
  showPoses();
  const unseen = $("poses").querySelector(".joint") ? "" : "; all its joints score too little to be drawn";
  $("said").textContent = `${count} ${count === 1 ? "pose" : "poses"} in ${photo.width}×${photo.height} pixels${unseen}.`;
}

function changed() {
  showBoxes();
  return attempt(look);
}

// --- poses and maps ---

function showPoses() {
  const least = Number($("least").value);
  const open = [...$("people").querySelectorAll("details")].map((one) => one.open);
  $("results").disabled = !found;
  $("least-said").textContent = least;
  $("poses").replaceChildren();
  showMap(null);
  if (!found) return;
  $("people").replaceChildren(...found.people.map((person, index) => {
    const seen = person.joints.map(([, , score]) => score >= least);
    const at = (joint) => person.joints[joint];
    for (const [a, b, side] of found.limbs) {
      if (seen[a] && seen[b]) {
        $("poses").append(draw("line", { class: `limb ${side}`, x1: at(a)[0], y1: at(a)[1], x2: at(b)[0], y2: at(b)[1] }));
      }
    }
    const rows = found.joints.map(([name, side], joint) => {
      const [cx, cy, score] = at(joint);
      const row = make("button", { type: "button", "aria-pressed": "false", "data-joint": `${index} ${joint}`,
        class: seen[joint] ? "" : "low" }, make("span", {}, name.replaceAll("_", " ")), make("span", {}, score.toFixed(2)));
      const nodes = [row];
      if (seen[joint]) {
        const dot = draw("g", { class: `joint ${side}`, "data-joint": `${index} ${joint}` },
          draw("circle", { class: "reach", cx, cy }), draw("circle", { class: "dot", cx, cy }));
        $("poses").append(dot);
        nodes.push(dot);
      }
      for (const node of nodes) {
        node.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && showMap([index, joint]));
        node.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && showMap(pinned));
        node.addEventListener("click", () => {
          pinned = String(pinned) === String([index, joint]) ? null : [index, joint];
          showMap(pinned);
        });
      }
      row.addEventListener("focus", () => row.matches(":focus-visible") && showMap([index, joint]));
      row.addEventListener("blur", () => showMap(pinned));
      return make("li", {}, row);
    });
    return fill(make("details"), open[index] ?? index === 0 ? { open: "" } : {}, [
      make("summary", {}, `Person ${index + 1}, score ${person.score.toFixed(2)}`), make("ul", { class: "joints" }, ...rows)]);
  }));
}

function showMap(which) {
  for (const node of document.querySelectorAll("[data-joint]")) {
    const on = which !== null && node.dataset.joint === which.join(" ");
    node.classList.toggle("on", on);
    if (node.matches("button")) node.setAttribute("aria-pressed", String(on));
  }
  const person = which && found?.people[which[0]];
  if (person?.maps) {
    const [x, y, width, height] = person.place;
    fill($("map"), { href: person.maps[which[1]], x: x + 0.5, y: y + 0.5, width, height }, []);
  }
  $("map").toggleAttribute("hidden", !person?.maps);
  if (person) {
    const name = found.joints[which[1]][0].replaceAll("_", " ");
    $("said").textContent = `Person ${which[0] + 1}, ${name}: score ${person.joints[which[1]][2].toFixed(2)}`;
  }
}

// --- boxes ---

function showBoxes() {
  placeBoxes();
  $("box-list").replaceChildren(...boxes.map((box, index) => {
    const inputs = ["Left", "Top", "Width", "Height"].map((name, side) => {
      const input = make("input", { type: "number", value: box[side], step: "any", "aria-label": `${name} of box ${index + 1}` });
      input.addEventListener("change", () => { box[side] = Number(input.value); placeBoxes(); attempt(look); });
      return make("label", {}, name, input);
    });
    const remove = make("button", { type: "button", "aria-label": `Remove box ${index + 1}` }, "Remove");
    remove.addEventListener("click", () => { boxes.splice(index, 1); changed(); $("add").focus(); });
    return make("li", {}, make("b", {}, `Box ${index + 1}`), remove, ...inputs);
  }));
}

function placeBoxes() {
  const px = 1 / stage.getScreenCTM().a;
  stage.style.setProperty("--px", px);
  $("boxes").replaceChildren(...boxes.map(([x, y, width, height], index) => {
    const size = { x, y, width: Math.max(width, 0), height: Math.max(height, 0) };
    return draw("g", { class: "box", "data-box": index },
      ...["line under", "line", "edge"].map((name) => draw("rect", { class: name, ...size })),
      ...CORNERS.map(([right, low], corner) =>
        draw("circle", { class: "corner", "data-corner": corner, cx: x + right * width, cy: y + low * height })),
      draw("text", { x: x + 10 * px, y: y + 20 * px }, index + 1));
  }));
}

const between = (value, most) => Math.min(Math.max(value, 0), most);
function place(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(stage.getScreenCTM().inverse());
  return [between(Math.round(point.x), photo.width), between(Math.round(point.y), photo.height)];
}

const spanned = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.abs(x - u), Math.abs(y - v)];

stage.addEventListener("pointerdown", (event) => {
  const index = event.target.closest("[data-box]")?.dataset.box;
  if (event.button || (index === undefined && event.pointerType === "touch" && !armed())) return;
  event.preventDefault();
  if (index !== undefined) stage.setPointerCapture(event.pointerId); // boxes are drawn anew in each move
  const from = place(event), before = boxes.map((box) => [...box]);
  const corner = event.target.dataset.corner;
  const [x, y, width, height] = before[index] ?? [];
  const listening = new AbortController();
  let moved = false;
  const move = (now) => {
    const far = Math.hypot(now.clientX - event.clientX, now.clientY - event.clientY);
    moved ||= far >= SMALLEST;
    if (!moved || now.pointerId !== event.pointerId) return;
    const to = place(now);
    boxes = before.map((box) => [...box]);
    if (index === undefined) boxes.push(spanned(from, to));
    else if (corner === undefined) {
      boxes[index][0] = between(x + to[0] - from[0], photo.width - width);
      boxes[index][1] = between(y + to[1] - from[1], photo.height - height);
    } else {
      const [right, low] = CORNERS[(Number(corner) + 2) % 4]; // the opposite one stays
      boxes[index] = spanned([x + right * width, y + low * height], to);
    }
    placeBoxes();
  };
  const end = (last) => {
    if (last.pointerId !== event.pointerId) return;
    listening.abort();
    const box = boxes[index ?? before.length];
    if (last.type === "pointercancel" || (box && !(box[2] && box[3]))) boxes = before;
    if (String(boxes) === String(before)) return placeBoxes();
    arm(false);
    changed();
  };
  addEventListener("pointermove", move, listening);
  addEventListener("pointerup", end, listening);
  addEventListener("pointercancel", end, listening);
});

function arm(on) {
  $("draw").setAttribute("aria-pressed", String(on));
}
const armed = () => $("draw").getAttribute("aria-pressed") === "true";

// A finger elsewhere scrolls the page. (touch-action does not hold for shapes inside an svg.)
stage.addEventListener("touchstart", (event) => {
  if (armed() || event.target.closest("[data-box]")) event.preventDefault();
}, { passive: false });
$("draw").addEventListener("click", () => arm(!armed()));
$("add").addEventListener("click", () => {
  const { width, height } = photo;
  boxes.push([Math.floor(width / 4), Math.floor(height / 4), Math.ceil(width / 2), Math.ceil(height / 2)]);
  changed();
});
$("clear").addEventListener("click", () => { boxes = []; changed(); });

// --- photo in, files out ---

$("file").addEventListener("change", (event) => {
  if (event.target.files.length) open(event.target.files[0]);
  event.target.value = ""; // the same one may be chosen again
});
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (hasFiles(event)) { event.preventDefault(); document.body.classList.add("over"); }
});
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("over");
  open(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => event.clipboardData.files.length && open(event.clipboardData.files[0]));

function save(blob, ending) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: photo.file.name.replace(/\.[^.]*$/, "") + ending }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

$("json").addEventListener("click", () => save(new Blob([found.results], { type: "application/json" }), "_poses.json"));
$("picture").addEventListener("click", () => attempt(async () => {
  const reply = await ask(`picture?${query({ min_score: $("least").value })}`, { method: "POST", body: photo.file });
  save(await reply.blob(), "_poses.jpg");
}));

$("least").addEventListener("input", showPoses);
$("network").addEventListener("change", () => attempt(look));
new ResizeObserver(() => photo && placeBoxes()).observe(stage);

attempt(async () => {
  limit = await (await ask("networks")).json();
  $("network").replaceChildren(...limit.networks.map((name) =>
    make("option", { value: name, title: name }, name.length > 36 ? `…${name.slice(-36)}` : name)));
});
