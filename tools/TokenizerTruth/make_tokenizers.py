"""Writes the small tokenizers of tests/Graft.Tests/Tokenizers and the lines that they are tried on: made up, with what is hard in them.

    python3 make_tokenizers.py ../../tests/Graft.Tests/Tokenizers
    npm install && node expected.js ../../tests/Graft.Tests/Tokenizers
"""
import base64
import json
import os
import random
import struct
import sys
import unicodedata

OUT = sys.argv[1]
WORDS = ['the', 'movie', 'was', 'un', 'believ', 'able', 'play', 'ing', 'ed', 's', 'hello', 'world', 'cafe', 'naive', 'new', 'york', 'not', 'a', 'good', 'film']
KOREAN = ['영화', '재미', '있다', '없다', '한국', '어', '가', '는', '을', '진짜', 'ㅋㅋ', 'ㅠ']
SIGNS = list('!"#$%&\'()*+,-./:;<=>?@[]^_`{|}~') + ['…', '—', '“', '”', '€', '👍', '❤']
CHINESE = ['日', '本', '中', '国', '語']


def save(name, tokenizer, config=None):
    os.makedirs(os.path.join(OUT, name), exist_ok=True)
    with open(os.path.join(OUT, name, 'tokenizer.json'), 'w', encoding='utf8') as file:
        json.dump(tokenizer, file, ensure_ascii=False, separators=(',', ':'))
    if config:
        with open(os.path.join(OUT, name, 'tokenizer_config.json'), 'w', encoding='utf8') as file:
            json.dump(config, file)


def added(vocabulary, signs, spaced=''):
    return [dict(id=vocabulary[s], content=s, single_word=False, lstrip=s == spaced, rstrip=False, normalized=False, special=True) for s in signs]


def template(first, last, pair, ids):
    def item(x):
        return {'Sequence': {'id': x, 'type_id': 0}} if x in 'AB' else {'SpecialToken': {'id': x, 'type_id': 0}}
    return dict(type='TemplateProcessing', single=[item(first), item('A'), item(last)], pair=[item(x) for x in pair],
                special_tokens={s: dict(id=s, ids=[ids[s]], tokens=[s]) for s in (first, last)})


def whole(model, normalizer, pre, post, tokens):
    return dict(version='1.0', truncation=None, padding=None, added_tokens=tokens, normalizer=normalizer, pre_tokenizer=pre, post_processor=post, decoder=None, model=model)


def unique(items):
    return list(dict.fromkeys(items))


