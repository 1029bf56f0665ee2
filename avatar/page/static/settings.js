// Sliders, switches, background, camera: what the user sets.

import { ask, at, attempt, countDown, make, openDialog, showCount, tell } from "./dom.js";
import { strings } from "./strings.js";

const SLIDERS = ["strength", "smoothing", "reach"];
const SWITCHES = ["badge", "mirror", "alive", "keys"];
const SEND_EVERY_MS = 120;
const ROOM_SECONDS = 10;

let latest = null;
let backgrounds = [];
let cameras = [];
let devices = [];
let waiting = null;
let changes = {};

/** Wire up the controls. `lookAtCamera` says whether the camera's picture is wanted. */
export function prepareSettings(lookAtCamera) {
  for (const name of SLIDERS) {
    at(name).oninput = () => {
      showSlider(name);
      change({ [name]: Number(at(name).value) });
    };
  }
  at("usual").onclick = () => change({ strength: 1, smoothing: 1, reach: 1 });
  for (const name of SWITCHES) at(name).onchange = () => change({ [name]: at(name).checked });
  at("colour").oninput = () => change({ colour: at("colour").value });
  at("backgrounds").onchange = ({ target }) => choose(target.value, lookAtCamera);
  at("background-file").onchange = ({ target }) => {
    if (target.files.length) sendPicture(target.files[0]);
    target.value = "";
  };
  at("background-file").addEventListener("cancel", () => showSettings(latest));
  at("room-again").onclick = () => takeRoom(lookAtCamera);
  at("output-choice").onchange = async ({ target }) => {
    await attempt(() => ask("POST", "api/output", { device: target.value || null }));
    showDevices(latest);
  };
  at("camera-choice").onchange = async ({ target }) => {
    if (target.value !== "") await attempt(() => ask("POST", "api/camera", { camera: Number(target.value) }));
    showDevices(latest);
  };
  askForDevices();
  // What was plugged in meanwhile is there when the user comes back.
  window.addEventListener("focus", askForDevices);
}

/** Show what the program says is set. */
export function showSettings(state) {
  const set = state.settings;
  latest = state;
  backgrounds = state.backgrounds;
  for (const name of SLIDERS) {
    [at(name).min, at(name).max] = state.ranges[name];
    if (!(name in changes)) at(name).value = set[name];
    showSlider(name);
  }
  for (const name of SWITCHES) at(name).checked = set[name];
  if (!("colour" in changes)) at("colour").value = set.colour;
  const chosen = at("backgrounds").querySelector(`[value="${set.background}"]`);
  if (chosen) chosen.checked = true;
  at("colour-row").hidden = set.background !== "colour";
  at("picture-row").hidden = set.background !== "picture";
  at("room-row").hidden = set.background !== "room";
  at("backgrounds").querySelector('[value="room"]').disabled = !state.camera && !backgrounds.includes("room");
  at("room-again").disabled = !state.camera;
  showDevices(state);
}

/** Ask which cameras and virtual cameras there are. */
async function askForDevices() {
  [cameras, devices] = await Promise.all(["api/cameras", "api/devices"].map((path) => ask("GET", path).catch(() => [])));
  if (latest) showDevices(latest);
}

/** Fill a choice, if anything has changed: who has it open must not lose it. */
function fill(choice, options, chosen) {
  const wanted = JSON.stringify(options);
  if (choice.dataset.options !== wanted) {
    choice.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
    choice.dataset.options = wanted;
  }
  choice.value = chosen;
}

/** Change settings; what comes in quick succession is sent together. */
export function change(added) {
  Object.assign(changes, added);
  waiting ??= setTimeout(async () => {
    const sent = { ...changes };
    await attempt(() => ask("POST", "api/settings", sent));
    changes = Object.fromEntries(Object.entries(changes).filter(([name, value]) => sent[name] !== value));
    waiting = null;
    if (Object.keys(changes).length) change({});
    else showSettings(latest);
  }, SEND_EVERY_MS);
}

function showSlider(name) {
  const value = strings.percent(at(name).value);
  at(`${name}-value`).textContent = value;
  at(name).setAttribute("aria-valuetext", value);
}

function showDevices(state) {
  const names = state.outputs.map((output) => strings.outputNames[output] ?? output);
  at("outputs").textContent = names.length ? names.join(", ") : strings.nowhereElse;
  const number = cameras.some(({ index }) => index === state.camera_number) ? state.camera_number : "";
  const other = number === "" ? [["", state.driving]] : [];
  fill(at("camera-choice"), [...other, ...cameras.map(({ index, name }) => [index, name])], number);
  at("camera-choice").disabled = !cameras.length;
  const found = devices.map(({ device, name }) => [device, `${name} (${device})`]);
  fill(at("output-choice"), [["", found.length ? strings.noOutput : strings.noDevices], ...found], state.outlet ?? "");
  at("output-choice").disabled = !found.length;
}

function choose(background, lookAtCamera) {
  if (backgrounds.includes(background)) return change({ background });
  if (background === "picture") {
    at("picture-row").hidden = false;
    at("background-file").click();
  } else takeRoom(lookAtCamera);
}

async function sendPicture(file) {
  const form = new FormData();
  form.append("picture", file, file.name);
  if (!(await attempt(() => ask("POST", "api/background", form)))) showSettings(latest);
}

function takeRoom(lookAtCamera) {
  const dialog = at("room-dialog");
  const [go, error] = [at("room-go"), at("room-error")];
  error.textContent = "";
  go.disabled = false;
  lookAtCamera(true);
  showCount(at("room-count"), ROOM_SECONDS);
  openDialog(dialog, () => {
    lookAtCamera(false);
    go.disabled = false;
    showSettings(latest);
  });
  go.onclick = async () => {
    error.textContent = "";
    go.disabled = true;
    if (!(await countDown(at("room-count"), ROOM_SECONDS, () => dialog.open))) return;
    try {
      await ask("POST", "api/room");
      dialog.close();
      tell(strings.roomDone);
    } catch (refused) {
      error.textContent = refused.message;
      showCount(at("room-count"), ROOM_SECONDS);
    }
    go.disabled = false;
  };
}
