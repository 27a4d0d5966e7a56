// From a decoded picture to what the network takes, as Graft does it: the same filters, in the same order, every product and every sum rounded to
// 32 bits as there, so that the levels are the same to the last one. A picture here is { width, height, pixels }: three bytes a pixel, red first.

const round = Math.fround;

/** Halves to the even number, as Python's and .NET's round do. */
function halfToEven(x) {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low & 1) : Math.round(x);
}

function create(width, height) {
  return { width, height, pixels: new Uint8Array(3 * width * height) };
}

/** Which inputs the outputs from … to − 1 are made of, and their weights: PIL's BILINEAR and BICUBIC, whose support grows with the reduction. */
function filter(inputs, outputs, from, to, cubic) {
  const scale = inputs / outputs, stretch = Math.max(scale, 1), support = stretch * (cubic ? 2 : 1);
  const kernel = cubic
    ? t => t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0
    : t => Math.max(0, 1 - t);
  const taps = [];
  for (let k = from; k < to; k++) {
    const centre = (k + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(inputs, Math.trunc(centre + support + 0.5));
    const weights = new Float32Array(last - first);
    let sum = 0;
    for (let x = first; x < last; x++) sum += kernel(Math.abs((x - centre + 0.5) / stretch));
    for (let x = first; x < last; x++) weights[x - first] = kernel(Math.abs((x - centre + 0.5) / stretch)) / sum;
    taps.push({ first, weights });
  }
  return taps;
}

const end = taps => Math.max(...taps.map(tap => tap.first + tap.weights.length));

/** Weighted sums of rows of n bytes, the first of which is at `at`. */
function blendRows(bytes, at, stride, weights, into, n) {
  into.fill(0, 0, n);
  for (let k = 0; k < weights.length; k++, at += stride) {
    const weight = weights[k];
    for (let i = 0; i < n; i++) into[i] += round(weight * bytes[at + i]);
  }
}

const level = x => Math.trunc(Math.max(0, Math.min(255, x)));

/** The source is resized to width × height, of which only the window is made: row after row of whole levels, given to `put`. */
function resample(picture, { source, width, height, window, cubic }, put) {
  const stride = 3 * picture.width, wide = 3 * window.width;
  const across = filter(source.width, width, window.x, window.x + window.width, cubic);
  const down = filter(source.height, height, window.y, window.y + window.height, cubic);
  const origin = source.y * stride + 3 * source.x;
  const row = new Float32Array(wide);
  if (cubic) {
    // A bicubic filter overshoots, and PIL cuts off what does after each of its two passes, columns first: so the order matters.
    const top = down[0].first, bottom = end(down);
    const kept = new Uint8Array(wide * (bottom - top));
    for (let y = top; y < bottom; y++) {
      for (let x = 0; x < window.width; x++) {
        const { first, weights } = across[x];
        for (let c = 0; c < 3; c++) {
          let sum = 0;
          for (let k = 0, at = origin + y * stride + 3 * first + c; k < weights.length; k++, at += 3) {
            sum = round(sum + round(weights[k] * picture.pixels[at]));
          }
          kept[wide * (y - top) + 3 * x + c] = level(round(sum + 0.5));
        }
      }
    }
    for (let y = 0; y < window.height; y++) {
      blendRows(kept, wide * (down[y].first - top), wide, down[y].weights, row, wide);
      for (let k = 0; k < wide; k++) row[k] = level(round(row[k] + 0.5));
      put(row, y);
    }
    return;
  }
  const left = across[0].first, blended = new Float32Array(3 * (end(across) - left));
  for (let y = 0; y < window.height; y++) {
    blendRows(picture.pixels, origin + down[y].first * stride + 3 * left, stride, down[y].weights, blended, blended.length);
    for (let x = 0; x < window.width; x++) {
      const { first, weights } = across[x];
      let r = 0.5, g = 0.5, b = 0.5;
      for (let k = 0, at = 3 * (first - left); k < weights.length; k++, at += 3) {
        const weight = weights[k];
        r = round(r + round(weight * blended[at]));
        g = round(g + round(weight * blended[at + 1]));
        b = round(b + round(weight * blended[at + 2]));
      }
      row[3 * x] = level(r);
      row[3 * x + 1] = level(g);
      row[3 * x + 2] = level(b);
    }
    put(row, y);
  }
}

/** A picture, and what is still to be done to it: source resized to width × height and cut to the window. `made`: by an earlier step. */
function pendingOf(picture, made) {
  const whole = { x: 0, y: 0, width: picture.width, height: picture.height };
  return { picture, made, width: picture.width, height: picture.height, source: whole, window: whole, cubic: false };
}

const isResized = p => p.width !== p.source.width || p.height !== p.source.height;

/** Does what is pending, so that pixels can be looked at or changed. */
function flush(p) {
  const { window, picture } = p;
  const whole = window.x === 0 && window.y === 0 && window.width === picture.width && window.height === picture.height;
  if (!isResized(p) && whole) return p.made ? p : pendingOf(picture, true);
  const made = create(window.width, window.height);
  resample(picture, p, (row, y) => made.pixels.set(row, 3 * window.width * y));
  return pendingOf(made, true);
}

function resizeTo(p, width, height, wanted) {
  if (isResized(p)) p = flush(p);
  const cubic = wanted ?? p.cubic;
  const source = { x: p.source.x + p.window.x, y: p.source.y + p.window.y, width: p.window.width, height: p.window.height };
  return { ...p, source, width, height, window: { x: 0, y: 0, width, height }, cubic };
}

/** The shorter side to so many pixels. */
function resize(p, side, cubic) {
  const { width, height } = p.window;
  return width <= height ? resizeTo(p, side, Math.trunc(side * height / width), cubic)
    : resizeTo(p, Math.trunc(side * width / height), side, cubic);
}

function centerCrop(p, side) {
  if (p.window.width < side || p.window.height < side) p = resize(p, side, false);
  const x = p.window.x + halfToEven((p.window.width - side) / 2), y = p.window.y + halfToEven((p.window.height - side) / 2);
  return { ...p, window: { x, y, width: side, height: side } };
}

/** Every channel the luma, with PIL's weights and rounding. */
function grey({ width, height, pixels }) {
  const made = create(width, height);
  for (let k = 0; k < pixels.length; k += 3) {
    made.pixels.fill((19595 * pixels[k] + 38470 * pixels[k + 1] + 7471 * pixels[k + 2] + 0x8000) >> 16, k, k + 3);
  }
  return made;
}

/** The square around what differs from the corners' colour; all of it where they differ themselves, or nothing else does. */
function trim(p, { margin, least, tolerance }) {
  const { width: w, height: h, pixels } = p.picture;
  const corner = pixels.slice(0, 3);
  const differs = at => Math.abs(pixels[at] - corner[0]) > tolerance || Math.abs(pixels[at + 1] - corner[1]) > tolerance
    || Math.abs(pixels[at + 2] - corner[2]) > tolerance;
  if ([w - 1, (h - 1) * w, h * w - 1].some(at => differs(3 * at))) return p;
  let left = w, top = h, right = -1, bottom = -1;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      if (!differs(3 * (y * w + x))) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  if (right < 0) return p;
  const side = halfToEven(Math.max(Math.max(right - left + 1, bottom - top + 1), least * Math.min(w, h)) * (1 + 2 * margin));
  const x0 = halfToEven((left + right + 1 - side) / 2), y0 = halfToEven((top + bottom + 1 - side) / 2);
  const made = create(side, side);
  for (let k = 0; k < made.pixels.length; k += 3) made.pixels.set(corner, k);
  for (let y = Math.max(0, -y0); y < side && y + y0 < h; y++) {
    const from = Math.max(0, -x0), count = Math.min(side, w - x0) - from, at = 3 * ((y + y0) * w + from + x0);
    if (count > 0) made.pixels.set(pixels.subarray(at, at + 3 * count), 3 * (y * side + from));
  }
  return pendingOf(made, true);
}

const steps = {
  "resize": (p, step) => resize(p, step.side, step.filter === "Bicubic"),
  "resize-exact": (p, step) => resizeTo(p, step.width, step.height),
  "center-crop": (p, step) => centerCrop(p, step.side),
  "grayscale": p => pendingOf(grey(flush(p).picture), true),
  "trim": (p, step) => trim(flush(p), step),
};

/** 3 × height × width numbers: what a model's card says, done to a picture. */
export function prepare(picture, { width, height, steps: wanted, normalize }) {
  let p = pendingOf(picture, false);
  for (const step of wanted) p = steps[step.kind](p, step);
  if (p.window.width !== width || p.window.height !== height) {
    p = { ...flush(p), width, height, window: { x: 0, y: 0, width, height } };
  }
  const made = new Float32Array(3 * width * height);
  const scale = normalize.std.map(std => round(1 / (255 * std)));
  const shift = normalize.mean.map((mean, c) => round(-mean / normalize.std[c]));
  resample(p.picture, p, (row, y) => {
    for (let c = 0; c < 3; c++) {
      for (let x = 0, at = (c * height + y) * width; x < width; x++) made[at + x] = round(row[3 * x + c] * scale[c]) + shift[c];
    }
  });
  return made;
}

// PIL's limit, and Graft's.
const pixelLimit = 178_956_970;

/** The pixels of a file, upright, transparency laid on white, colours as they are stored. */
export async function read(file) {
  if (file.size === 0) throw new Error("the file is empty");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    await mustBeReadable(file);
    throw new Error("this browser cannot read it as a picture; it may be damaged, or of a format that the browser does not know");
  }
  return pixelsOf(bitmap);
}

/** A file that is gone, or that the browser may not open, is no damaged picture. */
async function mustBeReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch (reason) {
    throw new Error(`the browser could not open the file (${reason.message})`);
  }
}

/** The same of a bitmap, which is closed. */
export function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  if (width * height > pixelLimit) throw new Error(`${width} × ${height} pixels are too many: make it smaller first`);
  const made = create(width, height);
  // In strips: browsers limit a canvas far below what they can decode.
  const strip = Math.min(height, Math.max(1, Math.floor((1 << 22) / width)));
  const context = new OffscreenCanvas(width, strip).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  for (let y = 0; y < height; y += strip) {
    const tall = Math.min(strip, height - y);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, tall);
    context.drawImage(bitmap, 0, y, width, tall, 0, 0, width, tall);
    const { data } = context.getImageData(0, 0, width, tall);
    for (let from = 0, to = 3 * width * y; from < data.length; from += 4, to += 3) {
      made.pixels[to] = data[from];
      made.pixels[to + 1] = data[from + 1];
      made.pixels[to + 2] = data[from + 2];
    }
  }
  bitmap.close();
  return made;
}
