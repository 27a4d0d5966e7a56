"""BERT's word pieces in plain Python, from the published algorithm (Devlin et al. 2019): the standard library alone.

    tokenizer_peer.py ids VOCAB lower|cased FILE      a line of numbers for each line of the file
    tokenizer_peer.py speed VOCAB lower|cased FILE    {"value": lines a second of processor time}
"""
import json
import resource
import sys
import time
import unicodedata

SIGNS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')


def is_chinese(c):
    return 0x4e00 <= c <= 0x9fff or 0x3400 <= c <= 0x4dbf or 0x20000 <= c <= 0x2a6df or 0x2a700 <= c <= 0x2b81f or 0x2b920 <= c <= 0x2ceaf or 0xf900 <= c <= 0xfaff or 0x2f800 <= c <= 0x2fa1f


def clean(text):
    output = []
    for char in text:
        if char in '\t\n\r':
            output.append(' ')
        elif char == '\ufffd' or unicodedata.category(char) in ('Cc', 'Cf', 'Co', 'Cs'):
            continue
        elif is_chinese(ord(char)):
            output.append(' ' + char + ' ')
        elif char.isspace():
            output.append(' ')
        else:
            output.append(char)
    return ''.join(output)


def is_punctuation(char):
    c = ord(char)
    return 33 <= c <= 47 or 58 <= c <= 64 or 91 <= c <= 96 or 123 <= c <= 126 or unicodedata.category(char).startswith('P')


def words(text, lower):
    text = clean(text)
    if lower:
        text = ''.join(char for char in unicodedata.normalize('NFD', text) if unicodedata.category(char) != 'Mn')
        text = ''.join(char.lower() for char in text)
    for word in text.split():
        found = ''
        for char in word:
            if is_punctuation(char):
                if found:
                    yield found
                yield char
                found = ''
            else:
                found += char
        if found:
            yield found


def pieces(word, vocabulary):
    if len(word) > 100:
        return ['[UNK]']
    output, start = [], 0
    while start < len(word):
        end = len(word)
        while start < end:
            piece = word[start:end]
            if start > 0:
                piece = '##' + piece
            if piece in vocabulary:
                break
            end -= 1
        else:
            return ['[UNK]']
        output.append(piece)
        start = end
    return output


def split(text):
    """The text's stretches and the signs that are written in it."""
    while text:
        place, sign = min((text.find(sign), sign) if sign in text else (len(text), '') for sign in SIGNS)
        if place:
            yield False, text[:place]
        if sign:
            yield True, sign
        text = text[place + len(sign):]


def encode(text, vocabulary, lower):
    ids = [vocabulary['[CLS]']]
    for is_sign, part in split(text):
        if is_sign:
            ids.append(vocabulary[part])
        else:
            for word in words(part, lower):
                ids.extend(vocabulary[piece] for piece in pieces(word, vocabulary))
    return ids + [vocabulary['[SEP]']]


def main():
    job, vocabulary, case, path = sys.argv[1:]
    with open(vocabulary, encoding='utf8', newline='\n') as file:
        vocabulary = {line.rstrip('\r\n'): k for k, line in enumerate(file)}
    with open(path, encoding='utf8', newline='\n') as file:
        lines = [line.rstrip('\n') for line in file]
    if job == 'ids':
        sys.stdout.write(''.join(' '.join(map(str, encode(line, vocabulary, case == 'lower'))) + '\n' for line in lines))
        return
    start, count = time.process_time(), 0
    while time.process_time() - start < 3:
        for line in lines:
            encode(line, vocabulary, case == 'lower')
            count += 1
            if count % 500 == 0 and time.process_time() - start > 6:
                break
    print(json.dumps({'value': count / (time.process_time() - start), 'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


main()
