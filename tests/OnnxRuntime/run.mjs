// node run.mjs MODEL.onnx INPUT.f32 N C H W: the first output of the real ONNX Runtime, as JSON.
import { readFileSync } from 'node:fs';
import ort from 'onnxruntime-node';

const [model, input, ...sizes] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 2 });
const bytes = readFileSync(input);
const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const results = await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', values, sizes.map(Number)) });
const first = results[session.outputNames[0]];
console.log(JSON.stringify({ dims: first.dims, values: Array.from(first.data) }));
