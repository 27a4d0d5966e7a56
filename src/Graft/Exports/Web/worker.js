// Reads pictures and runs the network, away from the page so that it stays quick: one picture after the other.
import * as ort from "./onnxruntime.js";
import { pixelsOf, prepare, read } from "./picture.js";
import { say } from "./answer.js";

let turn = start();
onmessage = ({ data }) => { turn = turn.then(ready => answer(ready, data)); };

async function start() {
  try {
    const card = await (await get("card.json")).json();
    const done = [0, 0];
    const told = k => bytes => {
      done[k] = bytes;
      postMessage({ loaded: done[0] + done[1], of: card.bytes.model + card.bytes.runtime });
    };
    const [model, runtime] = await Promise.all([load("model.onnx", told(0)), load("onnxruntime.wasm", told(1))]);
    // Threads need headers that many servers cannot send (COOP, COEP); without them there is one.
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
    ort.env.wasm.wasmBinary = runtime;
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    postMessage({ ready: true });
    return { card, session };
  } catch (reason) {
    postMessage({ failed: reason.message });
    return null;
  }
}

async function answer(ready, { id, file, bitmap }) {
  if (!ready) return null;
  const { card, session } = ready;
  try {
    const began = performance.now();
    const picture = bitmap ? pixelsOf(bitmap) : await read(file);
    const { width, height } = card.preprocessing;
    const input = new ort.Tensor("float32", prepare(picture, card.preprocessing), [1, 3, height, width]);
    const prepared = performance.now();
    const output = (await session.run({ [session.inputNames[0]]: input }))[session.outputNames[0]];
    postMessage({ id, answer: say(card, output.data), read: prepared - began, run: performance.now() - prepared });
  } catch (reason) {
    postMessage({ id, error: reason.message });
  }
  return ready;
}

async function get(name) {
  let response;
  try {
    response = await fetch(name);
  } catch (reason) {
    throw new Error(`${name} could not be fetched (${reason.message})`);
  }
  if (!response.ok) throw new Error(`the server answered ${response.status} for ${name}: the whole folder has to be there`);
  return response;
}

async function load(name, told) {
  const parts = [];
  let size = 0;
  for (let reader = (await get(name)).body.getReader(), part; !(part = await reader.read()).done;) {
    parts.push(part.value);
    told(size += part.value.length);
  }
  const whole = new Uint8Array(size);
  for (let k = 0, at = 0; k < parts.length; at += parts[k++].length) whole.set(parts[k], at);
  return whole;
}
