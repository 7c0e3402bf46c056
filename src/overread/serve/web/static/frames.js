// Values and heatmaps of frames, fetched once and kept within a bound.
import { ask } from "./api.js";

const MOST_BYTES = 256e6;

export const frameOf = keeping(load, (loaded) => loaded.stored.byteLength);
export const heatOf = keeping(loadHeat, (heat) => 8 * heat.rows * heat.columns * Object.keys(heat.maps).length);

function keeping(fetchOne, bytesOf) {
  const kept = new Map(); // in the order of their last use
  let nBytes = 0;
  const forget = (key) => {
    nBytes -= kept.get(key).nBytes;
    kept.delete(key);
  };
  return ({ image, frame }) => {
    const key = `${image.uid}/${frame}`;
    const entry = kept.get(key) ?? { nBytes: 0, wanted: fetchOne(image.uid, frame) };
    const isNew = !kept.delete(key);
    kept.set(key, entry);
    if (isNew) entry.wanted.then((loaded) => {
      if (kept.get(key) !== entry) return;
      entry.nBytes = bytesOf(loaded);
      nBytes += entry.nBytes;
      for (const old of kept.keys()) {
        if (nBytes <= MOST_BYTES || old === key) break;
        forget(old);
      }
    }, () => { if (kept.get(key) === entry) forget(key); });
    return entry.wanted;
  };
}

async function load(uid, frame) {
  const response = await ask(`/api/v1/images/${uid}/frames/${frame}/pixels`);
  const said = (name) => response.headers.get(`X-${name}`);
  const buffer = await response.arrayBuffer();
  return {
    rows: Number(said("Rows")),
    columns: Number(said("Columns")),
    channels: Number(said("Channels")),
    aspect: Number(said("Aspect")),
    stored: said("Type") === "int16" ? new Int16Array(buffer) : new Uint8Array(buffer),
    scale: said("Scale"),
    slope: Number(said("Slope")),
    intercept: Number(said("Intercept")),
    window: said("Window").split("/").map(Number),
    inverted: said("Inverted") === "1",
    toward: said("Toward"),
  };
}

async function loadHeat(uid, frame) {
  return (await ask(`/api/v1/images/${uid}/frames/${frame}/heat`)).json();
}

// A picture of the values under a window: a canvas of the frame's own size.
export function paint(frame, [center, width], inverted) {
  const canvas = new OffscreenCanvas(frame.columns, frame.rows);
  const pixels = new ImageData(frame.columns, frame.rows);
  const low = center - width / 2, span = width || 1e-6;
  const shade = (stored) => {
    const share = Math.min(1, Math.max(0, (stored * frame.slope + frame.intercept - low) / span));
    return 255 * (inverted ? 1 - share : share);
  };
  const { stored, channels } = frame, to = pixels.data;
  for (let i = 0, n = frame.rows * frame.columns; i < n; i += 1) {
    if (channels === 3) {
      for (let c = 0; c < 3; c += 1) to[4 * i + c] = shade(stored[3 * i + c]);
    } else {
      to[4 * i] = to[4 * i + 1] = to[4 * i + 2] = shade(stored[i]);
    }
    to[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

// Evidence as colour: what speaks for the class, as a share of the strongest in this frame; the rest is clear.
export function paintHeat(heat, label, colours) {
  const canvas = new OffscreenCanvas(heat.columns, heat.rows);
  const pixels = new ImageData(heat.columns, heat.rows);
  const values = heat.maps[label].flat();
  const most = Math.max(...values, 0);
  values.forEach((value, i) => {
    const share = most > 0 ? Math.max(0, value) / most : 0;
    pixels.data.set([...colours[Math.min(colours.length - 1, Math.floor(share * colours.length))], 255 * share], 4 * i);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}
