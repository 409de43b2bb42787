#!/usr/bin/env python3
"""Holds `sputnik tokenizer encode/decode` against the Hugging Face tokenizers library in every configuration that a
tokenizer.json may have here, and writes tests/golden/tokenizers. Needs the Python package tokenizers; never needed to
build or to test Sputnik.

  tokenizer_parity.py check [--deepseek DIR] [--only NAME] [--quick] [--random N]   ids and text, on what this Debian system has
  tokenizer_parity.py write                                               the golden files
"""

import argparse
import copy
import glob
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "tests", "golden", "tokenizers")

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<unk>", "<s>", "</s>", "<|user|>", "<｜end▁of｜>"]


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def pre(*parts):
    return sequence("pretokenizers", *parts)


def metaspace(scheme, cut=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut}


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def strip(start, stop):
    return {"type": "Strip", "content": " ", "start": start, "stop": stop}


def template(before, after=()):
    part = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    single = [part(n) for n in before] + [{"Sequence": {"id": "A", "type_id": 0}}] + [part(n) for n in after]
    names = list(before) + list(after)
    return {"type": "TemplateProcessing", "single": single, "pair": single + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {n: {"id": n, "ids": [SPECIAL.index(n)], "tokens": [n]} for n in names}}


FALLBACK = {"type": "ByteFallback"}
FUSE = {"type": "Fuse"}
LLAMA2_DECODER = sequence("decoders", replace("▁", " "), FALLBACK, FUSE, strip(1, 0))
LLAMA2_NORMALIZER = sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"))
# A special token that is found normalised, under another name than its own, is not left out by the library's decoder; by
# ours it is. And a name of byte-level characters, such as "é", is bytes to the library's decoder. So there is neither here.
FLAGGED = [("[one]", {"single_word": True}), ("[left]", {"lstrip": True}), ("[right]", {"rstrip": True}),
           ("[both]", {"lstrip": True, "rstrip": True, "special": True, "normalized": False}), ("[Raw]", {"normalized": False}),
           ("Naǐve", {"normalized": True, "single_word": True}), ("\n\n", {"normalized": False}), ("one", {"single_word": True}),
           ("[left][x]", {"lstrip": True, "normalized": False}), ("ﬁn", {}), ("  ", {})]

# name: (what its model was trained with, what replaces parts of the file)
VARIANTS = {
    "gpt2": ("gpt2", {}),
    "gpt2-prefix": ("gpt2", {"pre_tokenizer": byte_level(True, True)}),
    "bytes-flags": ("gpt2", {"added": FLAGGED}),
    "bytes-flags-nfkc": ("gpt2", {"added": FLAGGED, "normalizer": sequence("normalizers", {"type": "NFKC"}, {"type": "Lowercase"})}),
    "llama3": ("llama3", {"model": {"ignore_merges": True}, "post_processor": sequence("processors", byte_level(), template(["<s>"]))}),
    "qwen2": ("qwen2", {"normalizer": {"type": "NFC"}, "post_processor": byte_level()}),
    "o200k": ("gpt2", {"pre_tokenizer": pre(split(O200K), byte_level())}),
    "starcoder": ("gpt2", {"pre_tokenizer": pre({"type": "Digits", "individual_digits": True}, byte_level(False, True))}),
    "han": ("gpt2", {"pre_tokenizer": pre(split(r"\p{N}{1,3}"), split(r"[\p{Han}\d]+|\P{L}"), byte_level())}),
    "look": ("gpt2", {"pre_tokenizer": pre(split(r"(?=[A-Z])|(?<=\d)", "Isolated"), split("x*", "MergedWithNext"), byte_level())}),
    "literal": ("gpt2", {"pre_tokenizer": pre(split(".", "MergedWithPrevious", kind="String"), split(" a", kind="String"), byte_level())}),
    "nfd": ("gpt2", {"normalizer": {"type": "NFD"}}),
    "nfkd": ("gpt2", {"normalizer": {"type": "NFKD"}}),
    "normal": ("gpt2", {"normalizer": sequence("normalizers", {"type": "Strip", "strip_left": True, "strip_right": True},
                                               replace(r"\s+", " ", "Regex"), replace("``", '"'), {"type": "Lowercase"})}),
    "llama2": ("prepend", {}),
    "llama2-unfused": ("prepend", {"model": {"byte_fallback": False, "fuse_unk": False}, "post_processor": template(["<s>"], ["</s>"])}),
    "llama2-unknown": ("prepend", {"model": {"byte_fallback": False, "fuse_unk": True}, "added": FLAGGED}),
    "llama2-vanish": ("prepend", {"model": {"byte_fallback": False, "unk_token": None}}),
    "llama2-nfkc": ("prepend", {"normalizer": sequence("normalizers", {"type": "NFKC"}, replace(" ", "▁")), "added": FLAGGED}),
    "mistral": ("metaspace", {"pre_tokenizer": metaspace("first", False)}),
    "metaspace-first": ("metaspace", {"pre_tokenizer": metaspace("first"), "added": FLAGGED}),
    "metaspace-never": ("metaspace", {"pre_tokenizer": metaspace("never"), "decoder": metaspace("never")}),
    "metaspace-always": ("metaspace", {"decoder": sequence("decoders", FALLBACK, metaspace("always"))}),
    "metaspace-whole": ("metaspace", {"model": {"ignore_merges": True}}),
    "metaspace-later": ("metaspace", {"pre_tokenizer": pre({"type": "Digits", "individual_digits": False}, {"type": "Punctuation", "behavior": "Isolated"}, metaspace("always", False))}),
    "gaps": ("metaspace", {"missing": 7, "decoder": sequence("decoders", strip(0, 0), replace("[ab]", "<>", "Regex"), FUSE, strip(2, 0))}),
    "words": ("metaspace", {"pre_tokenizer": {"type": "Whitespace"}, "decoder": FUSE}),
    "spaces": ("metaspace", {"pre_tokenizer": {"type": "WhitespaceSplit"}}),
}
for _behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
    for _invert in (False, True):
        VARIANTS[f"split-{_behavior}{'-inverted' * _invert}"] = ("gpt2", {"pre_tokenizer": pre(split(r"\p{N}|[,.]|é", _behavior, _invert), byte_level())})
    VARIANTS[f"punctuation-{_behavior}"] = ("metaspace", {"pre_tokenizer": pre({"type": "Punctuation", "behavior": _behavior}, metaspace("first"))})

