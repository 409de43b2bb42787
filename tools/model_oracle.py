#!/usr/bin/env python3
"""Goldens for the model floor from an independent implementation: transformers' models and torch's optimizers.

    python tools/model_oracle.py make [VARIANT…]  # writes tests/golden/model/VARIANT; without names, all of them and
                                                  # tests/golden/op/optimizer.safetensors
    python tools/model_oracle.py parity [--test build/release/model_test] [--folder FOLDER]
                                                  # every variant with 64 sequences, there and back again (see below)

Needs torch, transformers, safetensors and numpy; the project itself needs none of them to build or run. Made with torch
2.15 and transformers 5.23 and 5.24.

A variant's folder is what `save_pretrained` writes, and beside it golden.safetensors: input_ids and position_ids [B, T],
logits [B, T, V], the mean next-token cross-entropy `loss`, `grad.NAME` for every parameter under its name on disk, and
`greedy` [P + 64]: a prompt of P tokens (`prompt_length`) and what greedy decoding makes of it.

Traps this script steps around:
- Without an explicit all-ones attention_mask, transformers takes any jump in position_ids for a new packed sequence.
- transformers' V2 router fills dropped groups with 0.0 where this project uses -infinity. Softmax scores are positive and
  the kept groups hold at least top-k experts here, so that it cannot matter. (Its V3 router fills -infinity too; older
  versions filled 0.0, which differs where kept biased scores are negative.)
- Near-ties of expert scores could be decided by the last bit: seeds are tried until every choice is clear by MARGIN.
- transformers ignores config's rms_norm_eps in the norms of the two latents: they always have 1e-6.
- transformers' MtpModel is given the hidden states before the final norm, as the V3 report's h^0. Its own drafting loop
  (generate(use_mtp=True)) gives it those after the final norm.

`parity` makes variants with 64 random sequences each, hands them to tests/model/parity_test.cc by the environment variable
SPUTNIK_PARITY, and loads what that test wrote beside them (VARIANT/written) with transformers again: no missing or
unexpected key, and the same logits.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config,
                          DeepseekV3ForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM)
from transformers.modeling_layers import MtpModel

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
MARGIN = 1e-3  # between the last chosen and the first refused score, experts and groups
PROMPT, ANSWER = 6, 64  # tokens of greedy decoding
FAMILIES = {
    "v2": (DeepseekV2Config, DeepseekV2ForCausalLM), "v3": (DeepseekV3Config, DeepseekV3ForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "qwen3_moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM),
}

SHARED = dict(
    vocab_size=40, hidden_size=16, intermediate_size=24, moe_intermediate_size=8, num_hidden_layers=2,
    num_attention_heads=2, num_key_value_heads=2, n_shared_experts=1, n_routed_experts=8, num_experts_per_tok=3,
    first_k_dense_replace=1, routed_scaling_factor=2.5, kv_lora_rank=12, q_lora_rank=10, qk_nope_head_dim=8,
    qk_rope_head_dim=4, v_head_dim=6, max_position_embeddings=256, rms_norm_eps=1e-6, bos_token_id=0, eos_token_id=1,
)
V3 = dict(SHARED, n_group=4, topk_group=2, norm_topk_prob=True, num_nextn_predict_layers=1)
V2 = dict(SHARED, n_group=1, topk_group=1, norm_topk_prob=False, n_shared_experts=2, qk_rope_head_dim=8)
DENSE = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-6, bos_token_id=0, eos_token_id=1)
QWEN_MOE = dict(DENSE, head_dim=12, num_hidden_layers=3, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=8)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=48)


def yarn(mscale, factor=40.0, original=32):
    return dict(rope_type="yarn", rope_theta=10000.0, factor=factor, beta_fast=32, beta_slow=1, mscale=mscale,
                mscale_all_dim=mscale, original_max_position_embeddings=original)


# name: (family, config, dtype on disk, shard size or None, batch, tokens, random positions)
VARIANTS = {
    "v3_groups": ("v3", V3, "float32", None, 2, 19, True),
    "v3_yarn_sharded": ("v3", dict(V3, q_lora_rank=None, n_group=1, topk_group=1, qk_rope_head_dim=8,
                                   rope_parameters=yarn(1.0)), "float32", "16KB", 2, 19, True),
    "v3_bf16": ("v3", dict(V3, rms_norm_eps=1e-4, routed_scaling_factor=2.446, rope_theta=50000.0), "bfloat16", None, 1,
                35, False),
    "v3_tied": ("v3", dict(V3, q_lora_rank=None, tie_word_embeddings=True, n_shared_experts=2), "float32", None, 1, 21,
                False),
    "v2_greedy": ("v2", dict(V2, q_lora_rank=None, topk_method="greedy", routed_scaling_factor=1.0,
                             rope_parameters=yarn(0.707)), "float32", None, 2, 17, False),
    "v2_groups_bf16_sharded": ("v2", dict(V2, n_group=4, topk_group=2, topk_method="group_limited_greedy",
                                          routed_scaling_factor=4.0), "bfloat16", "8KB", 2, 18, True),
    "v3_mtp": ("v3", dict(V3), "float32", None, 2, 14, False),
    "v3_halves": ("v3", dict(V3, rope_interleave=False, n_group=1, topk_group=1, n_routed_experts=4), "float32", None, 1,
                  16, True),
    # Sliding windows that are off: by the switch, or as no layer is beyond max_window_layers.
    "qwen2_tied": ("qwen2", dict(DENSE, tie_word_embeddings=True, sliding_window=8, use_sliding_window=False,
                                 rope_theta=1000000.0), "float32", None, 2, 17, True),
    "qwen2_yarn_bf16_sharded": ("qwen2", dict(
        DENSE, num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-5, use_sliding_window=True,
        max_window_layers=2, rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                                                  original_max_position_embeddings=32)), "bfloat16", "4KB", 2, 18, True),
    "qwen3_tied": ("qwen3", dict(DENSE, head_dim=10, tie_word_embeddings=True), "float32", None, 2, 18, True),
    "qwen3_moe": ("qwen3_moe", dict(QWEN_MOE, norm_topk_prob=True, mlp_only_layers=[0]), "float32", None, 2, 15, True),
    "llama_llama3": ("llama", dict(DENSE, num_key_value_heads=1, head_dim=12, tie_word_embeddings=True,
                                   eos_token_id=[1, 5, 7], rope_parameters=LLAMA3), "float32", None, 2, 18, True),
    "llama_biases": ("llama", dict(DENSE, num_key_value_heads=4, attention_bias=True, mlp_bias=True,
                                   rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0)), "float32",
                     None, 2, 16, True),
}
# Made by `parity` alone.
MORE_VARIANTS = {
    "v2_lite": ("v2", dict(V2, q_lora_rank=None, topk_method="greedy", routed_scaling_factor=1.0), "float32", None, 2, 17,
                False),
    "v3_no_groups": ("v3", dict(V3, n_group=1, topk_group=1, rope_parameters=yarn(1.0)), "float32", None, 2, 17, False),
    "qwen2_untied": ("qwen2", dict(DENSE, num_attention_heads=2, num_key_value_heads=2), "float32", "8KB", 2, 17, False),
    "qwen3_bias": ("qwen3", dict(DENSE, head_dim=16, attention_bias=True), "float32", None, 2, 17, True),
    "qwen3_yarn": ("qwen3", dict(DENSE, head_dim=16, rope_parameters=dict(
        rope_type="yarn", rope_theta=1000000.0, factor=4.0, attention_factor=1.3,
        original_max_position_embeddings=32)), "float32", None, 2, 17, True),
    "qwen3_moe_sparse": ("qwen3_moe", dict(QWEN_MOE, norm_topk_prob=False, decoder_sparse_step=2,
                                           tie_word_embeddings=True), "float32", None, 2, 17, True),
    "llama_plain": ("llama", dict(DENSE), "float32", None, 2, 17, False),
    "llama_bf16": ("llama", dict(DENSE, rope_parameters=LLAMA3), "bfloat16", None, 2, 17, True),
}


def randomise(model, generator, std=0.25):
    """Weights large enough that logits vary and every path matters; gains around 1; router biases not 0."""
    for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
        if name.endswith("inv_freq"):
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        with torch.no_grad():
            if "norm" in name:
                tensor.copy_(1 + 0.2 * noise)
            elif "e_score_correction_bias" in name:
                tensor.copy_(0.15 * noise)
            elif "gate.weight" in name and "proj" not in name:
                tensor.copy_(0.4 * noise)
            else:
                tensor.copy_(std * noise)


def clear_margin(model, config, run):
    """The smallest gap by which any token's groups and experts were chosen."""
    smallest = [math.inf]

    def gap(values, k):
        if k < values.shape[-1]:
            ordered = values.sort(dim=-1, descending=True).values
            smallest[0] = min(smallest[0], (ordered[:, k - 1] - ordered[:, k]).min().item())

    def hook(gate, args, out):
        logits = out[0].double()
        if isinstance(config, DeepseekV3Config):
            choice = logits.sigmoid() + gate.e_score_correction_bias.double()
        else:
            choice = logits.softmax(-1)
        groups = getattr(config, "n_group", None) or 1
        if groups > 1:
            split = choice.view(len(choice), groups, -1)
            score = split.topk(2, -1).values.sum(-1) if isinstance(config, DeepseekV3Config) else split.max(-1).values
            gap(score, config.topk_group)
            kept = score.topk(config.topk_group, -1).indices
            mask = torch.zeros_like(score, dtype=torch.bool).scatter_(1, kept, True)
            choice = split.masked_fill(~mask[..., None], -math.inf).view_as(choice)
        gap(choice, config.num_experts_per_tok)

    handles = [m.register_forward_hook(hook) for m in model.modules() if type(m).__name__.lower().endswith("topkrouter")]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return smallest[0]


