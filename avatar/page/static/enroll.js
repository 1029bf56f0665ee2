// A new avatar: of pictures that are dropped, chosen, or taken with the camera.

import { ask, at, attempt, countDown, icon, make, openDialog } from "./dom.js";
import { strings } from "./strings.js";
import { use } from "./gallery.js";

const SNAP_SECONDS = 3;

let files = [];
let snaps = 0;

/** Make the page take dropped pictures. `lookAtCamera` says whether the camera's picture is wanted. */
export function prepareEnroll(lookAtCamera) {
  at("enroll-files").onchange = ({ target }) => {
    addFiles(target.files);
    target.value = "";
  };
  at("snap").onclick = () => snap(lookAtCamera);
  at("enroll-form").onsubmit = (event) => {
    event.preventDefault();
    send();
  };
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      at("drop-hint").hidden = at("enroll").open;
      at("enroll-drop").classList.toggle("over", at("enroll").open);
    });
  }
  for (const kind of ["dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (kind === "dragleave" && event.relatedTarget) return;
      at("drop-hint").hidden = true;
      at("enroll-drop").classList.remove("over");
    });
  }
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    openEnroll(event.dataTransfer.files);
  });
}

/** Open the dialog, or add to what is in it. */
export function openEnroll(added = [], camera = undefined) {
  if (camera !== undefined) at("enroll-camera").hidden = !camera;
  const dialog = at("enroll");
  if (!dialog.open) {
    files = [];
    at("enroll-name").value = "";
    openDialog(dialog, () => {
      at("snap-view").hidden = true;
      at("snap-view").dispatchEvent(new Event("gone"));
    });
  }
  addFiles(added);
}

function addFiles(added, name = undefined) {
  const pictures = [...added].filter((file) => file.type.startsWith("image/"));
  at("enroll-error").textContent = pictures.length < added.length ? strings.notPictures : "";
  files.push(...pictures);
  if (files.length && !at("enroll-name").value) at("enroll-name").value = name ?? files[0].name.replace(/\.[^.]*$/, "");
  showPictures();
}

function showPictures() {
  at("enroll-faces").hidden = true;
  const entries = files.map((file, place) => {
    const picture = make("img", { src: URL.createObjectURL(file), alt: file.name });
    picture.onload = () => URL.revokeObjectURL(picture.src);
    const label = strings.removePicture(file.name);
    const leaveOut = () => {
      files.splice(place, 1);
      showPictures();
    };
    return make("li", {}, picture, make("button", { type: "button", class: "tool", "aria-label": label, onclick: leaveOut }, icon("close")));
  });
  at("enroll-pictures").replaceChildren(...entries);
}

async function snap(lookAtCamera) {
  const dialog = at("enroll");
  at("snap-view").hidden = false;
  at("snap-view").addEventListener("gone", () => lookAtCamera(false), { once: true });
  lookAtCamera(true);
  at("snap").disabled = true;
  const wanted = await countDown(at("snap-count"), SNAP_SECONDS, () => dialog.open);
  at("snap").disabled = false;
  if (!wanted) return;
  await attempt(async () => {
    const answer = await fetch("api/snapshot");
    if (!answer.ok) throw new Error((await answer.json()).error);
    snaps += 1;
    const taken = new File([await answer.blob()], strings.snapshotName(snaps), { type: "image/jpeg" });
    addFiles([taken], strings.snapshotAvatar);
  });
}

async function send(face) {
  const [go, error] = [at("enroll-go"), at("enroll-error")];
  error.textContent = files.length ? "" : strings.noPictures;
  if (!files.length) return;
  const form = new FormData();
  form.append("name", at("enroll-name").value);
  if (face) form.append("face", face);
  for (const file of files) form.append("picture", file, file.name);
  go.disabled = true;
  try {
    const made = await ask("POST", "api/avatars", form);
    at("enroll").close();
    await use(made, strings.enrolled(made.name));
  } catch (refused) {
    error.textContent = refused.message;
    if (refused.faces) askForFace(refused.faces);
  }
  go.disabled = false;
}

function askForFace(count) {
  const buttons = Array.from({ length: count }, (_, place) => {
    const label = strings.faceNumber(place + 1, count);
    return make("button", { type: "button", class: "quiet", onclick: () => send(place + 1) }, label);
  });
  at("enroll-faces").replaceChildren(make("span", {}, strings.chooseFace), ...buttons);
  at("enroll-faces").hidden = false;
}
