#!/usr/bin/env python3
"""Compares chat templates as rendered here with transformers, and writes tests/golden/template.

Needs the Python packages transformers and jinja2, and the program template_probe (ninja -C build/release template_probe).
Never needed to build or to test Sputnik.

  template_oracle.py check [--count N] [--seed S] [--folder DIR]...  N conversations (300) with each template: those of
                                                     tests/golden/template, those of installed Python packages (trl),
                                                     and any *.jinja in the folders given
  template_oracle.py write                           the golden conversations and pieces of the language
"""

import argparse
import copy
import datetime
import glob
import importlib.util
import json
import os
import random
import re
import subprocess
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from transformers.utils import chat_template_utils  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "tests", "golden", "template")
NOW = 1764072000  # 2025-11-25 12:00:00 UTC
CONFIG = {"bos_token": "<bos>", "eos_token": {"content": "<eos>"}, "pad_token": "<pad>", "unk_token": None}


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW)


chat_template_utils.datetime = FixedTime

WORDS = ["lamp", "rock", "tide", "harbour", "naïve", "Straße", "灯台", "маяк", "ΟΔΟΣ", "e\u0301", "👩‍💻", "0", "-1", "3.50"]
ODD = ["", " ", "\n", "\n\n  \n", "  both ends  ", "\ttab\t", 'say "hi"', "it's", "'\"`\\", "a\\nb", "{{ x }}", "{% if %}", "{# c #}",
       "<|im_end|>", "<|eot_id|>", "<｜User｜>", "<think>", "</think>", "<think>a</think>b", "</think>\n\nafter", "line\r\nline\rline",
       "\u2028\u00a0\u3000", "<b>&amp;</b>", "\x00\x1b", "\u00ad\ufeff", "[INST] x [/INST]", "<tool_call>", "<tool_response>x</tool_response>",
       "null", "None", "%s %d", "1e5", "]}", "end\\"]


def text(rng):
    if rng.random() < 0.4:
        return rng.choice(ODD)
    parts = [rng.choice(WORDS + ODD) for _ in range(rng.randrange(1, 8))]
    return rng.choice([" ", " ", "", "\n"]).join(parts)


def value(rng, depth=0):
    kinds = [lambda: rng.randrange(-10**12, 10**12), lambda: rng.choice([0.1, -2.5, 1e16, 1e-7, 123456789.125, 1.0, 0.0, -0.0, 5e-324]),
             lambda: text(rng), lambda: True, lambda: False, lambda: None]
    if depth < 3:
        kinds += [lambda: [value(rng, depth + 1) for _ in range(rng.randrange(3))],
                  lambda: {rng.choice(WORDS): value(rng, depth + 1) for _ in range(rng.randrange(3))}]
    return rng.choice(kinds)()


def tool(rng):
    names = rng.sample(["city", "unit", "days", "path", "items", "q"], rng.randrange(0, 4))
    properties = {}
    for name in names:
        prop = {"type": rng.choice(["string", "integer", "number", "boolean", "array", "object", ["string", "null"]])}
        if rng.random() < 0.7:
            prop["description"] = text(rng)
        if rng.random() < 0.3:
            prop["enum"] = [rng.choice(WORDS) for _ in range(rng.randrange(1, 3))]
        if prop["type"] == "array":
            prop["items"] = {"type": "string"}
        if rng.random() < 0.2:
            prop["default"] = value(rng, 2)
        properties[name] = prop
    function = {"name": rng.choice(["get_weather", "search", "run"]), "description": text(rng),
                "parameters": {"type": "object", "properties": properties}}
    if names and rng.random() < 0.7:
        function["parameters"]["required"] = names[: rng.randrange(1, len(names) + 1)]
    if rng.random() < 0.2:
        function["return"] = {"type": "string", "description": text(rng)}
    if rng.random() < 0.1:
        function["strict"] = True
    return {"type": "function", "function": function} if rng.random() < 0.9 else function


