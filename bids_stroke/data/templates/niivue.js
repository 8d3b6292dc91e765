// Functions of the pages with NiiVue: the viewer and the drawing page.
const PLANES = {A: [0, 1, 2], M: [0, 1, 2], C: [0, 2, 1], S: [1, 2, 0]};  // axes: across, up, through
const STEPS = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [1, 1], ArrowDown: [1, -1], PageUp: [2, 1], PageDown: [2, -1]};

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

function showMessage(text) {
  document.getElementById("message").textContent = text;
}
for (const kind of ["error", "unhandledrejection"]) addEventListener(kind, () => showMessage(
  "The viewer could not start. It needs a browser with WebGL2, such as a current version of Firefox, Chrome, Edge or Safari."));

// NiiVue changes view and clip plane when V and C are released; the pages have their own keys.
document.addEventListener("keyup", event => event.target.tagName === "CANVAS" && event.stopPropagation(), true);

// Content of a stream of bytes after compression or decompression.
async function transformed(data, transform) {
  return new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(transform)).arrayBuffer());
}

const unpack = text => transformed(bytes(text), new DecompressionStream("gzip"));

async function loadNiivue() {
  const script = document.createElement("script");
  script.textContent = new TextDecoder().decode(await unpack(document.getElementById("niivue").textContent));
  document.head.append(script);
  return globalThis.niivue.Niivue;
}

function moveCrosshair(nv, view, [direction, step]) {
  const by = [0, 0, 0];
  by[PLANES[view][direction]] = step;
  nv.moveCrosshairInVox(...by);
}
