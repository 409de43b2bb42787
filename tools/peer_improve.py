"""Speed of TRL's GRPOTrainer on the work of bench/improve.toml: the same model folder, prompts of the same length, 32 prompts of 16
samples of at most 12 tokens, a coin for a reward, one update a round, float32. Prints one JSON line.

    python tools/peer_improve.py FOLDER [THREADS [STEPS]]      FOLDER: the checkpoint that bench/improve.toml left

Needs torch, transformers, datasets and trl (a virtual environment; nothing of this is needed to build or run the project).
"""
import json
import os
import random
import sys
import time

os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import torch
import transformers
import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

PROMPTS, GROUP, TOKENS = 32, 16, 12


class Clock(TrainerCallback):
    def __init__(self):
        self.begun, self.times = 0.0, []

    def on_step_begin(self, args, state, control, **kwargs):
        self.begun = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        self.times.append(time.perf_counter() - self.begun)


def main() -> None:
    folder = sys.argv[1]
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else os.cpu_count()
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    draw = random.Random(1)
    number = lambda: str(draw.randrange(1000, 10000))
    prompts = [[{"role": "user", "content": f"{number()}+{number()}="}] for _ in range(PROMPTS * (steps + 4))]
    clock, lengths = Clock(), []

    def coin(completion_ids, **kwargs):
        lengths.append(sum(len(ids) for ids in completion_ids))
        return [float(draw.randrange(2)) for _ in completion_ids]

    trainer = GRPOTrainer(
        model=model, reward_funcs=coin, processing_class=tokenizer, train_dataset=Dataset.from_dict({"prompt": prompts}),
        callbacks=[clock],
        args=GRPOConfig(
            output_dir="/tmp/peer_improve", use_cpu=True, bf16=False, fp16=False, per_device_train_batch_size=PROMPTS * GROUP,
            gradient_accumulation_steps=1, num_generations=GROUP, max_completion_length=TOKENS, temperature=1.0, beta=0.0,
            num_iterations=1, scale_rewards="none", loss_type="dapo", max_steps=steps + 2, learning_rate=1e-6,
            gradient_checkpointing=False, optim="adamw_torch_fused", report_to=[], save_strategy="no", logging_strategy="no",
            disable_tqdm=True))
    trainer.train()
    times = clock.times[2:]
    prompt_tokens = len(tokenizer.apply_chat_template(prompts[0], add_generation_prompt=True, return_dict=True)["input_ids"])
    tokens = sum(lengths[2:2 + len(times)]) / len(times) + PROMPTS * GROUP * prompt_tokens
    print(json.dumps({"peer": f"trl {trl.__version__}, torch {torch.__version__}", "threads": threads,
                      "parameters": sum(p.numel() for p in model.parameters()), "prompt_tokens": prompt_tokens,
                      "seconds_per_step": round(sum(times) / len(times), 4), "best_seconds_per_step": round(min(times), 4),
                      "tokens_per_second": round(tokens * len(times) / sum(times))}))


if __name__ == "__main__":
    main()
