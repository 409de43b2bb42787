"""Training speed of PyTorch with transformers' DeepseekV3ForCausalLM, on the work of bench/train_bench.cc: float32, random
ids, batch 8 x 256, fused AdamW. Prints one JSON line.

    python tools/peer_training.py SHAPE [THREADS [STEPS]]      SHAPE: nano, micro, mini

Needs torch and transformers (a virtual environment; nothing of this is needed to build or run the project).
"""
import json
import os
import sys
import time

os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
import torch
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

SHAPES = {
    "nano": (4, 128, 384, 64, 4, 16, 2, 32, 32, 16, 32, 512),
    "micro": (6, 256, 768, 96, 4, 16, 3, 64, 64, 32, 64, 1024),
    "mini": (8, 384, 1152, 128, 6, 32, 4, 96, 64, 32, 64, 4096),
}


def main() -> None:
    shape = sys.argv[1] if len(sys.argv) > 1 else "nano"
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else os.cpu_count()
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    layers, d, dense, expert, heads, experts, k, kv, nope, rope, v, vocab = SHAPES[shape]
    config = DeepseekV3Config(
        vocab_size=vocab, hidden_size=d, intermediate_size=dense, moe_intermediate_size=expert, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, n_shared_experts=1, n_routed_experts=experts,
        num_experts_per_tok=k, n_group=1, topk_group=1, first_k_dense_replace=1, kv_lora_rank=kv, q_lora_rank=None,
        qk_nope_head_dim=nope, qk_rope_head_dim=rope, v_head_dim=v, max_position_embeddings=256, rope_scaling=None,
        attn_implementation="sdpa")
    model = DeepseekV3ForCausalLM(config).float().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
    ids = torch.randint(0, vocab, (8, 256))
    labels = torch.randint(0, vocab, (8, 256))
    mask = torch.ones_like(ids)
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - start)
    times = times[2:]
    tokens = ids.numel()
    print(json.dumps({"peer": f"torch {torch.__version__} eager", "shape": shape, "threads": threads, "optimizer": "adamw",
                      "tokens_per_second": round(tokens * len(times) / sum(times)),
                      "best_tokens_per_second": round(tokens / min(times))}))


if __name__ == "__main__":
    main()
