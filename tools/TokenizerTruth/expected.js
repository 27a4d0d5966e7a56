// What Hugging Face's tokenizers make of the lines, for each folder: expected.json, a row a line: numbers, and spans in UTF-16 without the spaces around.
// The second argument cuts pairs and sentences at 12 pieces in rows of their own.
const T = require('@anush008/tokenizers'), fs = require('fs'), path = require('path'), crypto = require('crypto');
const root = process.argv[2];
const lines = JSON.parse(fs.readFileSync(path.join(root, 'lines.json'), 'utf8'));
const units = text => { const places = [0]; for (const c of text) places.push(places.at(-1) + c.length); return places; };

function span(line, [start, end], part) {
  const places = units(line[part]);
  [start, end] = [places[start], places[end]];
  while (start < end && /\p{White_Space}/u.test(line[part][start])) start++;
  while (end > start && /\p{White_Space}/u.test(line[part][end - 1])) end--;
  return [part, start, end - start];
}

(async () => {
  for (const name of ['bert-uncased', 'bert-cased', 'roberta', 'xlm-r', 'albert']) {
    const tokenizer = T.Tokenizer.fromFile(path.join(root, name, 'tokenizer.json'));
    const rows = [], cut = [];
    for (const line of lines) {
      const found = await tokenizer.encode(line[0], line.length > 1 ? line[1] : null);
      const parts = found.getSequenceIds ? found.getSequenceIds() : null, special = found.getSpecialTokensMask();
      let sentence = 0;
      rows.push([found.getIds(), found.getOffsets().map((place, k) => special[k] ? null : span(line, place, found.tokenToSequence ? found.tokenToSequence(k) : sentence))]);
    }
    tokenizer.setTruncation(12);
    for (const line of lines) cut.push((await tokenizer.encode(line[0], line.length > 1 ? line[1] : null)).getIds());
    fs.writeFileSync(path.join(root, name, 'expected.json'), '[\n' + rows.map((row, k) => JSON.stringify({ ids: row[0], spans: row[1], cut: cut[k] })).join(',\n') + '\n]\n');
  }
})();