def disk_gradients(model, prefix=""):
    """Gradients under the names on disk: transformers fuses the experts in memory."""
    out = {}
    for name, parameter in model.named_parameters():
        grad = parameter.grad
        if grad is None:
            grad = torch.zeros_like(parameter)
        if name.endswith("experts.gate_up_proj"):
            base = prefix + name.removesuffix("gate_up_proj")
            for expert, both in enumerate(grad):
                gate, up = both.chunk(2, dim=0)
                out[f"{base}{expert}.gate_proj.weight"] = gate
                out[f"{base}{expert}.up_proj.weight"] = up
        elif name.endswith("experts.down_proj"):
            base = prefix + name.removesuffix("down_proj")
            for expert, down in enumerate(grad):
                out[f"{base}{expert}.down_proj.weight"] = down
        else:
            out[prefix + name] = grad
    return {name: grad.detach().float().contiguous().clone() for name, grad in out.items()}


def disk_name_of_mtp(name, layers):
    """`layers.K.mtp_block.X`, `layers.K.enorm` … of MtpModel as published checkpoints call them."""
    _, depth, rest = name.split(".", 2)
    rest = rest.removeprefix("mtp_block.") if rest.startswith("mtp_block.") else rest.replace("post_norm", "shared_head.norm")
    return f"model.layers.{layers + int(depth)}.{rest}"


