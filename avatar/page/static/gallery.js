// The avatars: use, keep, rename, delete.

import { ask, at, attempt, icon, make, openDialog, tell } from "./dom.js";
import { strings } from "./strings.js";

let shown = "";
let avatars = [];

/** Show the list; `add` is called for a new one. */
export function showGallery(state, add) {
  const wanted = JSON.stringify([state.avatar, state.avatars]);
  if (wanted === shown) return;
  shown = wanted;
  avatars = state.avatars;
  const focused = document.activeElement?.dataset?.avatar;
  const tiles = state.avatars.map((avatar) => tile(avatar, avatar.id === state.avatar));
  const plus = make("button", { class: "add", id: "add", onclick: () => add() }, icon("plus"), make("span", {}, strings.add));
  at("avatars").replaceChildren(...tiles, make("li", {}, plus));
  if (focused) at("avatars").querySelector(`[data-avatar="${CSS.escape(focused)}"]`)?.focus();
}

/** Use the avatar at a place in the list. */
export function useNumber(place) {
  if (avatars[place]) use(avatars[place]);
}

/** Let one of them play, and say so. */
export function use(avatar, said = strings.nowPlaying(avatar.name)) {
  return attempt(async () => {
    await ask("POST", `api/avatars/${avatar.id}/play`);
    tell(said);
  });
}

function tile(avatar, current) {
  const picture = make("img", { src: `api/avatars/${avatar.id}/picture`, alt: "", width: 96, height: 96 });
  const play = make(
    "button",
    {
      class: "portrait",
      "aria-pressed": String(current),
      "aria-label": strings.use(avatar.name),
      "data-avatar": avatar.id,
      onclick: () => use(avatar),
    },
    picture,
  );
  const tools = avatar.kept
    ? [
        tool("pen", strings.renameOf(avatar.name), () => rename(avatar)),
        ...(current ? [] : [tool("bin", strings.deleteOf(avatar.name), () => remove(avatar))]),
      ]
    : [tool("keep", strings.keep(avatar.name), () => attempt(() => ask("POST", "api/keep")))];
  const name = make("span", { class: "name", title: avatar.name }, avatar.name);
  return make("li", { class: current ? "current" : false }, play, make("div", { class: "tools" }, ...tools), name);
}

function tool(name, label, action) {
  return make("button", { class: "tool", "aria-label": label, title: label, onclick: action }, icon(name));
}

function rename(avatar) {
  const dialog = at("rename-dialog");
  at("rename-name").value = avatar.name;
  at("rename-form").onsubmit = () => {
    attempt(() => ask("PATCH", `api/avatars/${avatar.id}`, { name: at("rename-name").value }));
  };
  openDialog(dialog);
  at("rename-name").select();
}

function remove(avatar) {
  const dialog = at("delete-dialog");
  at("delete-title").textContent = strings.deleteTitle(avatar.name);
  at("delete-go").onclick = () => {
    dialog.close();
    attempt(() => ask("DELETE", `api/avatars/${avatar.id}`));
  };
  openDialog(dialog);
}
