// What Hugging Face's normalisers make of every character, one JSON line each: for unicode_table.py.
const T = require('@anush008/tokenizers');
const bert = options => T.bertNormalizer({ cleanText: false, handleChineseChars: false, stripAccents: false, lowercase: false, ...options });
const [clean, chinese, strip] = [bert({ cleanText: true }), bert({ handleChineseChars: true }), bert({ stripAccents: true })];
const [nfd, nfkd, nfc, marks, words] = [T.nfdNormalizer(), T.nfkdNormalizer(), T.nfcNormalizer(), T.stripAccentsNormalizer(), T.bertPreTokenizer()];
let lines = [];
for (let i = 0; i < 0x110000; i++) {
  if (i >= 0xd800 && i < 0xe000) continue;
  const c = String.fromCodePoint(i), between = normaliser => normaliser.normalizeString('a' + c + 'b').slice(1, -1);
  const decomposed = nfd.normalizeString(c), all = [...decomposed];
  lines.push(JSON.stringify({
    i, clean: between(clean), chinese: between(chinese) !== c, strip: between(strip), marks: between(marks), nfd: decomposed, nfkd: nfkd.normalizeString(c), nfc: nfc.normalizeString(c),
    // What all but the last of its parts compose to; whether a mark of a low class (U+0334) passes it; words in a<c>b.
    front: all.length > 1 ? nfc.normalizeString(all.slice(0, -1).join('')) : '', moves: nfd.normalizeString('a' + c + '\u0334').startsWith('a\u0334'), words: words.preTokenizeString('a' + c + 'b').length,
  }));
  if (lines.length > 20000) { process.stdout.write(lines.join('\n') + '\n'); lines = []; }
}
process.stdout.write(lines.join('\n') + '\n');