def split_experts(state):
    out = {}
    for name, tensor in state.items():
        if name.endswith("experts.gate_up_proj"):
            for expert, both in enumerate(tensor):
                gate, up = both.chunk(2, dim=0)
                out[name.replace("gate_up_proj", f"{expert}.gate_proj.weight")] = gate
                out[name.replace("gate_up_proj", f"{expert}.up_proj.weight")] = up
        elif name.endswith("experts.down_proj"):
            for expert, down in enumerate(tensor):
                out[name.replace("down_proj", f"{expert}.down_proj.weight")] = down
        else:
            out[name] = tensor
    return {name: tensor.detach().contiguous().clone() for name, tensor in out.items()}


class Hidden:
    """Catches the input of the final norm."""

    def __init__(self, model):
        self.value = None
        self.handle = model.model.norm.register_forward_pre_hook(self.catch)

    def catch(self, module, args):
        self.value = args[0]


def mtp_logits(model, mtp, ids, positions, hidden):
    """Row i of the result predicts token i + 2 of each sequence; the last row has no next token and is left out."""
    out = mtp.forward_layer(0, hidden[:, :-1], positions[:, 1:], None, input_ids=ids[:, 1:])
    return mtp.shared_head(out)


def greedy_answer(model, prompt):
    """The prompt with ANSWER tokens decoded without a cache, and the smallest gap between best and second logit, as a
    share of the largest."""
    ids, smallest = prompt.clone(), math.inf
    with torch.no_grad():
        for _ in range(ANSWER):
            last = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, -1]
            best = last.topk(2).values
            smallest = min(smallest, ((best[0] - best[1]) / last.abs().max()).item())
            ids = torch.cat([ids, last.argmax().view(1, 1)], dim=1)
    return ids, smallest


