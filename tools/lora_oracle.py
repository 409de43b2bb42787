#!/usr/bin/env python3
"""Goldens for adapters from an independent implementation: PEFT on transformers' models.

    python tools/lora_oracle.py make [VARIANT…]   # writes tests/golden/lora/VARIANT; without names, all of them
    python tools/lora_oracle.py parity [--test build/release/model_test]
                                                  # every variant there and back again (see below)

Needs torch, transformers, peft and safetensors; the project itself needs none of them to build or run. Made with torch
2.15, transformers 5.24 and peft 0.21.2.

A variant's folder is what PEFT's `save_pretrained` writes for a model of tests/golden/model, and beside it
golden.safetensors: input_ids and position_ids [B, T], logits [B, T, V], the mean next-token cross-entropy `loss`, and
`grad.MODULE.lora_A.weight` and `…lora_B.weight` for every adapted module.

transformers 5 holds routed experts as one tensor, on which PEFT cannot put an adapter for each. So the experts' module is
replaced by one of the same arithmetic made of linear layers, whose names are those of files (experts.0.gate_proj), as they
were in transformers 4.

`parity` makes the variants, hands them to tests/model/adapter_file_test.cc by the environment variable
SPUTNIK_LORA_PARITY, and loads what that test wrote beside them (VARIANT/written) with PEFT again: the same logits.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from model_oracle import GOLDEN, MARGIN, ROOT, clear_margin

ATTENTION = ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
FFN = ["gate_proj", "up_proj", "down_proj"]
# name: (model in tests/golden/model, settings of LoraConfig)
VARIANTS = {
    "v3_everything": ("v3_groups", dict(r=3, lora_alpha=7, target_modules=ATTENTION + FFN)),
    "llama_everything": ("llama_llama3", dict(r=4, lora_alpha=8, use_rslora=True,
                                              target_modules=["q_proj", "k_proj", "v_proj", "o_proj"] + FFN)),
    "qwen3_moe_some": ("qwen3_moe", dict(r=2, lora_alpha=5, target_modules=["v_proj", "q_proj", "down_proj"])),
}


class Expert(torch.nn.Module):
    def __init__(self, gate_up, down):
        super().__init__()
        gate, up = gate_up.chunk(2, dim=0)
        for name, weight in (("gate_proj", gate), ("up_proj", up), ("down_proj", down)):
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            linear.weight = torch.nn.Parameter(weight.detach().clone())
            setattr(self, name, linear)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Experts(torch.nn.ModuleList):
    def __init__(self, fused):
        super().__init__(Expert(a, b) for a, b in zip(fused.gate_up_proj, fused.down_proj))

    def forward(self, hidden, chosen, weights):
        out = torch.zeros_like(hidden)
        for number, expert in enumerate(self):
            token, place = (chosen == number).nonzero(as_tuple=True)
            if len(token):
                out = out.index_add(0, token, expert(hidden[token]) * weights[token, place, None].to(hidden.dtype))
        return out


def load_base(name):
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "model" / name, attn_implementation="eager",
                                                 dtype=torch.float32).eval()
    for module in list(model.modules()):
        if hasattr(module, "experts") and hasattr(module.experts, "gate_up_proj"):
            fused = module.experts
            module.experts = Experts(fused)
    model.config.model_type = "plain"  # or PEFT would look for the experts' one tensor, and leave all of FFN out
    return model


def make_variant(root, name):
    base, settings = VARIANTS[name]
    folder = root / name
    if folder.exists():
        shutil.rmtree(folder)
    for seed in range(1, 400):
        generator = torch.Generator().manual_seed(seed)
        plain = load_base(base)
        config = plain.config
        model = get_peft_model(plain, LoraConfig(task_type="CAUSAL_LM", bias="none", **settings)).eval()
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                with torch.no_grad():
                    parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        ids = torch.randint(0, config.vocab_size, (2, 13), generator=generator)
        positions = torch.arange(13).expand(2, -1).contiguous()

        def run():
            return model(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=positions,
                         use_cache=False).logits

        if clear_margin(model, config, run) > MARGIN:
            break
    else:
        raise SystemExit(f"{name}: no seed gives clear choices")
    logits = run()
    loss = F.cross_entropy(logits[:, :-1].reshape(-1, config.vocab_size), ids[:, 1:].reshape(-1))
    loss.backward()
    golden = {"input_ids": ids.int(), "position_ids": positions.int(), "logits": logits.detach().contiguous(),
              "loss": loss.detach().reshape(1)}
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            short = key.removeprefix("base_model.model.").replace(".default", "")
            grad = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            golden[f"grad.{short}"] = grad.contiguous()
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    settings_file = folder / "adapter_config.json"
    settings = json.loads(settings_file.read_text())
    settings["base_model_name_or_path"] = base
    settings["target_modules"] = sorted(settings["target_modules"])
    settings_file.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    save_file(golden, folder / "golden.safetensors")
    print(f"{name}: seed {seed}, {sum(f.stat().st_size for f in folder.iterdir())} bytes")


def check_written(root, name):
    golden = load_file(root / name / "golden.safetensors")
    model = PeftModel.from_pretrained(load_base(VARIANTS[name][0]), root / name / "written").eval()
    ids = golden["input_ids"].long()
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=golden["position_ids"].long(),
                       use_cache=False).logits
    worst = ((logits - golden["logits"]).abs().max() / golden["logits"].abs().max()).item()
    assert worst < 2e-6, (name, worst)
    print(f"{name}: PEFT reads what was written; logits differ by {worst:.1e} of the largest")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["make", "parity"])
    parser.add_argument("variants", nargs="*")
    parser.add_argument("--test", default=str(ROOT / "build" / "release" / "model_test"))
    arguments = parser.parse_args()
    names = arguments.variants or list(VARIANTS)
    if arguments.command == "make":
        for name in names:
            make_variant(GOLDEN / "lora", name)
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        for name in names:
            make_variant(root, name)
        subprocess.run([arguments.test, "--gtest_filter=*LoraParity*"], check=True,
                       env=dict(os.environ, SPUTNIK_LORA_PARITY=str(root)))
        for name in names:
            check_written(root, name)


if __name__ == "__main__":
    main()
