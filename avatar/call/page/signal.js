// How offer and answer travel: over HTTP as WHIP and WHEP have it, or as text that people pass on.

const GATHER_MS = 3000; // with no server to ask, gathering takes a few milliseconds
const PREFIX = "avatar1:";

export class Gone extends Error {}

/** The description with all its candidates, or with those found in time. */
export async function gathered(connection) {
  if (connection.iceGatheringState !== "complete") {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS);
      connection.addEventListener("icegatheringstatechange", () => {
        if (connection.iceGatheringState === "complete") {
          clearTimeout(timer);
          resolve();
        }
      });
    });
  }
  return connection.localDescription.sdp;
}

/** What the page has to know, from the server that gave the page. */
export async function settings() {
  return (await asked(location.pathname + "/settings", { method: "GET" })).json();
}

/** Post an offer; gives the answer and the address at which the connection can be ended. */
export async function post(sdp) {
  const response = await asked(location.pathname, {
    method: "POST", body: sdp, headers: { "Content-Type": "application/sdp" },
  });
  return { sdp: await response.text(), end: response.headers.get("Location") };
}

/** End a connection; also while the page is being left. */
export function end(address) {
  if (address) fetch(address, { method: "DELETE", keepalive: true }).catch(() => {});
}

async function asked(address, options) {
  const response = await fetch(address, { ...options, cache: "no-store", signal: AbortSignal.timeout(15000) });
  if (response.ok) return response;
  const text = (await response.text()).trim();
  if ([404, 410].includes(response.status)) throw new Gone(text);
  throw new Error(text || `The server answered ${response.status}.`);
}

/** A description as text for people to pass on: small enough for one message. */
export async function packed(description) {
  const stream = new Blob([JSON.stringify(description)]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return PREFIX + btoa(String.fromCharCode(...bytes)) + ".";
}