def make_variant(root, name, family, settings, dtype, shard, batch, tokens, jump, least_margin=MARGIN):
    folder = root / name
    if folder.exists():
        shutil.rmtree(folder)
    config_class, model_class = FAMILIES[family]
    config = config_class(**settings)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    for seed in range(1, 400):
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        model = model_class(config).eval()
        randomise(model, generator)
        mtp = None
        if name.endswith("mtp"):
            mtp = MtpModel(model, 1).eval()
            randomise(mtp.layers, generator)
        if dtype == "bfloat16":  # rounded once, then computed in float32 as this project does
            for key, tensor in list(model.named_parameters()) + list(model.named_buffers()):
                if not key.endswith("inv_freq"):
                    tensor.data = tensor.data.bfloat16().float()
        ids = torch.randint(0, config.vocab_size, (batch, tokens), generator=generator)
        positions = torch.arange(tokens).expand(batch, -1).contiguous()
        if jump:
            positions = torch.stack([torch.randperm(200, generator=generator)[:tokens].sort().values for _ in range(batch)])
        mask = torch.ones_like(ids)
        greedy, greedy_margin = greedy_answer(model, ids[:1, :PROMPT])
        if greedy_margin < 1e-4:
            continue
        hidden = Hidden(model)

        def run():
            model(input_ids=greedy, attention_mask=torch.ones_like(greedy), use_cache=False)
            out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
            second = mtp_logits(model, mtp, ids, positions, hidden.value) if mtp is not None else None
            return out.logits, second

        modules = torch.nn.ModuleList([model] + ([mtp.layers] if mtp is not None else []))
        margin = clear_margin(modules, config, run)
        if margin > least_margin:
            break
    else:
        raise SystemExit(f"{name}: no seed gives clear choices")

    logits, second = run()
    golden = {"input_ids": ids.int(), "position_ids": positions.int(), "logits": logits.detach().contiguous(),
              "greedy": greedy[0].int(), "prompt_length": torch.tensor([PROMPT], dtype=torch.int32)}
    loss = F.cross_entropy(logits[:, :-1].reshape(-1, config.vocab_size), ids[:, 1:].reshape(-1))
    golden["loss"] = loss.detach().reshape(1)
    if second is not None:
        mtp_loss = F.cross_entropy(second[:, :-1].reshape(-1, config.vocab_size), ids[:, 2:].reshape(-1))
        golden["mtp_logits"] = second.detach().contiguous()
        golden["mtp_loss"] = mtp_loss.detach().reshape(1)
        loss = loss + 0.3 * mtp_loss
    loss.backward()
    gradients = disk_gradients(model)
    if mtp is not None:
        for key, value in disk_gradients(mtp.layers, "layers.").items():
            gradients[disk_name_of_mtp(key, config.num_hidden_layers)] = value
    golden.update({f"grad.{key}": value for key, value in gradients.items()})

    folder.mkdir(parents=True)
    if dtype == "bfloat16":
        model.to(torch.bfloat16)
    model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    if mtp is not None:
        # transformers saves no MTP layer: it is added to the file under the published names, with the copies of the
        # embedding and the head that published files have.
        state = load_file(folder / "model.safetensors")
        layer = f"model.layers.{config.num_hidden_layers}."
        extra = {f"layers.{key}": value for key, value in split_experts(dict(mtp.layers.state_dict())).items()}
        state.update({disk_name_of_mtp(key, config.num_hidden_layers): value for key, value in extra.items()})
        state[layer + "embed_tokens.weight"] = state["model.embed_tokens.weight"].clone()
        state[layer + "shared_head.head.weight"] = state["lm_head.weight"].clone()
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    save_file(golden, folder / "golden.safetensors")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: seed {seed}, margin {margin:.4f}, loss {golden['loss'].item():.4f}, "
          f"max |logit| {logits.abs().max():.3f}, {len(gradients)} gradients, {size / 1024:.0f} KiB")
    return size