def conversation(rng):
    """A request: mostly well formed, now and then not."""
    messages = []
    content = lambda: ([{"type": "text", "text": text(rng)} for _ in range(rng.randrange(1, 3))] if rng.random() < 0.07 else text(rng))
    if rng.random() < 0.45:
        messages.append({"role": rng.choice(["system"] * 5 + ["developer"]), "content": content()})
    tools = [tool(rng) for _ in range(rng.randrange(1, 4))] if rng.random() < 0.35 else None
    for _ in range(rng.randrange(1, 5)):
        messages.append({"role": "user", "content": content()})
        while rng.random() < (0.5 if tools else 0.1):
            calls = []
            for _ in range(rng.randrange(1, 3)):
                arguments = {rng.choice(["city", "unit", "q"]): value(rng) for _ in range(rng.randrange(0, 3))}
                if rng.random() < 0.3:
                    arguments = json.dumps(arguments)
                function = {"name": rng.choice(["get_weather", "search"]), "arguments": arguments}
                call = {"type": "function", "function": function} if rng.random() < 0.85 else dict(function)
                if rng.random() < 0.6:
                    call["id"] = "".join(rng.choice("abcXYZ019") for _ in range(9))
                calls.append(call)
            message = {"role": "assistant", "tool_calls": calls}
            if rng.random() < 0.7:
                message["content"] = rng.choice([None, "", text(rng)])
            if rng.random() < 0.3:
                message["reasoning_content"] = text(rng)
            messages.append(message)
            for call in calls:
                result = {"role": "tool", "content": text(rng) if rng.random() < 0.8 else json.dumps(value(rng))}
                if rng.random() < 0.5:
                    result["name"] = call.get("function", call)["name"]
                if "id" in call:
                    result["tool_call_id"] = call["id"]
                messages.append(result)
            if len(messages) > 14:
                break
        if rng.random() < 0.85:
            answer = {"role": "assistant", "content": content()}
            if rng.random() < 0.3:
                answer[rng.choice(["reasoning_content", "reasoning_content", "thinking", "reasoning"])] = rng.choice([None, text(rng), text(rng)])
            if rng.random() < 0.2:
                answer["content"] = "<think>\n" + text(rng) + "\n</think>\n\n" + text(rng)
            messages.append(answer)
    if rng.random() < 0.05:
        rng.shuffle(messages)
    if rng.random() < 0.03:
        messages.insert(rng.randrange(len(messages) + 1), {"role": rng.choice(["system", "ipython", "critic"]), "content": text(rng)})
    variables = {}
    for name, choices in {"enable_thinking": [True, False], "thinking": [True, False], "date_string": ["26 Jul 2024"], "tools_in_user_message": [True, False],
                          "reasoning_effort": ["low", "high"], "builtin_tools": [["brave_search"], ["code_interpreter", "x"]], "preserve_thinking": [True],
                          "custom_tools": [[tool(rng)]], "model_identity": [text(rng)]}.items():
        if rng.random() < 0.15:
            variables[name] = rng.choice(choices)
    documents = [{"title": text(rng), "text": text(rng)} for _ in range(2)] if rng.random() < 0.1 else None
    return {"messages": messages, "tools": tools, "documents": documents, "variables": variables, "prompt": rng.random() < 0.5}


def expected(template, request):
    """What transformers prints, with the spans of generation blocks; or its error."""
    special = {name: token if isinstance(token, str) else token["content"] for name, token in CONFIG.items() if token is not None}
    try:
        messages = chat_template_utils._normalize_chat_messages(copy.deepcopy(request["messages"]))
        texts, spans = chat_template_utils.render_jinja_template(
            conversations=[messages], tools=copy.deepcopy(request["tools"]), documents=copy.deepcopy(request["documents"]),
            chat_template=template, add_generation_prompt=request["prompt"], return_assistant_tokens_mask=True,
            **{**special, **copy.deepcopy(request["variables"])})
        merged = []
        for begin, end in spans[0]:
            if begin == end:
                continue
            if merged and merged[-1][1] == begin:
                merged[-1][1] = end
            else:
                merged.append([begin, end])
        return {"text": texts[0], "generated": merged}
    except Exception as error:  # whatever the sandbox lets through
        return {"error": f"{type(error).__name__}: {error}"[:200]}


