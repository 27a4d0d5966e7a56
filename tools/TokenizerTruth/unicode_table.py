"""Writes src/Graft.Inference/Text/characters.txt from the lines of characters.js on standard input.

    npm install && node characters.js | python3 unicode_table.py > ../../src/Graft.Inference/Text/characters.txt

Which characters vanish, are spaces, marks or punctuation, and how they come apart, is what Hugging Face's tokenizers say, whatever Unicode the machine
that runs Graft knows. The combining classes are Python's, for the characters that move at all there.
"""
import json
import sys
import unicodedata

sets = {name: [] for name in ('removed', 'space', 'nonspacing', 'mark', 'punctuation', 'chinese')}
classes, canonical, compatible, pairs = {}, [], [], []
for line in sys.stdin:
    r = json.loads(line)
    i, c = r['i'], chr(r['i'])
    if r['clean'] == '':
        sets['removed'].append(i)
    if r['words'] == 2:
        sets['space'].append(i)
    if r['words'] == 3:
        sets['punctuation'].append(i)
    if r['strip'] == '':
        sets['nonspacing'].append(i)
    if r['marks'] == '':
        sets['mark'].append(i)
    if r['chinese']:
        sets['chinese'].append(i)
    order = unicodedata.combining(c)
    if order == 1 or (order > 1 and r['moves']):
        classes.setdefault(order, []).append(i)
    if 0xac00 <= i < 0xac00 + 11172:
        continue
    codes = lambda text: ' '.join(f'{ord(x):x}' for x in text)
    if r['nfd'] != c:
        canonical.append(f'{i:x}={codes(r["nfd"])}')
        if r['nfc'] == c and len(r['front']) == 1:
            pairs.append(f'{i:x}={codes(r["front"] + r["nfd"][-1])}')
    if r['nfkd'] != r['nfd']:
        compatible.append(f'{i:x}={codes(r["nfkd"])}')


def ranges(numbers):
    found = []
    for n in numbers:
        if found and found[-1][1] == n - 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return ' '.join(f'{a:x}' if a == b else f'{a:x}-{b:x}' for a, b in found)


print("# Made by tools/TokenizerTruth/unicode_table.py: how Hugging Face's tokenizers see each character. Hangul syllables come apart by their formula.")
for name, numbers in sets.items():
    print(f'{name}:{ranges(numbers)}')
for order in sorted(classes):
    print(f'class {order}:{ranges(classes[order])}')
print('canonical:' + ';'.join(canonical))
print('compatible:' + ';'.join(compatible))
print('pairs:' + ';'.join(pairs))
