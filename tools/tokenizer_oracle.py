#!/usr/bin/env python3
"""Compares the text floor with the Hugging Face libraries, and writes tests/golden/tokenizer.

Needs the Python packages tokenizers and transformers, and the program text_probe (ninja -C build/release text_probe).
Never needed to build or to test Sputnik.

  tokenizer_oracle.py write [--deepseek DIR]                train on corpus.txt, check, write the golden files
  tokenizer_oracle.py check [--deepseek DIR] [--text FILE]  ids on more than 1 MB of varied text; merges of both trainers
  tokenizer_oracle.py speed [--deepseek DIR] [--text FILE]  both on 10 MB in documents of 3000 characters, processor time of one thread
"""

import argparse
import glob
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import unicodedata

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Tokenizer, models, pre_tokenizers, trainers  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "tests", "golden", "tokenizer")

# Short and nasty; each is a golden case.
CASES = [
    "", " ", "  ", "\n", "\r\n", " \n \n", "\t\t x", "a", "é", "日", "👩‍💻", "Hello, world!", "Hello  world   again    ",
    "it's we're I'll '' 'quoted' don''t", "’tis the ship’s lamp", "0", "1234567", "3.14 + 2,718 = ?", "v1.2.3-rc4", "१२३ ४५६ ²³ ½ Ⅷ",
    "line one\nline two\r\n\r\nline four\n\n\n  indented", "x=1;y=2;\tif(x<y){return \"no\";}", "http://example.org/a?b=c&d=%20#e",
    "<think>17 + 25 = 42</think><answer>42</answer>", "<thin<think>k>", "<think", "a<think>b<think> c", "</think></answer>",
    "<｜User｜>hi<｜Assistant｜>", "<｜begin▁of▁sentence｜>x<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence<think>｜>", "｜", "▁",
    "灯台は岩の上に立っています。灯塔ABC立在abc岩石上123", "Маяк стоит", "المنارة تقف", "दीपस्तंभ चट्टान", "e\u0301 a\u0308 n\u0303", "\u200bzero\u200dwidth\ufeff",
    "\u00a0nbsp\u2003em\u3000wide\u2028ls\u2029ps\u0085nel\u180emvs", " \u180e x\u180e \u180e\u180e\n", "\x00\x01\x7f\x1b[0m", "\u2581\u0120\u010a\u0100\u0143", "\ufffd\ufffd ?",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 🏴‍☠️ 🇩🇪 ☃️ ✊🏽", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababababababababababababababababababababababababababababababababababab", " " * 77 + "end", "\n" * 60, "=" * 99, "0" * 50, "!?" * 40 + "\n\n",
    "donaudampfschifffahrtsgesellschaftskapitaensmuetzenknopfannaehmaschinenfadenspulenhalter",
]

CHATS = [
    {"messages": [{"role": "user", "content": "17 + 25"}], "prompt": True},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it dark?"},
                  {"role": "assistant", "content": "<think>no</think><answer>not yet</answer>"}], "prompt": False},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": " c\n"}],
     "prompt": True},
    {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}], "prompt": False},
]


def varied_text(extra, seed=7):
    """More than 1 MB in pieces: prose, code, every assigned character, emoji, white space, random bytes."""
    rng = random.Random(seed)
    texts = list(CASES)
    files = sorted(glob.glob("/usr/lib/python3*/*.py"))[:60] + sorted(glob.glob("/usr/share/common-licenses/*"))
    for name in files + extra:
        with open(name, encoding="utf-8", errors="replace") as file:
            texts.append(file.read()[:300_000])
    with open(os.path.join(GOLDEN, "corpus.txt"), encoding="utf-8") as file:
        texts += [file.read()] + file.read().splitlines()
    # Letters that Unicode gained after version 14 are letters to the library but not to PCRE2 10.42: left out.
    points = [c for c in range(0x20000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    for _ in range(300):
        texts.append("".join(chr(c) for c in rng.choices(points, k=300)))
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x600), (0x900, 0xE00), (0x2000, 0x2070), (0x2190, 0x2300),
              (0x3000, 0x3100), (0x4E00, 0x4F00), (0xAC00, 0xAD00), (0xFF00, 0xFFF0), (0x1F300, 0x1F700)]
    for _ in range(600):
        words = []
        for _ in range(60):
            low, high = rng.choice(blocks)
            words.append("".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 9))))
            words.append(rng.choice(["", " ", "  ", "\n", "\r\n", "\t", "\u3000", "'", "’", "1", "23", "<think>", "</answer>"]))
        texts.append("".join(words))
    for _ in range(300):
        texts.append(rng.randbytes(300).decode("utf-8", errors="replace"))
        texts.append("".join(rng.choices(" \t\n\r\u00a0\u2003\u180eab.,1", k=200)))
        texts.append("".join(rng.choices("abc", k=rng.randrange(40, 400))))
    return texts


def probe(args, *words, lines=None):
    text = None if lines is None else "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([args.probe, *words], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"text_probe {' '.join(words)}: {done.stderr}")
    if words[0] in ("train", "time"):
        print((done.stdout + done.stderr).strip())
    return [json.loads(line) for line in done.stdout.splitlines()] if lines is not None else done.stdout


def oracle_ids(tokenizer, text, parse_special):
    tokenizer.encode_special_tokens = not parse_special
    return tokenizer.encode(text, add_special_tokens=False).ids


