// The page of a call: asks for camera and microphone, makes the connection, and makes it anew when it is lost.

import { Gone, end, gathered, packed, post, settings } from "./signal.js";

const LOOK_MS = 500;
const SILENT_MS = 2000; // nothing came for so long: a new connection is faster than waiting for this one
const HELD_S = 0.12; // a picture that is held back so long although
const WAIT_S = 0.02; // no round trip is so much above the shortest
const GOOD_MS = 8000; // for so long, is held back for nothing
const REST_MS = 20000; // between two connections that are made for that
const PAUSES_MS = [250, 500, 1000, 2000];
const GIVE_UP_MS = 10 * 60 * 1000;
const PICTURE = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30, max: 30 }, facingMode: "user" };

const at = (id) => document.getElementById(id);
const say = (text) => { at("status").textContent = text; };
const complain = (text) => { at("problem").textContent = text; };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const state = { setup: null, stream: null, connection: null, end: null, on: false, tries: 0, lostAt: 0, madeAt: 0 };
window.livehead = state; // for who wants to look at figures of the connection

// --- what is sent ---------------------------------------------------------------------------------------

async function open(camera, sound) {
  if (!navigator.mediaDevices || !(camera || sound)) return null;
  const audio = sound && { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ video: camera && PICTURE, audio });
  } catch (error) {
    if (camera && sound && error.name === "NotFoundError") {
      return (await open(true, false)) ?? (await open(false, true)); // one of the two is missing here
    }
    complain(error.name === "NotAllowedError"
      ? "The browser was not allowed to use camera or microphone. You can watch and listen."
      : `Camera or microphone cannot be used (${error.message}). You can watch and listen.`);
    return null;
  }
}

function toggle(button, kind) {
  const tracks = (state.stream?.getTracks() ?? []).filter((track) => track.kind === kind);
  button.disabled = tracks.length === 0;
  button.setAttribute("aria-pressed", String(tracks.some((track) => track.enabled)));
  button.onclick = () => {
    const wanted = button.getAttribute("aria-pressed") !== "true";
    for (const track of tracks) track.enabled = wanted;
    button.setAttribute("aria-pressed", String(wanted));
    remember();
  };
}

// --- the connection -------------------------------------------------------------------------------------

function make() {
  const connection = new RTCPeerConnection(state.setup.ice);
  const camera = state.stream?.getVideoTracks()[0];
  const sound = state.stream?.getAudioTracks()[0];
  const streams = state.stream ? [state.stream] : [];
  connection.addTransceiver(camera ?? "video", { direction: camera ? "sendrecv" : "recvonly", streams });
  connection.addTransceiver(sound ?? "audio", { direction: sound ? "sendrecv" : "recvonly", streams });
  show(connection);
  return connection;
}

function show(connection) {
  const theirs = new MediaStream();
  connection.addEventListener("track", (event) => {
    if (event.receiver.jitterBufferTarget !== undefined) event.receiver.jitterBufferTarget = 0;
    theirs.addTrack(event.track);
    if (!at("theirs").srcObject) swap();
  });
  connection.addEventListener("connectionstatechange", () => {
    if (connection.connectionState === "connected" && at("theirs").srcObject !== theirs) swap();
  });
  function swap() { // not before the new one carries anything: the old picture stays until then
    at("theirs").srcObject = theirs;
    play();
  }
}

async function play() {
  try {
    await at("theirs").play();
  } catch (error) {
    if (error.name !== "NotAllowedError") return;
    at("theirs").muted = true; // browsers play sound only after a click on the page
    at("hear").hidden = false;
    at("theirs").play().catch(() => {});
  }
}

async function connect() {
  const connection = make();
  try {
    await connection.setLocalDescription();
    const answer = await post(await gathered(connection));
    state.end = answer.end;
    await connection.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  } catch (error) {
    connection.close();
    throw error;
  }
  state.connection?.close();
  state.connection = connection;
  state.madeAt = performance.now();
  await opened(connection);
}

function opened(connection) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("No way to the other side was found.")), 15000);
    const look = () => {
      const now = connection.connectionState;
      if (now === "connected") { clearTimeout(timer); resolve(); }
      if (now === "failed" || now === "closed") { clearTimeout(timer); reject(new Error("No way to the other side was found.")); }
    };
    connection.addEventListener("connectionstatechange", look);
    look();
  });
}

/** What the browser counted so far: bytes of all media, and how it holds the picture back. */
async function counted(connection) {
  const found = { bytes: 0, lost: 0, held: 0, shown: 0, trip: null };
  for (const report of (await connection.getStats()).values()) {
    if (report.type === "inbound-rtp") {
      found.bytes += report.bytesReceived;
      found.lost += report.packetsLost;
      if (report.kind === "video") {
        found.held = report.jitterBufferTargetDelay ?? 0;
        found.shown = report.jitterBufferEmittedCount ?? 0;
      }
    }
    if (report.type === "candidate-pair" && report.nominated && report.state === "succeeded") {
      found.trip = report.currentRoundTripTime;
    }
  }
  return found;
}

/** Says when the browser still waits for a bad network although the network is good again.
 *
 * After a bad time a browser goes on holding picture and sound back, for a minute or more. A new connection
 * forgets that within a second. Only where nothing was lost and no packet waited for GOOD_MS.
 */
