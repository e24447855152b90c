// The page of `blemish review`. What is decided lies in the server's journal; `rows` is a copy of
// it, brought up to date by every answer, so that several windows show the same. Names of files
// and defects are hostile: they are only ever written as text.
"use strict";

const at = (id) => document.getElementById(id);
const state = { images: [], kinds: [], rows: [], place: 0, details: null, map: false, mine: [] };

async function ask(address, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, since: state.rows.length }),
  };
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("`blemish review` does not answer: start it again, nothing is lost");
  }
  const content = await answer.json();
  if (answer.status === 409) learn((await ask(`/rows?since=${state.rows.length}`)).rows);
  if (!answer.ok) throw new Error(content.error);
  return content;
}

const image = () => state.images[state.place];

// The row that counts about each image; `undone` takes back the one before.
function decisions() {
  const stacks = new Map();
  for (const row of state.rows) {
    if (!stacks.has(row.key)) stacks.set(row.key, []);
    if (row.decision === "undone") stacks.get(row.key).pop();
    else stacks.get(row.key).push(row);
  }
  const counting = new Map();
  for (const [key, stack] of stacks) if (key && stack.length) counting.set(key, stack.at(-1));
  return counting;
}

function learn(rows) {
  for (const row of rows) state.rows[row.number] = row;
  for (const row of rows) {
    if (row.defect && !state.kinds.includes(row.defect)) state.kinds.push(row.defect);
  }
}

function said(row) {
  if (!row) return "–";
  return row.decision === "defect" ? `defect: ${row.defect}` : row.decision;
}

function drawFacts() {
  const known = decisions();
  const done = state.images.filter((one) => known.has(one.key)).length;
  at("progress").max = state.images.length || 1;
  at("progress").value = done;
  at("count").textContent = `${done} of ${state.images.length} decided`;
  if (!image()) return;
  at("name").textContent = `${state.place + 1}. ${image().name}`;
  at("score").textContent = image().score.toPrecision(5);
  at("threshold").textContent = image().threshold.toPrecision(5);
  at("verdict").textContent = image().alarm ? "alarm" : "good";
  at("decision").textContent = said(known.get(image().key));
}

function drawOutline() {
  const { width, height, shapes } = state.details;
  const outline = at("outline");
  outline.setAttribute("viewBox", `0 0 ${width} ${height}`);
  outline.replaceChildren(...shapes.map((shape) => {
    const polygon = document.createElementNS(outline.namespaceURI, "polygon");
    polygon.setAttribute("points", shape.values.join(" "));
    return polygon;
  }));
  at("labelme").hidden = !state.details.command || !said(decisions().get(image().key)).startsWith("defect");
  at("command").textContent = state.details.command;
  if (state.details.fault) at("message").textContent = state.details.fault;
}

function drawMap() {
  const shown = state.map && state.details && state.details.overlay;
  at("map").hidden = !shown;
  at("picture").hidden = shown;
  if (shown) at("map").src = `/images/${image().key}/overlay.png`;
}

// An answer about an image that is no longer shown must change nothing.
async function drawDetails() {
  const shown = image();
  const details = await ask(`/images/${shown.key}`);
  if (shown !== image()) return;
  state.details = details;
  drawOutline();
  drawMap();
}

async function show(place) {
  if (!state.images.length) return;
  state.place = Math.max(0, Math.min(place, state.images.length - 1));
  state.details = null;
  at("chooser").hidden = true;
  at("message").textContent = "";
  at("outline").replaceChildren();
  at("picture").src = `/images/${image().key}/image.png`;
  at("picture").alt = image().name;
  drawMap();
  drawFacts();
  await drawDetails();
}

function nextOpen() {
  const known = decisions();
  const order = state.images.map((_, step) => (state.place + 1 + step) % state.images.length);
  const open = order.find((place) => !known.has(state.images[place].key));
  return open === undefined ? state.place : open;
}

async function decide(decision, defect = "") {
  const { key } = image();
  if (!state.details) await drawDetails();
  const { rows } = await ask("/decide", { key, digest: state.details.digest, decision, defect });
  learn(rows);
  state.mine.push(rows.findLast((row) => row.key === key));
  await (decision === "defect" ? show(state.place) : show(nextOpen()));
}

async function undo() {
  const row = state.mine.pop();
  if (!row) throw new Error("nothing to undo");
  try {
    learn((await ask("/undo", { key: row.key, number: row.number })).rows);
  } finally {
    await show(state.images.findIndex((one) => one.key === row.key));
  }
}

function choose() {
  at("kinds").replaceChildren(...state.kinds.slice(0, 9).map((kind) => {
    const entry = document.createElement("li");
    entry.textContent = kind;
    return entry;
  }));
  at("chooser").hidden = false;
  at("kind").value = "";
  at("kind").focus();
}

// What is typed while the page is at work waits for its turn: who types fast loses nothing.
let busy = 0;
const waiting = [];
async function run(action) {
  busy += 1;
  try {
    await action();
  } catch (error) {
    at("message").textContent = error.message;
  } finally {
    busy -= 1;
  }
  while (!busy && waiting.length) waiting.shift()();
}

const actions = {
  good: () => decide("good"),
  defect: choose,
  unsure: () => decide("unsure"),
  undo,
  previous: () => show(state.place - 1),
  next: () => show(state.place + 1),
  open: () => show(nextOpen()),
  toggle: () => { state.map = !state.map; drawMap(); },
};
const keys = {
  g: "good", d: "defect", u: "unsure", z: "undo", m: "toggle", o: "open",
  ArrowLeft: "previous", p: "previous", ArrowRight: "next", n: "next",
};

function named(kind) {
  at("chooser").hidden = true;
  run(() => decide("defect", kind));
}

// Whether the page took a key; else it is text for the chooser.
function handle(key) {
  if (at("chooser").hidden) {
    if (keys[key]) run(actions[keys[key]]);
    return Boolean(keys[key]);
  }
  const listed = at("kind").value === "" && state.kinds.slice(0, 9)[Number(key) - 1];
  if (key === "Escape") at("chooser").hidden = true;
  else if (key === "Enter") named(at("kind").value.trim());
  else if (listed) named(listed);
  else return false;
  return true;
}

document.addEventListener("keydown", (event) => {
  const { key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (busy) {
    event.preventDefault();
    waiting.push(() => {
      if (!handle(key) && !at("chooser").hidden && key.length === 1) at("kind").value += key;
    });
  } else if (handle(key)) event.preventDefault();
});
at("chooser").addEventListener("submit", (event) => {
  event.preventDefault();
  named(at("kind").value.trim());
});
for (const [name, action] of Object.entries(actions)) {
  at(name).addEventListener("click", () => {
    at(name).blur();
    if (busy) waiting.push(() => run(action));
    else run(action);
  });
}

// Back from LabelMe or another window: see what changed there.
window.addEventListener("focus", () => run(async () => {
  learn((await ask(`/rows?since=${state.rows.length}`)).rows);
  drawFacts();
  if (image()) await drawDetails();
}));

run(async () => {
  const known = await ask("/images");
  Object.assign(state, { images: known.images, kinds: known.kinds });
  learn(known.rows);
  const last = decisions();
  state.mine = state.rows.filter((row) => last.get(row.key) === row);
  if (!state.images.length) throw new Error("the table holds no image");
  await show(last.has(state.images[0].key) ? nextOpen() : 0);
});