def compare(args, folder, texts):
    """Ids of both on all texts, special tokens as text and as tokens."""
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    for mode in ("text", "special"):
        ours = probe(args, "encode", folder, mode, lines=texts)
        wrong = 0
        for text, ids in zip(texts, ours, strict=True):
            expected = oracle_ids(tokenizer, text, mode == "special")
            if ids != expected and (wrong := wrong + 1) <= 3:
                at = next((i for i, (a, b) in enumerate(zip(ids, expected)) if a != b), min(len(ids), len(expected)))
                print(f"DIFFERENT {mode} at {at}: {[tokenizer.id_to_token(i) for i in ids[at-2:at+4]]} but expected "
                      f"{[tokenizer.id_to_token(i) for i in expected[at-2:at+4]]}")
        total = sum(len(t.encode()) for t in texts)
        print(f"{folder}, specials as {mode}: {len(texts)} texts, {total} bytes, {sum(map(len, ours))} ids, {wrong} differ")
        args.failed |= wrong > 0


def check_chats(args, folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for chat, ours in zip(CHATS, probe(args, "chat", folder, lines=CHATS), strict=True):
        expected = tokenizer.apply_chat_template(chat["messages"], add_generation_prompt=chat["prompt"], return_dict=False)
        args.failed |= ours["ids"] != expected
        if ours["ids"] != expected:
            print(f"DIFFERENT chat {chat}: {ours['ids']} but expected {expected}")
    print(f"{folder}: {type(tokenizer).__name__}, {len(CHATS)} chats by its chat_template; bos {tokenizer.bos_token_id} "
          f"eos {tokenizer.eos_token_id} pad {tokenizer.pad_token_id} max {tokenizer.model_max_length}")


def check_merges(args, folder, texts, vocab):
    """Trains the library's own trainer with the same pre-tokenizer; its merges must be ours. The markers are cut out of
    the text first, as that trainer does not know them."""
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
        ours = json.load(file)
    added = [token["content"] for token in ours["added_tokens"]]
    peer = Tokenizer(models.BPE())
    peer.pre_tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json")).pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=vocab, min_frequency=2, special_tokens=added, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    pieces = texts
    for marker in added[5:]:
        pieces = [part for text in pieces for part in text.split(marker)]
    start = time.process_time()
    peer.train_from_iterator(pieces, trainer)
    seconds = time.process_time() - start
    theirs = json.loads(peer.to_str())["model"]
    merges = [" ".join(m) if isinstance(m, list) else m for m in theirs["merges"]]
    same = merges == ours["model"]["merges"] and theirs["vocab"] == ours["model"]["vocab"]
    print(f"merges of both trainers at {vocab}: {len(merges)}, {'equal' if same else 'DIFFERENT'} (theirs {seconds:.2f} s)")
    args.failed |= not same


def train_and_check(args, texts, vocab, digits):
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for i, text in enumerate(texts):
            names.append(os.path.join(folder, f"{i}.txt"))
            with open(names[-1], "w", encoding="utf-8", newline="") as file:
                file.write(text)
        probe(args, "train", str(vocab), digits, folder, *names)
        compare(args, folder, texts)
        check_merges(args, folder, texts, vocab)
        check_chats(args, folder)


def write(args):
    probe(args, "train", "512", "1", GOLDEN, os.path.join(GOLDEN, "corpus.txt"))
    compare(args, GOLDEN, varied_text([]))
    check_chats(args, GOLDEN)
    folders = {"trained.jsonl": GOLDEN}
    if args.deepseek:
        folders["deepseek.jsonl"] = args.deepseek
    for name, folder in folders.items():
        tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        with open(os.path.join(GOLDEN, name), "w", encoding="utf-8") as file:
            for text in CASES:
                line = {"text": text, "ids": oracle_ids(tokenizer, text, False), "special_ids": oracle_ids(tokenizer, text, True)}
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(GOLDEN)
    with open(os.path.join(GOLDEN, "chats.jsonl"), "w", encoding="utf-8") as file:
        for chat in CHATS:
            ids = tokenizer.apply_chat_template(chat["messages"], add_generation_prompt=chat["prompt"], return_dict=False)
            file.write(json.dumps({**chat, "ids": ids}, separators=(",", ":")) + "\n")


def check(args):
    texts = varied_text(args.text)
    if args.deepseek:
        compare(args, args.deepseek, texts)
    train_and_check(args, texts, 8000, "1")
    train_and_check(args, texts, 3000, "0")


def speed(args):
    rng = random.Random(3)
    documents = [text[i:i + 3000].replace("\f", " ") for text in varied_text(args.text) for i in range(0, len(text), 3000)]
    mixed, size = [], 0
    while size < 10_000_000:
        mixed.append(rng.choice(documents))
        size += len(mixed[-1].encode())
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "mixed.txt")
        with open(name, "w", encoding="utf-8", newline="") as file:
            file.write("\f".join(mixed))
        for model in filter(None, [args.deepseek, GOLDEN]):
            probe(args, "time", model, name)
            start = time.process_time()
            tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
            load = time.process_time() - start
            tokenizer.encode_special_tokens = True
            best = 1e9
            for _ in range(3):
                start = time.process_time()
                found = tokenizer.encode_batch_fast(mixed, add_special_tokens=False)
                best = min(best, time.process_time() - start)
            tokens = sum(len(one.ids) for one in found)
            print(f"tokenizers: load {load * 1e3:.1f} ms; {size} bytes, {tokens} tokens, {best:.3f} s, {size / best / 1e6:.1f} MB/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["write", "check", "speed"])
    parser.add_argument("--probe", default=os.path.join(ROOT, "build", "release", "text_probe"))
    parser.add_argument("--deepseek", help="folder with the real DeepSeek tokenizer.json")
    parser.add_argument("--text", action="append", default=[], help="more text to compare on")
    args = parser.parse_args()
    args.failed = False
    {"write": write, "check": check, "speed": speed}[args.verb](args)
    sys.exit(1 if args.failed else 0)


if __name__ == "__main__":
    main()