function overcautious() {
  let shortest = Infinity, goodSince = performance.now(), before = null;
  return (now) => {
    const time = performance.now();
    if (now.trip !== null) shortest = Math.min(shortest, now.trip);
    const waits = now.trip === null || now.trip > shortest + WAIT_S;
    if (before === null || waits || now.lost !== before.lost) {
      goodSince = time;
      before = now;
      return false;
    }
    const held = (now.held - before.held) / Math.max(1, now.shown - before.shown);
    if (time - goodSince < GOOD_MS) return false;
    goodSince = time;
    before = now;
    return held > HELD_S && time - state.madeAt > GOOD_MS + REST_MS;
  };
}

/** Returns when a connection does not carry anything any more, or is better made anew. */
async function watch(connection) {
  let last = -1, cameAt = performance.now();
  const isOvercautious = overcautious();
  while (state.on && !["failed", "closed"].includes(connection.connectionState)) {
    const now = await counted(connection);
    if (now.bytes !== last) { last = now.bytes; cameAt = performance.now(); }
    if (performance.now() - cameAt > SILENT_MS || isOvercautious(now)) return;
    await pause(LOOK_MS);
  }
}

async function stay() {
  while (state.on) {
    try {
      say(state.tries ? "Connecting again…" : "Connecting…");
      await connect();
      state.tries = 0;
      state.lostAt = 0;
      complain("");
      say("Connected.");
      await watch(state.connection);
    } catch (error) {
      if (error instanceof Gone) return over(error.message);
      state.lostAt ||= performance.now();
      if (performance.now() - state.lostAt > GIVE_UP_MS) return over("The other side does not answer any more.");
      if (state.tries > 2) complain(reason(error));
    }
    if (!state.on) return;
    await pause(PAUSES_MS[Math.min(state.tries, PAUSES_MS.length - 1)]);
    state.tries += 1;
  }
}

const reason = (error) => error instanceof TypeError ? "The other side cannot be reached." : error.message;

// --- begin and end --------------------------------------------------------------------------------------

const KEY = "livehead " + location.pathname;

function remember() {
  const pressed = (id) => at(id).getAttribute("aria-pressed") === "true";
  sessionStorage.setItem(KEY, JSON.stringify({ camera: pressed("camera"), sound: pressed("sound") }));
}

async function join(camera, sound) {
  at("join").disabled = true;
  say("Asking for camera and microphone…");
  state.stream = await open(camera, sound);
  state.on = true;
  at("start").hidden = true;
  at("call").hidden = false;
  document.body.dataset.state = "call";
  toggle(at("sound"), "audio");
  toggle(at("camera"), "video");
  at("mine").srcObject = state.stream;
  at("mine").classList.toggle("shown", Boolean(state.stream?.getVideoTracks().length));
  remember();
  (at("sound").disabled ? at("leave") : at("sound")).focus();
}

function over(text) {
  state.on = false;
  sessionStorage.removeItem(KEY);
  end(state.end);
  state.connection?.close();
  for (const track of state.stream?.getTracks() ?? []) track.stop();
  document.body.dataset.state = "over";
  for (const id of ["call", "exchange", "start"]) at(id).hidden = true;
  complain("");
  say(text);
}

function wire() {
  at("join").onclick = async () => {
    await join(at("with-camera").checked, at("with-sound").checked);
    if (state.setup.offer) answerByHand(); else stay();
  };
  at("leave").onclick = () => over("You left the call. To come back, load this page again.");
  at("hear").onclick = () => { at("theirs").muted = false; at("hear").hidden = true; };
  at("whole").hidden = !document.fullscreenEnabled;
  at("whole").onclick = () => at("theirs").requestFullscreen();
  at("copy").onclick = async () => {
    at("answer").select();
    await navigator.clipboard.writeText(at("answer").value);
    say("Copied.");
  };
  addEventListener("pagehide", () => end(state.end));
  addEventListener("online", () => { state.tries = 0; });
  if (!navigator.mediaDevices) {
    at("insecure").hidden = false;
    document.querySelector("fieldset").hidden = true;
  }
}

async function answerByHand() {
  const connection = new RTCPeerConnection(state.setup.ice);
  state.connection = connection;
  show(connection);
  for (const track of state.stream?.getTracks() ?? []) connection.addTrack(track, state.stream);
  await connection.setRemoteDescription(state.setup.offer);
  await connection.setLocalDescription();
  at("answer").value = await packed({ type: "answer", sdp: await gathered(connection) });
  at("exchange").hidden = false;
  at("answer").focus();
  at("answer").select();
  say("Waiting for the other side…");
  let met = false; // before that, the browser may give up and the other side still come
  connection.addEventListener("connectionstatechange", () => {
    if (connection.connectionState === "connected") {
      met = true;
      at("exchange").hidden = true;
      say("Connected.");
    }
    if (met && connection.connectionState === "failed") over("The connection was lost. Ask for a new file.");
  });
}

async function begin() {
  wire();
  const inPage = document.getElementById("setup");
  try {
    state.setup = inPage ? JSON.parse(inPage.textContent) : await settings();
  } catch (error) {
    over(error instanceof Gone ? error.message : `The call cannot be reached: ${reason(error)}`);
    return;
  }
  document.body.dataset.role = state.setup.role;
  document.body.dataset.state = "ready";
  if (state.setup.role === "camera") {
    document.title = at("title").textContent = "Camera for the avatar";
    at("join").textContent = "Use this camera";
    at("theirs").setAttribute("aria-label", "Your avatar, as others see it");
  }
  at("direct").hidden = state.setup.ice.iceServers.length > 0;
  const before = sessionStorage.getItem(KEY);
  if (before && !state.setup.offer) { // the page was loaded anew in the middle of a call
    const sent = JSON.parse(before);
    await join(sent.camera, sent.sound);
    stay();
  }
}

begin();