def ours(program, requests):
    lines = []
    for template, request in requests:
        line = {"template": template, "config": json.dumps(CONFIG), "messages": json.dumps(request["messages"]), "prompt": request["prompt"], "now": NOW}
        for name in ("tools", "documents", "variables"):
            if request[name] is not None:
                line[name] = json.dumps(request[name])
        lines.append(json.dumps(line))
    done = subprocess.run([program], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{program} failed with {done.returncode}: {done.stderr[-500:]}")
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def installed_templates():
    for package in ("trl",):
        spec = importlib.util.find_spec(package)
        if spec is not None:
            yield from sorted(glob.glob(os.path.join(os.path.dirname(spec.origin), "chat_templates", "*.jinja")))


def check(program, args):
    files = sorted(glob.glob(os.path.join(GOLDEN, "*.jinja"))) + list(installed_templates())
    for folder in args.folder:
        files += sorted(glob.glob(os.path.join(folder, "*.jinja")))
    bad = total = 0
    for file in files:
        if args.only and not re.search(args.only, file):
            continue
        template = open(file, encoding="utf-8", newline="").read()
        rng = random.Random(args.seed)
        requests = [conversation(rng) for _ in range(args.count)]
        answers = ours(program, [(template, request) for request in requests])
        wrong, errors, refused = [], 0, 0
        for request, answer in zip(requests, answers):
            right = expected(template, request)
            errors += "error" in right
            if "error" in right and "error" in answer:
                continue
            if "error" in answer and "not supported" in answer["error"]:
                refused += 1
            if answer != right:
                wrong.append((request, right, answer))
        total += len(requests)
        bad += len(wrong)
        print(f"{os.path.basename(file):44} {len(requests) - len(wrong)} of {len(requests)} equal, of them {errors} errors in both"
              + (f"; {refused} not supported" if refused else ""))
        for request, right, answer in wrong[: args.show]:
            print("  request ", json.dumps(request, ensure_ascii=False)[:1500])
            if "error" in right or "error" in answer:
                print("  theirs  ", str(right)[:300], "\n  ours    ", str(answer)[:300])
                continue
            a, b = right["text"], answer["text"]
            at = next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), min(len(a), len(b)))
            print("  theirs  ", repr(a[max(0, at - 60) : at + 60]), "\n  ours    ", repr(b[max(0, at - 60) : at + 60]))
            if a == b:
                print("  spans   ", right["generated"], answer["generated"])
    pieces = json.load(open(os.path.join(GOLDEN, "language.json"), encoding="utf-8"))["pieces"]
    requests = [(piece, language_request()) for piece in pieces]
    for (piece, request), answer in zip(requests, ours(program, requests)):
        right = expected(piece, request)
        total += 1
        if answer != right and not ("error" in answer and "error" in right):
            bad += 1
            print("  piece   ", repr(piece), "\n  theirs  ", right, "\n  ours    ", answer)
    print(f"{total - bad} of {total} equal")
    return bad == 0


def language_request():
    return {"messages": [{"role": "user", "content": "Hi 'x' \"y\"\n"}, {"role": "assistant", "content": "ß Ünï <b>"}], "tools": None, "documents": None,
            "variables": {"n": 3, "f": 2.5, "s": "  a,b ,c  ", "l": [3, 1, 2, 1], "d": {"b": 1, "A": [1.5, None, True], "c": {"x": "y"}}, "e": [], "z": None,
                          "rows": [{"k": "b", "v": 2}, {"k": "A", "v": 1}, {"k": "b", "v": 3}]}, "prompt": True}


def write():
    golden = []
    for file in sorted(glob.glob(os.path.join(GOLDEN, "*.jinja"))):
        template = open(file, encoding="utf-8", newline="").read()
        rng = random.Random(11)
        kept = errors = 0
        while kept < 24:
            request = conversation(rng)
            right = expected(template, request)
            if len(json.dumps(request)) > 2500:
                continue
            if "error" in right:
                errors += 1
                if errors > 3:
                    continue
                right = {"error": True}
            kept += 1
            line = {"template": os.path.basename(file), "prompt": request["prompt"], "messages": json.dumps(request["messages"], ensure_ascii=False)}
            for name in ("tools", "documents", "variables"):
                if request[name]:
                    line[name] = json.dumps(request[name], ensure_ascii=False)
            golden.append({**line, **right})
    with open(os.path.join(GOLDEN, "conversations.jsonl"), "w", encoding="utf-8") as out:
        for line in golden:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    pieces = json.load(open(os.path.join(GOLDEN, "language.json"), encoding="utf-8"))["pieces"]
    results = []
    for piece in pieces:
        right = expected(piece, language_request())
        results.append(None if "error" in right else right["text"])
    request = language_request()
    with open(os.path.join(GOLDEN, "language.json"), "w", encoding="utf-8") as out:
        json.dump({"messages": json.dumps(request["messages"]), "variables": json.dumps(request["variables"]), "config": json.dumps(CONFIG),
                   "pieces": pieces, "results": results}, out, ensure_ascii=False, indent=0)
    print(f"{len(golden)} conversations, {len(pieces)} pieces, {sum(r is None for r in results)} of them errors")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["check", "write"])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", action="append", default=[])
    parser.add_argument("--only", help="a regular expression for the files' paths")
    parser.add_argument("--show", type=int, default=2)
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "tests", "template_probe"))
    args = parser.parse_args()
    if args.what == "write":
        return write()
    sys.exit(0 if check(args.program, args) else 1)


main()
