// The control page: puts its parts together.

import { ask, at, attempt, countDown, fillTexts, make, openDialog, showCount, tell } from "./dom.js";
import { openEnroll, prepareEnroll } from "./enroll.js";
import { showGallery, useNumber } from "./gallery.js";
import { draw, Line } from "./line.js";
import { note } from "./plot.js";
import { change, prepareSettings, showSettings } from "./settings.js";
import { strings } from "./strings.js";

const NEUTRAL_SECONDS = 3;
const STEP_MS = 10;

let state = null;
let shows = 0;

const line = new Line({
  state: (said) => showState(said),
  status: (said) => showStatus(said),
  avatar: (bitmap) => {
    at("waiting").hidden = true;
    draw(bitmap, at("avatar"));
  },
  driver: (bitmap) => draw(bitmap, at("driver"), at("snap-view"), at("room-view")),
  lost: () => banner(strings.lost),
  found: () => banner(null),
  ended: () => banner(strings.ended),
});

/** Whoever needs the camera's picture says so, and says when it does not any more. */
function lookAtCamera(looks) {
  shows += looks ? 1 : -1;
  line.want("driver", shows > 0);
}

function banner(text) {
  at("gone").hidden = text === null;
  at("gone").textContent = text ?? "";
  document.body.classList.toggle("away", text !== null);
}

function showState(said) {
  state = said;
  showGallery(said, () => openEnroll([], said.camera));
  showSettings(said);
  toggle("pause", said.paused, said.paused ? strings.resume : strings.pause);
  at("pause").querySelector("use").setAttribute("href", said.paused ? "#icon-play" : "#icon-pause");
  toggle("record", said.recording !== null, said.recording ? strings.stopRecording : strings.record);
  at("paused-tag").hidden = !said.paused;
  at("recording-tag").hidden = said.recording === null;
  at("recording-tag").textContent = said.recording ? strings.recordingTag(fileName(said.recording)) : "";
  at("busy").textContent = said.busy ? (strings.busy[said.busy] ?? "") : "";
  at("drawn").textContent = said.drawn < 1 ? strings.drawn(strings.percent(said.drawn)) : "";
  if (said.told && said.told !== showState.told) tell(said.told, { bad: true });
  showState.told = said.told;
}

function showStatus(said) {
  const age = said.age_ms == null ? "–" : strings.ms(said.age_ms);
  const face = said.camera ? (said.face ? strings.faceSeen : strings.noFace) : strings.cameraGone;
  at("summary").textContent = strings.summary(said.fps.toFixed(0), age, face);
  at("summary").classList.toggle("missing", !said.face);
  at("fps").textContent = said.fps.toFixed(1);
  at("age").textContent = age;
  at("slowest").textContent = said.slowest ? strings.stageMs(stageName(said.slowest[0]), said.slowest[1]) : "–";
  at("dropped").textContent = said.dropped;
  at("avatar").dataset.behind = said.behind_ms ?? "";
  at("in-step").textContent = inStep(said.age_ms);
  note(said);
}

// What to do for a voice in step with a picture of that age.
function inStep(age) {
  if (state?.microphone) return strings.inStepBy(state.microphone);
  return age == null ? "" : strings.inStep(STEP_MS * Math.round(age / STEP_MS));
}

/** What a stage does. Outputs are counted: those that were asked for, then the page's own. */
export function stageName(stage) {
  if (!stage.startsWith("output")) return strings.stages[stage] ?? stage;
  const place = Number(stage.split(" ")[1] ?? 1) - 1;
  const given = state?.outputs ?? [];
  const name = given[place] ?? strings.ownOutputs[place - given.length];
  return strings.outputStage(strings.outputNames[name] ?? name);
}

function toggle(id, on, label) {
  at(id).classList.toggle("on", on);
  at(id).querySelector("span").textContent = label;
}

const fileName = (path) => path.split(/[\\/]/).pop();

const actions = {
  pause: () => attempt(() => ask("POST", "api/pause", { paused: !state.paused })),
  record: () =>
    attempt(async () => {
      const begins = state.recording === null;
      const { video } = await ask("POST", "api/record", { recording: begins });
      if (!begins && video) tell(strings.recorded(video));
    }),
  view: () => {
    const screen = at("driver-screen");
    screen.hidden = !screen.hidden;
    at("pictures").classList.toggle("two", !screen.hidden);
    toggle("view", !screen.hidden, screen.hidden ? strings.view : strings.hideView);
    lookAtCamera(!screen.hidden);
  },
  neutral: () => {
    const [dialog, go, count] = [at("neutral-dialog"), at("neutral-go"), at("neutral-count")];
    go.disabled = false;
    showCount(count, NEUTRAL_SECONDS);
    go.onclick = async () => {
      go.disabled = true;
      if (!(await countDown(count, NEUTRAL_SECONDS, () => dialog.open))) return;
      dialog.close();
      if (await attempt(() => ask("POST", "api/neutral"))) tell(strings.neutralDone);
    };
    openDialog(dialog);
    go.focus();
  },
  mirror: () => change({ mirror: !state.settings.mirror }),
  add: () => openEnroll([], state.camera),
  end: () => attempt(() => ask("POST", "api/end")),
};

// Single keys are in the way of who speaks to the computer, so they can be switched off (WCAG 2.2, 2.1.4).
export const KEYS = { p: "pause", n: "neutral", r: "record", c: "view", m: "mirror", a: "add" };

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !state?.settings.keys) return;
  if (document.querySelector("dialog[open]") || event.target.closest("input:not([type=range]):not([type=checkbox]):not([type=radio]), select")) return;
  if (event.key >= "1" && event.key <= "9") useNumber(Number(event.key) - 1);
  else if (KEYS[event.key.toLowerCase()]) actions[KEYS[event.key.toLowerCase()]]();
  else return;
  event.preventDefault();
}

fillTexts();
for (const id of ["pause", "neutral", "record", "view", "end"]) at(id).onclick = actions[id];
at("key-list").append(
  ...strings.keyList.map(([key, text]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, text))),
);
prepareEnroll(lookAtCamera);
prepareSettings(lookAtCamera);
document.addEventListener("keydown", pressed);
line.want("avatar", true);
