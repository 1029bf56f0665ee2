// Small helpers: elements, texts, messages, dialogs, requests.

import { strings } from "./strings.js";

export const at = (id) => document.getElementById(id);

/** Fill in the texts that the page itself names. */
export function fillTexts() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = strings[element.dataset.text];
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", strings[element.dataset.label]);
  }
}

/** An element with attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** One of the page's icons. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Say something for some seconds; screen readers say it, too. */
export function tell(text, { bad = false } = {}) {
  const note = make("p", { class: "toast" }, text);
  at(bad ? "alerts" : "toasts").append(note);
  setTimeout(() => note.remove(), bad ? 9000 : 5000);
}

/** Send a request; gives the answer, or throws an Error with what the program said. */
export async function ask(method, path, content) {
  const form = content instanceof FormData;
  const answer = await fetch(path, {
    method,
    body: content === undefined ? undefined : form ? content : JSON.stringify(content),
    headers: content === undefined || form ? {} : { "Content-Type": "application/json" },
  }).catch(() => {
    throw new Error(strings.unreachable);
  });
  const said = await answer.json().catch(() => null);
  if (answer.ok) return said;
  throw Object.assign(new Error(said?.error ?? strings.failed), { faces: said?.faces });
}

/** Do something that may fail; what went wrong is told. Gives whether it went well. */
export async function attempt(action) {
  try {
    await action();
    return true;
  } catch (error) {
    tell(error.message, { bad: true });
    return false;
  }
}

/** Open a dialog; `closed` is called when it goes, however. */
export function openDialog(dialog, closed = () => {}) {
  for (const button of dialog.querySelectorAll("[data-close]")) button.onclick = () => dialog.close();
  dialog.addEventListener("close", closed, { once: true });
  dialog.showModal();
}

/** Show from where a count-down will go. */
export function showCount(place, seconds) {
  place.classList.remove("runs");
  place.textContent = seconds;
}

/** Count down in `place`; resolves to false when `stillWanted` says so before the end. */
export async function countDown(place, seconds, stillWanted) {
  let wanted = true;
  place.classList.add("runs");
  for (let left = seconds; left > 0 && wanted; left--) {
    place.textContent = left;
    await new Promise((done) => setTimeout(done, 1000));
    wanted = stillWanted();
  }
  place.classList.remove("runs");
  place.textContent = "";
  return wanted;
}