def newton_schulz_f32(grad, coefficients, steps, eps):
    """torch's iteration in float32 instead of bfloat16; eps is added to the norm as this project (and Keller Jordan) do."""
    a, b, c = coefficients
    x = grad.float()
    if grad.size(0) > grad.size(1):
        x = x.T
    x = x / (x.norm() + eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if grad.size(0) > grad.size(1) else x


def make_optimizers():
    """Ten steps of torch.optim.AdamW and torch.optim.Muon(adjust_lr_fn="match_rms_adamw", which is 0.2 sqrt(max(rows,
    columns))). torch runs Muon's Newton-Schulz in bfloat16, so the golden has it replaced by the float32 iteration above;
    everything else is torch's. The unchanged one must lie within bfloat16's reach of it."""
    import torch.optim._muon as muon_module

    generator = torch.Generator().manual_seed(5)
    shapes = {"wide": (6, 20), "tall": (17, 5), "square": (9, 9)}
    steps = 10
    golden = {}
    start = {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}
    grads = {name: torch.randn((steps, *shape), generator=generator) * 0.1 for name, shape in shapes.items()}

    def train(make):
        parameters = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
        optimizer = make(list(parameters.values()))
        for step in range(steps):
            for name, parameter in parameters.items():
                parameter.grad = grads[name][step].clone()
            optimizer.step()
        return {name: parameter.detach().clone() for name, parameter in parameters.items()}

    adamw = train(lambda p: torch.optim.AdamW(p, lr=0.02, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=False))
    make_muon = lambda p: torch.optim.Muon(p, lr=0.02, momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    bf16 = train(make_muon)
    original = muon_module._zeropower_via_newtonschulz
    muon_module._zeropower_via_newtonschulz = newton_schulz_f32
    muon = train(make_muon)
    muon_module._zeropower_via_newtonschulz = original
    for name in shapes:
        moved = (muon[name] - start[name]).norm()
        off = ((muon[name] - bf16[name]).norm() / moved).item()
        print(f"muon {name}: torch's bfloat16 iteration is off by {off:.4f} of the way moved")
        assert off < 0.03, off
        golden[f"{name}.start"] = start[name]
        golden[f"{name}.gradients"] = grads[name]
        golden[f"{name}.adamw"] = adamw[name]
        golden[f"{name}.muon"] = muon[name]
    folder = GOLDEN / "op"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in golden.items()}, folder / "optimizer.safetensors")


def check(root):
    """Folders that parity_test.cc wrote, against transformers' own results."""
    failures = 0
    for path in sorted(p for p in root.iterdir() if p.is_dir()):
        config = json.loads((path / "written" / "config.json").read_text())
        model, info = AutoModelForCausalLM.from_pretrained(path / "written", dtype=torch.float32,
                                                           output_loading_info=True, attn_implementation="eager")
        layers = config["num_hidden_layers"]
        unexpected = [key for key in info["unexpected_keys"] if not key.startswith(f"model.layers.{layers}.")]
        missing = list(info["missing_keys"])
        golden = load_file(path / "golden.safetensors")
        ids, positions = golden["input_ids"].long(), golden["position_ids"].long()
        with torch.no_grad():
            logits = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=positions,
                                  use_cache=False).logits
        off = ((logits - golden["logits"]).abs().max() / logits.abs().max()).item()
        same = bool((logits.argmax(-1) == golden["logits"].argmax(-1)).all())
        good = not missing and not unexpected and not info["mismatched_keys"] and off <= 2e-5 and same
        failures += not good
        print(f"{path.name}: {type(model).__name__} {'ok' if good else 'FAILED'}, logits off by {off:.2e}, "
              f"top-1 equal: {same}, missing {missing}, unexpected {unexpected}")
    return failures


def parity(test, root):
    for name, (family, settings, dtype, shard, _, _, jump) in {**VARIANTS, **MORE_VARIANTS}.items():
        make_variant(root, name, family, settings, dtype, shard, 64, 24, jump, least_margin=1e-5)
    failed = subprocess.run([test, "--gtest_filter=Parity/*", "--gtest_brief=1"],
                            env=dict(os.environ, SPUTNIK_PARITY=str(root))).returncode
    return check(root) or failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["make", "parity"])
    parser.add_argument("variants", nargs="*")
    parser.add_argument("--test", default=ROOT / "build/release/model_test", help="the program that has parity_test.cc")
    parser.add_argument("--folder", help="where parity leaves its folders; a temporary one that is deleted, if not given")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    if arguments.command == "parity":
        if arguments.folder is not None:
            pathlib.Path(arguments.folder).mkdir(parents=True, exist_ok=True)
            sys.exit(min(parity(arguments.test, pathlib.Path(arguments.folder).resolve()), 1))
        with tempfile.TemporaryDirectory() as root:
            sys.exit(min(parity(arguments.test, pathlib.Path(root)), 1))
    chosen = arguments.variants or list(VARIANTS)
    total = sum(make_variant(GOLDEN / "model", name, *VARIANTS[name]) for name in chosen)
    if not arguments.variants:
        make_optimizers()
    print(f"model goldens: {total / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
