#!/usr/bin/env python3
"""Tokenizing speed beside the Hugging Face tokenizers library: one thread each, in turns, processor time, on the same text
in documents of 3000 characters. Prints each round and the medians of their ratios.

    python tools/peer_tokenizer.py MODEL [FILE] [ROUNDS]       MODEL: a folder with tokenizer.json; without FILE, 10 MB are
                                                               mixed of languages, code and emoji that this system has

Needs tokenizers, and build/release/tokenizer_bench (cmake -DSPUTNIK_BENCH=ON).
"""
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Tokenizer  # noqa: E402

import tokenizer_parity  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def mixed(megabytes: float) -> list[str]:
    rng = random.Random(3)
    args = type("Args", (), {"random": 1000})
    groups = tokenizer_parity.corpora(args)
    documents = [text[i:i + 3000].replace("\f", " ") for name in ("languages", "code", "emoji") for text in groups[name]
                 for i in range(0, len(text), 3000)]
    picked, size = [], 0
    while size < megabytes * 1e6:
        picked.append(rng.choice(documents))
        size += len(picked[-1].encode())
    return picked


def main() -> None:
    model = sys.argv[1]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    if len(sys.argv) > 2 and sys.argv[2]:
        with open(sys.argv[2], encoding="utf-8", newline="") as file:
            documents = file.read().split("\f")
    else:
        documents = mixed(10)
    size = sum(len(text.encode()) for text in documents)
    ratios, loads = [], []
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "mixed.txt")
        with open(name, "w", encoding="utf-8", newline="") as file:
            file.write("\f".join(documents))
        for _ in range(rounds):
            out = subprocess.run([os.path.join(ROOT, "build", "release", "tokenizer_bench"), model, name],
                                 capture_output=True, text=True, check=True).stdout
            ours = re.search(r"load ([\d.]+) ms.* (\d+) tokens; encode ([\d.]+) s", out)
            start = time.process_time()
            tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
            load = time.process_time() - start
            tokenizer.encode_special_tokens = True
            best = 1e9
            for _ in range(3):
                start = time.process_time()
                found = tokenizer.encode_batch_fast(documents, add_special_tokens=False)
                best = min(best, time.process_time() - start)
            tokens = sum(len(one.ids) for one in found)
            assert tokens == int(ours[2]), (tokens, ours[2])
            ratios.append(best / float(ours[3]))
            loads.append(float(ours[1]))
            print(f"{size} bytes, {tokens} tokens: sputnik {size / float(ours[3]) / 1e6:.1f} MB/s (load {ours[1]} ms), tokenizers "
                  f"{size / best / 1e6:.1f} MB/s (load {load * 1e3:.0f} ms), ratio {ratios[-1]:.2f}", flush=True)
        print(out[out.index("\n") + 1:], end="")
    print(f"median ratio {statistics.median(ratios):.2f}, median load {statistics.median(loads):.0f} ms")


if __name__ == "__main__":
    main()