CASES = [
    "", " ", "Hello, world!", "  Hello   world  ", "it's WE'LL I'M 'ſ", "x=1;y=2;\tif(x<y){return \"no\";}\n\n\n  z", "1234567 3.14 ²½Ⅷ १२",
    "日本語と中文, ,ABC立。", "e\u0301 ﬁn Å ｶﾞ ①ǅ", "👩‍💻 🏴‍☠️✊🏽", "a<s>b</s> c<unk>", "<|user|> hi <｜end▁of｜>x", "▁▁a ▁b", "<0x41><0xZZ>",
    "one[one] [one] x  [left]  [right]  y [both] [Raw][raw]naǐve NAǏVE one\n\n", "İstanbul \u00a0\u3000x\u200d\u2028", "``q''  aa.b", "\x00\x7f\ufffd\U0001F9FF\U000E0001",
]


def languages():
    """Text per language from message catalogues and manual pages, at most 30 kB each."""
    by_language = {}
    for name in sorted(glob.glob("/usr/share/locale/*/LC_MESSAGES/*.mo")):
        by_language.setdefault(name.split("/")[4], []).append(name)
    texts = {}
    for language, names in by_language.items():
        parts, size = [], 0
        for name in names:
            with open(name, "rb") as file:
                data = file.read()
            order = "little" if data[:4] == b"\xde\x12\x04\x95" else "big"
            word = lambda at: int.from_bytes(data[at:at + 4], order)
            for i in range(word(8)):
                length, offset = word(word(16) + 8 * i), word(word(16) + 8 * i + 4)
                try:
                    parts.append(data[offset:offset + length].decode("utf-8").replace("\0", "\n"))
                except UnicodeDecodeError:
                    continue
                size += length
            if size > 30_000:
                break
        texts[language] = "\n".join(parts)[:30_000]
    for name in sorted(glob.glob("/usr/share/man/*/man1/*.gz"))[::3]:
        with gzip.open(name, "rt", encoding="utf-8", errors="replace") as file:
            texts.setdefault("man-" + name.split("/")[4], "")
            if len(texts["man-" + name.split("/")[4]]) < 60_000:
                texts["man-" + name.split("/")[4]] += file.read()[:20_000]
    return texts


def lines_of(text, size=3000):
    return [text[i:i + size] for i in range(0, len(text), size)]


def random_strings(count, seed=5):
    rng = random.Random(seed)
    tokens = SPECIAL + [content for content, _ in FLAGGED] + ["<think>", "</think>", "<｜User｜>", "<｜begin▁of▁sentence｜>", "<|im_end|>"]
    blocks = [(0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x600), (0x900, 0xE00), (0x1E00, 0x2070), (0x2190, 0x2600),
              (0x3000, 0x3100), (0x4E00, 0x4F00), (0xAC00, 0xAD00), (0xFB00, 0x10000), (0x10000, 0x12000), (0x1F300, 0x1FB00), (0x20, 0xD800)]
    fill = [" ", "  ", "\n", "\n\n", "\t", "\u3000", "'", "'s", "1", "23", "▁", "one", "Naǐve", "é", "e\u0301", "👩‍👧", ".", ", ", "<", "[", "\u200d"]
    strings = []
    for _ in range(count):
        parts = []
        for _ in range(rng.randrange(1, 9)):
            kind = rng.randrange(4)
            if kind == 0:
                parts.append(rng.choice(tokens))
            elif kind == 1:
                parts.append(rng.choice(fill))
            else:
                low, high = rng.choice(blocks)
                parts.append("".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 6))))
        strings.append("".join(parts))
    return strings