def wordpiece(lower):
    letters = [chr(c) for c in range(97, 123)] + ([] if lower else [chr(c) for c in range(65, 91)] + ['é', 'É', 'ü', 'e\u0301'])
    korean = [unicodedata.normalize('NFD', w) for w in KOREAN] if lower else KOREAN
    jamo = unique(c for w in korean for c in w)
    greek = ['σ', 'ς', 'α']
    pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + letters + ['##' + c for c in letters] + list('0123456789') + ['##' + c for c in '0123456789'] + SIGNS + CHINESE
    pieces += WORDS + ['##' + w for w in WORDS] + korean + ['##' + w for w in korean] + jamo + ['##' + c for c in jamo] + greek + ['##' + c for c in greek] + ['カ', 'ß', '##ß', 'ﬁ', 'ı', 'i']
    if not lower:
        pieces += ['Hello', 'The', 'New', 'York']
    ids = {p: k for k, p in enumerate(unique(pieces))}
    post = template('[CLS]', '[SEP]', ['[CLS]', 'A', '[SEP]', 'B', '[SEP]'], ids)
    return whole(dict(type='WordPiece', unk_token='[UNK]', continuing_subword_prefix='##', max_input_chars_per_word=100, vocab=ids),
                 dict(type='BertNormalizer', clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower), dict(type='BertPreTokenizer'), post,
                 added(ids, ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']))


def bytes_to_signs():
    signs, free = {}, 256
    for b in range(256):
        if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174:
            signs[b] = chr(b)
        else:
            signs[b], free = chr(free), free + 1
    return signs


def bpe():
    signs = bytes_to_signs()
    merges, pieces = [], ['<s>', '<pad>', '</s>', '<unk>'] + [signs[b] for b in range(256) if b != 0xf1]
    for word in WORDS + KOREAN + [' ' + w for w in WORDS + KOREAN] + ["'s", "'re", '!!', '...', '  ']:
        parts = [signs[b] for b in word.encode()]
        # As training makes merges: from the left, each a piece from then on.
        while len(parts) > 1:
            pair = (parts[0], parts[1]) if len(parts) % 2 else (parts[-2], parts[-1])
            if pair not in merges:
                merges.append(pair)
            parts = [pair[0] + pair[1]] + parts[2:] if len(parts) % 2 else parts[:-2] + [pair[0] + pair[1]]
            pieces.append(pair[0] + pair[1])
    pieces = unique(pieces) + ['<mask>']
    ids = {p: k for k, p in enumerate(pieces)}
    return whole(dict(type='BPE', dropout=None, unk_token='<unk>', continuing_subword_prefix='', end_of_word_suffix='', fuse_unk=False, byte_fallback=False, vocab=ids, merges=[' '.join(m) for m in merges]),
                 None, dict(type='ByteLevel', add_prefix_space=False, trim_offsets=True, use_regex=True),
                 dict(type='RobertaProcessing', sep=['</s>', ids['</s>']], cls=['<s>', ids['<s>']], trim_offsets=True, add_prefix_space=False),
                 added(ids, ['<s>', '<pad>', '</s>', '<unk>', '<mask>'], '<mask>'))


def charsmap():
    """SentencePiece's form of a table: a double-array trie of the keys' UTF-8, each leaf the place of a text behind it."""
    table = {c: ' ' for c in '\t\n\r\u200b\ufeff\u3000\xa0\u2028'} | {chr(c): '' for c in range(1, 32) if chr(c) not in '\t\n\r'}
    table |= {c: unicodedata.normalize('NFKC', c) for c in '①½ﬁ²ｶﾞ…№Ｈｅｌｏ'} | {'e\u0301': 'é', 'a\u0308': 'ä', '\u30ab\u3099': '\u30ac', '\u1112\u1161\u11ab': '한', '\r\n': ' '}
    trie, texts = {}, b''
    for key, text in sorted(table.items()):
        node = trie
        for b in key.encode():
            node = node.setdefault(b, {})
        node['leaf'], texts = len(texts), texts + text.encode() + b'\0'
    units, used = {0: 0}, {0}

    def place(at, node, unit):
        labels = [b for b in node if b != 'leaf']
        need = labels + ([0] if 'leaf' in node else [])
        base = next(b for b in range(1, 1 << 21) if all((at ^ b ^ n) not in used for n in need))
        used.update(at ^ base ^ n for n in need)
        units[at] = unit | base << 10 | (256 if 'leaf' in node else 0)
        if 'leaf' in node:
            units[at ^ base] = node['leaf'] | 0x80000000
        for b in labels:
            place(at ^ base ^ b, node[b], b)

    place(0, trie, 0)
    blob = struct.pack(f'<{max(units) + 1}I', *(units.get(k, 0x80000000) for k in range(max(units) + 1)))
    return base64.b64encode(struct.pack('<I', len(blob)) + blob + texts).decode()


def unigram(albert):
    # Scores that a binary fraction holds exactly, so that no reader of numbers can differ.
    pieces = [('▁', -2.0)] + [(c, -6.5 - k / 64) for k, c in enumerate('abcdefghijklmnopqrstuvwxyz')] + [(c, -7.25) for c in '0123456789']
    pieces += [(('▁' if k % 2 else '') + w, -4.0 - k / 32) for k, w in enumerate(WORDS)] + [('▁' + w, -5.0 - k / 32) for k, w in enumerate(KOREAN)]
    pieces += [(w, -5.5 - k / 32) for k, w in enumerate(KOREAN)] + [(s, -6.0) for s in SIGNS if s != '<'] + [('日本', -6.0), ('日', -7.0), ('▁a', -3.0), ('1,', -5.0), ('ab', -13.0), ('!!', -12.0), ('é', -7.0), ('é', -7.0)]
    pieces = list(dict(pieces).items())
    if albert:
        pieces = [('<pad>', 0.0), ('<unk>', 0.0), ('[CLS]', 0.0), ('[SEP]', 0.0), ('[MASK]', 0.0)] + [(p, s - 100 if len(p) > 1 and p[-1] == ',' and p[-2].isdigit() else s) for p, s in pieces]
    else:
        pieces = [('<s>', 0.0), ('<pad>', 0.0), ('</s>', 0.0), ('<unk>', 0.0)] + pieces + [('<mask>', 0.0)]
    ids = {p: k for k, (p, _) in enumerate(pieces)}
    precompiled = dict(type='Precompiled', precompiled_charsmap=charsmap())
    normalizer = dict(type='Sequence', normalizers=[dict(type='Replace', pattern={'String': '``'}, content='"'), dict(type='Replace', pattern={'String': "''"}, content='"'),
                                                    dict(type='NFKD'), dict(type='StripAccents'), dict(type='Lowercase'), precompiled]) if albert else precompiled
    post = template('[CLS]', '[SEP]', ['[CLS]', 'A', '[SEP]', 'B', '[SEP]'], ids) if albert else template('<s>', '</s>', ['<s>', 'A', '</s>', '</s>', 'B', '</s>'], ids)
    signs = ['<pad>', '<unk>', '[CLS]', '[SEP]', '[MASK]'] if albert else ['<s>', '<pad>', '</s>', '<unk>', '<mask>']
    return whole(dict(type='Unigram', unk_id=ids['<unk>'], vocab=pieces, byte_fallback=False), normalizer,
                 dict(type='Sequence', pretokenizers=[dict(type='WhitespaceSplit'), dict(type='Metaspace', replacement='▁', prepend_scheme='always', split=True)]), post,
                 added(ids, signs, '[MASK]' if albert else '<mask>'))


def lines():
    hard = [
        'Hello, world!', '', ' ', 'The movie was unbelievable.', 'Café naïve CAFÉ', 'cafe\u0301 e\u0301', 'İ ı ß ﬁ', 'ΑΣ ας', '한국어 영화', '진짜 재미있다ㅋㅋㅋ', '영화가 재미없다ㅠㅠ', unicodedata.normalize('NFD', '한국 영화'),
        '日本語の中国film', 'ab日cd', '👍❤️👨‍👩‍👧', 'a\u200db\u200bc\ufeffd', 'a\ufffdb\x00c\x07d\x85e', 'a\tb\nc\r\nd\u3000e\xa0f', 'a\x0bb\x0cc', 'a' * 99, 'a' * 100, 'a' * 101, 'é' * 100 + ' ' + 'é' * 101, '👍' * 100 + ' a',
        'the [MASK] was good', 'the[MASK]was', '[mask] [MASK', '[SEP][CLS] [PAD]', '<mask> the <mask>', '</s><s>', "don't they're we'll it's", '!!! ... ?!', 'a_b-c/d', '$5.00 + 20% = 1,000', '``quoted\'\'', '“the” — …',
        '①½²', 'ｶﾞ \u30ab\u3099 Ｈｅｌｌｏ', '  two  spaces  ', '\n\n x', 'x \n', "''s", 'ALLCAPS', 'unplayingly', 'helloworld', 'qqqqq', '\ud83d\udc4dx', 'ab!!ab', '\u0301a', '𝔘𐐀', 'newyork New York', 'y\u0308 a\u0327\u0301',
    ]
    pairs = [['the movie', 'was good'], ['', 'b'], ['a', ''], ['the movie was not good', 'hello'], ['hello', 'the movie was not good'], ['the movie was', 'not a good'], ['한국 영화', '재미 있다 없다']]
    chance = random.Random(7)
    bits = WORDS + KOREAN + [' ', ' ', ' ', '  ', '\n', 'É', 'ü', 'Å', '\u200d', 'Ab', '[MASK]', '<mask>', 'Q', '日', '本語', 'е', '१', '👍', '🇰🇷', '\u3000', '\x01', '#', '##', '##a', "'s", '1,', '20', 'ﬁ', '①']
    hard += [''.join(chance.choice(bits) for _ in range(chance.randint(2, 9))) for _ in range(60)]
    return [[line] for line in hard] + pairs


if __name__ == '__main__':
    save('bert-uncased', wordpiece(True))
    save('bert-cased', wordpiece(False))
    save('roberta', bpe())
    save('xlm-r', unigram(False))
    save('albert', unigram(True))
    with open(os.path.join(OUT, 'lines.json'), 'w', encoding='utf8') as file:
        json.dump(lines(), file, indent=0)
