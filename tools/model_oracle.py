#!/usr/bin/env python3
"""Goldens for the model floor from an independent implementation: transformers' DeepSeek models and torch's optimizers.

    python tools/model_oracle.py make             # writes tests/golden/model/VARIANT and tests/golden/op/optimizer.safetensors
    python tools/model_oracle.py check FOLDER     # loads folders that SaveModel wrote and compares logits (see below)

Needs torch, transformers, safetensors and numpy; the project itself needs none of them to build or run. Made with torch
2.15 and transformers 5.23.

A variant's folder is what `save_pretrained` writes, and beside it golden.safetensors: input_ids and position_ids [B, T],
logits [B, T, V], the mean next-token cross-entropy `loss`, and `grad.NAME` for every parameter under its name on disk.

Traps this script steps around:
- Without an explicit all-ones attention_mask, transformers takes any jump in position_ids for a new packed sequence.
- transformers' V2 router fills dropped groups with 0.0 where this project uses -infinity. Softmax scores are positive and
  the kept groups hold at least top-k experts here, so that it cannot matter. (Its V3 router fills -infinity too; older
  versions filled 0.0, which differs where kept biased scores are negative.)
- Near-ties of expert scores could be decided by the last bit: seeds are tried until every choice is clear by MARGIN.
- transformers ignores config's rms_norm_eps in the norms of the two latents: they always have 1e-6.
- transformers' MtpModel is given the hidden states before the final norm, as the V3 report's h^0. Its own drafting loop
  (generate(use_mtp=True)) gives it those after the final norm.

`check`: the test ExportForOtherTools (tests/model/checkpoint_test.cc) writes one model folder per configuration, each with
a golden.safetensors of this program's logits, into the folder that the environment variable SPUTNIK_EXPORT names.
"""

import argparse
import json
import math
import pathlib
import shutil
import sys

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM
from transformers.modeling_layers import MtpModel

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
MARGIN = 1e-3  # between the last chosen and the first refused score, experts and groups

SHARED = dict(
    vocab_size=40, hidden_size=16, intermediate_size=24, moe_intermediate_size=8, num_hidden_layers=2,
    num_attention_heads=2, num_key_value_heads=2, n_shared_experts=1, n_routed_experts=8, num_experts_per_tok=3,
    first_k_dense_replace=1, routed_scaling_factor=2.5, kv_lora_rank=12, q_lora_rank=10, qk_nope_head_dim=8,
    qk_rope_head_dim=4, v_head_dim=6, max_position_embeddings=256, rms_norm_eps=1e-6, bos_token_id=0, eos_token_id=1,
)
V3 = dict(SHARED, n_group=4, topk_group=2, norm_topk_prob=True, num_nextn_predict_layers=1)
V2 = dict(SHARED, n_group=1, topk_group=1, norm_topk_prob=False, n_shared_experts=2, qk_rope_head_dim=8)


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
        groups = config.n_group or 1
        if groups > 1:
            split = choice.view(len(choice), groups, -1)
            score = split.topk(2, -1).values.sum(-1) if isinstance(config, DeepseekV3Config) else split.max(-1).values
            gap(score, config.topk_group)
            kept = score.topk(config.topk_group, -1).indices
            mask = torch.zeros_like(score, dtype=torch.bool).scatter_(1, kept, True)
            choice = split.masked_fill(~mask[..., None], -math.inf).view_as(choice)
        gap(choice, config.num_experts_per_tok)

    handles = [m.register_forward_hook(hook) for m in model.modules() if type(m).__name__.endswith("TopkRouter")]
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


def make_variant(name, family, settings, dtype, shard, batch, tokens, jump):
    folder = GOLDEN / "model" / name
    if folder.exists():
        shutil.rmtree(folder)
    config_class, model_class = (DeepseekV3Config, DeepseekV3ForCausalLM) if family == "v3" else \
        (DeepseekV2Config, DeepseekV2ForCausalLM)
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
        hidden = Hidden(model)

        def run():
            out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
            second = mtp_logits(model, mtp, ids, positions, hidden.value) if mtp is not None else None
            return out.logits, second

        modules = torch.nn.ModuleList([model] + ([mtp.layers] if mtp is not None else []))
        margin = clear_margin(modules, config, run)
        if margin > MARGIN:
            break
    else:
        raise SystemExit(f"{name}: no seed gives clear choices")

    logits, second = run()
    golden = {"input_ids": ids.int(), "position_ids": positions.int(), "logits": logits.detach().contiguous()}
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


def check(folder):
    failures = 0
    for path in sorted(p for p in pathlib.Path(folder).iterdir() if p.is_dir()):
        config = json.loads((path / "config.json").read_text())
        model_class = DeepseekV2ForCausalLM if config["model_type"] == "deepseek_v2" else DeepseekV3ForCausalLM
        model, info = model_class.from_pretrained(path, dtype=torch.float32, output_loading_info=True,
                                                  attn_implementation="eager")
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
        print(f"{path.name}: {'ok' if good else 'FAILED'}, logits off by {off:.2e}, top-1 equal: {same}, "
              f"missing {missing}, unexpected {unexpected}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["make", "check"])
    parser.add_argument("folder", nargs="?")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    if arguments.command == "check":
        if arguments.folder is None:
            parser.error("check needs the folder that ExportForOtherTools wrote")
        sys.exit(min(check(arguments.folder), 1))
    total = sum(make_variant(name, *rest) for name, rest in VARIANTS.items())
    make_optimizers()
    print(f"model goldens: {total / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