def code_points():
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(map(chr, points[i:i + 1000])) for i in range(0, len(points), 1000)]
    texts += [" ".join(chr(c) + "a" for c in points[i:i + 500]) for i in range(0, 0x30000, 500)]
    texts += ["".join("'" + chr(c) + "1" for c in points[i:i + 500]) for i in range(0, 0x20000, 500)]
    texts += ["a" + chr(c) + "one" + chr(c) + "[left]" for c in points[:0x3100]]
    return texts


def corpora(args):
    texts = languages()
    mixed = [piece for text in texts.values() for piece in lines_of(text)]
    code = []
    for name in sorted(glob.glob("/usr/lib/python3*/*.py"))[:40] + sorted(glob.glob("/usr/include/*.h"))[:40] + sorted(glob.glob("/usr/share/common-licenses/*")):
        with open(name, encoding="utf-8", errors="replace") as file:
            code += lines_of(file.read()[:60_000], 20_000)
    emoji = "👩‍👩‍👧‍👦 👨🏽‍🚀 🏳️‍🌈 🇩🇪🇯🇵 ❤️‍🔥 1️⃣ 🫱🏿‍🫲🏻 é̄̂ ก็ிா ṩ̇ ắ̱".split(" ")
    rng = random.Random(9)
    emoji = ["".join(rng.choice(emoji + [" ", "\u200d", "\ufe0f", "\u0301", "\u0327", "a"]) for _ in range(40)) for _ in range(500)]
    print(f"{len(texts)} languages, {sum(len(t.encode()) for t in mixed)} bytes; code {sum(len(t.encode()) for t in code)} bytes")
    return {"languages": mixed, "code": code, "emoji": emoji, "code points": code_points(), "random": random_strings(args.random), "cases": CASES}


