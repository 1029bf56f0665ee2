// The last minute of frames a second and latency, as two quiet lines.

import { at } from "./dom.js";
import { strings } from "./strings.js";

const POINTS = 120;
const LEAST_FPS = 36;
const LEAST_MS = 80;
const TELL_EVERY = 20;

const seen = [];

/** Take one more status. */
export function note(status) {
  seen.push({ fps: status.fps, age: status.age_ms });
  if (seen.length > POINTS) seen.shift();
  plot();
  if (seen.length % TELL_EVERY !== 1 && seen.length !== POINTS) return;
  const age = status.age_ms == null ? "–" : strings.ms(status.age_ms);
  at("plot").setAttribute("aria-label", strings.plotLabel(status.fps.toFixed(0), age));
}

function plot() {
  const tops = { fps: topOf("fps", LEAST_FPS), age: topOf("age", LEAST_MS) };
  at("plot-top").textContent = strings.plotTop(tops.fps, tops.age);
  const canvas = at("plot");
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const colours = getComputedStyle(document.documentElement);
  pen.strokeStyle = colours.getPropertyValue("--line");
  pen.lineWidth = 1;
  for (const share of [0, 0.5, 1]) {
    const y = Math.round(share * (height - 1)) + 0.5;
    stroke(pen, [[0, y], [width, y]]);
  }
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  line(pen, "fps", tops.fps, colours.getPropertyValue("--fps"), width, height);
  line(pen, "age", tops.age, colours.getPropertyValue("--age"), width, height);
}

/** The value at the upper line: the highest seen, and not less than `least`. */
const topOf = (which, least) => Math.ceil(Math.max(least, ...seen.map((one) => one[which] ?? 0)));

function line(pen, which, top, colour, width, height) {
  const points = seen
    .map((one, place) => [width - ((seen.length - 1 - place) * width) / (POINTS - 1), one[which]])
    .filter(([, value]) => value != null)
    .map(([x, value]) => [x, 2 + (height - 4) * (1 - value / top)]);
  pen.strokeStyle = colour;
  stroke(pen, points);
}

function stroke(pen, points) {
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.stroke();
}
