// The connection to the program: state and figures come as text, pictures as bytes. See avatar/page/socket.py.

const KINDS = ["avatar", "driver"];
const RETRY_MS = 1000;
const ENDED = 1001;

export class Line {
  /** `heard` maps "state", "status", "avatar", "driver", "lost", "found" and "ended" to what is called. */
  constructor(heard) {
    this.heard = heard;
    this.wanted = new Set();
    document.addEventListener("visibilitychange", () => this.tellWanted());
    this.open();
  }

  open() {
    this.socket = new WebSocket(`ws://${location.host}/api/socket`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.heard.found();
      this.tellWanted();
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data !== "string") return this.picture(data);
      const said = JSON.parse(data);
      this.heard[said.type](said);
    };
    this.socket.onclose = ({ code }) => {
      if (code === ENDED) return this.heard.ended();
      this.heard.lost();
      setTimeout(() => this.open(), RETRY_MS);
    };
  }

  /** Which pictures the page shows. */
  want(kind, wanted) {
    if (wanted) this.wanted.add(kind);
    else this.wanted.delete(kind);
    this.tellWanted();
  }

  tellWanted() {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ watch: document.hidden ? [] : [...this.wanted] }));
  }

  async picture(data) {
    const head = new DataView(data);
    const kind = KINDS[head.getUint8(0)];
    const number = head.getUint32(1, true);
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, 5)], { type: "image/jpeg" }));
    this.heard[kind](bitmap);
    bitmap.close();
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ seen: [kind, number] }));
  }
}

/** Draw a picture on canvases that are shown. */
export function draw(bitmap, ...canvases) {
  for (const canvas of canvases) {
    if (canvas.hidden) continue;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  }
}