def train(kind, texts, size):
    """The library's own trainer; byte tokens are made by hand, as its trainer knows none."""
    settings = {"special_tokens": SPECIAL, "show_progress": False}
    if kind in ("gpt2", "llama3", "qwen2"):
        tokenizer = Tokenizer(models.BPE())
        first = {"gpt2": byte_level(False, True), "llama3": pre(split(LLAMA3), byte_level()), "qwen2": pre(split(QWEN2), byte_level())}[kind]
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **settings)
        file = json.loads(tokenizer.to_str())
        tokenizer = Tokenizer.from_str(json.dumps({**file, "pre_tokenizer": first, "decoder": byte_level()}))
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        settings["special_tokens"] = SPECIAL + [f"<0x{b:02X}>" for b in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=min(600, size // 5), **settings)
        tokenizer.decoder = decoders.Metaspace()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        if kind == "prepend":
            file = {**json.loads(tokenizer.to_str()), "pre_tokenizer": None, "normalizer": LLAMA2_NORMALIZER, "decoder": LLAMA2_DECODER}
            tokenizer = Tokenizer.from_str(json.dumps(file))
            texts = [line[:80] for text in texts for line in text.split("\n")]
    tokenizer.train_from_iterator(texts, trainer)
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = file["added_tokens"][:len(SPECIAL)]
    return file


def variant(base, changes):
    file = copy.deepcopy(base)
    for key, value in changes.items():
        if key == "model":
            file["model"].update(value)
        elif key == "added":
            ids = set(file["model"]["vocab"].values())
            for content, flags in value:
                token = {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
                token["id"] = file["model"]["vocab"].get(content, max(ids) + 1)
                ids.add(token["id"])
                file["added_tokens"].append({**token, **flags})
        elif key == "missing":  # byte tokens under another name
            file["model"]["vocab"] = {(name.replace("<0x", "<1x") if name.startswith("<0x") and i % value == 0 else name): i
                                      for name, i in file["model"]["vocab"].items()}
        else:
            file[key] = value
    return file


class Sputnik:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def run(self, verb, flags, lines):
        done = subprocess.run([self.program, "tokenizer", verb, "--model", self.folder, "--json", *flags],
                              input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"sputnik tokenizer {verb}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def compare(args, name, folder, texts):
    peer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    ours = Sputnik(args.program, folder)
    wrong = whole = done = 0
    for flags in ([], ["--special"], ["--special", "--complete"]):
        if flags == ["--special", "--complete"]:
            texts = texts[:2000]
        peer.encode_special_tokens = not flags
        expected = [one.ids for one in peer.encode_batch_fast(texts, add_special_tokens="--complete" in flags)]
        found = ours.run("encode", flags, texts)
        texts_back = [ours.run("decode", skip, expected) for skip in ([], ["--skip-special"])]
        peer_back = [peer.decode_batch(expected, skip_special_tokens=skip) for skip in (False, True)]
        done += len(texts)
        for i, text in enumerate(texts):
            whole += peer_back[0][i] == text
            for what, a, b in (("ids", found[i], expected[i]), ("text", texts_back[0][i], peer_back[0][i]), ("text without special", texts_back[1][i], peer_back[1][i])):
                if a == b:
                    continue
                wrong += 1
                if wrong <= 3:
                    at = next((k for k, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                    show = (lambda s: [peer.id_to_token(k) for k in s[max(0, at - 3):at + 4]]) if what == "ids" else (lambda s: s[max(0, at - 9):at + 9])
                    print(f"DIFFERENT {name} {flags} {what} at {at} of {text[:40]!r}: {show(a)!r} but expected {show(b)!r}")
    args.failed |= wrong > 0
    print(f"{name}: {done} encodings, {wrong} differ; {whole} come back whole", flush=True)


def check(args):
    texts = corpora(args)
    training = texts["languages"][::23][:400] + texts["code"][:10]
    bases = {}
    every = [t for group in texts.values() for t in group]
    some = texts["languages"][::29] + texts["code"][::9] + texts["emoji"][::5] + texts["code points"][::5] + texts["random"][:args.random // 5] + CASES
    thorough = {"gpt2", "llama3", "qwen2", "o200k", "llama2", "mistral", "metaspace-first", "bytes-flags-nfkc"}
    if args.deepseek and args.only in (None, "deepseek"):
        compare(args, "deepseek", args.deepseek, some if args.quick else every)
    for name, (kind, changes) in VARIANTS.items():
        if args.only not in (None, name):
            continue
        if kind not in bases:
            bases[kind] = train(kind, training, 6000)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
                json.dump(variant(bases[kind], changes), file, ensure_ascii=False)
            compare(args, name, folder, every if name in thorough and not args.quick else some)


def write(args):
    """Models of few merges, and for each variant what replaces their parts, with cases."""
    with open(os.path.join(ROOT, "tests", "golden", "tokenizer", "corpus.txt"), encoding="utf-8") as file:
        text = file.read()
    os.makedirs(GOLDEN, exist_ok=True)
    bases = {}
    for kind, size in (("gpt2", 420), ("llama3", 380), ("qwen2", 380), ("metaspace", 520), ("prepend", 520)):
        bases[kind] = train(kind, text.split("\n"), size)
        with open(os.path.join(GOLDEN, kind + ".json"), "w", encoding="utf-8") as file:
            json.dump(bases[kind], file, ensure_ascii=False, separators=(",", ":"))
            file.write("\n")
    with open(os.path.join(GOLDEN, "variants.jsonl"), "w", encoding="utf-8") as file:
        for name, (kind, changes) in VARIANTS.items():
            made = variant(bases[kind], changes)
            peer = Tokenizer.from_str(json.dumps(made))
            cases = []
            for case in CASES:
                ids = {}
                for key in ("ids", "special_ids"):
                    peer.encode_special_tokens = key == "ids"
                    ids[key] = peer.encode(case, add_special_tokens=False).ids
                complete = peer.encode(case).ids
                one = {"text": case, **ids, "decoded": peer.decode(ids["special_ids"], skip_special_tokens=False)}
                if one["special_ids"] == one["ids"]:
                    del one["special_ids"]
                if one["decoded"] == case:
                    del one["decoded"]
                if complete != ids["special_ids"]:
                    one["complete_ids"] = complete
                cases.append(one)
            changed = {key: made[key] for key in made if key != "model" and made[key] != bases[kind][key]}
            changed["model"] = {k: v for k, v in made["model"].items() if k != "merges" and v != bases[kind]["model"][k]}
            file.write(json.dumps({"name": name, "base": kind, "changes": changed, "cases": cases}, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["check", "write"])
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "sputnik"))
    parser.add_argument("--deepseek", help="folder with the real DeepSeek tokenizer.json")
    parser.add_argument("--only", help="one configuration")
    parser.add_argument("--quick", action="store_true", help="a part of the text")
    parser.add_argument("--random", type=int, default=100_000, help="random strings")
    args = parser.parse_args()
    args.failed = False
    {"check": check, "write": write}[args.verb](args)
    sys.exit(1 if args.failed else 0)


if __name__ == "__main__":
    main()
