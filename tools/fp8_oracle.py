#!/usr/bin/env python3
"""Goldens for stored number types from torch.

    python tools/fp8_oracle.py     # writes tests/golden/tensor/fp8.safetensors

`all` holds the 256 values of float8_e4m3fn, `all.f32` what torch makes of them. `weight` is a matrix whose sides are no
multiples of 128, with `weight_scale_inv` as DeepSeek-V3's folders have it, and `weight.f32` the product in float32.
`half` and `half.f32` are float16 numbers: every exponent with several fractions and both signs, subnormals, infinities.
Made with torch 2.15.
"""

import pathlib

import torch
from safetensors.torch import save_file

BLOCK = 128
ROWS, COLUMNS = 131, 133

generator = torch.Generator().manual_seed(7)
every = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
weight = torch.randn((ROWS, COLUMNS), generator=generator).mul(100).clamp(-448, 448).to(torch.float8_e4m3fn)
blocks = [-(-size // BLOCK) for size in (ROWS, COLUMNS)]
scales = torch.rand(blocks, generator=generator) * 1e-3 + 1e-5
full = scales.repeat_interleave(BLOCK, 0)[:ROWS].repeat_interleave(BLOCK, 1)[:, :COLUMNS]
fractions = torch.tensor([0, 1, 2, 0x155, 0x200, 0x3FE, 0x3FF], dtype=torch.int32)
exponents = torch.arange(32, dtype=torch.int32)
bits = ((exponents[:, None] << 10) | fractions[None]).flatten()
half = torch.cat([bits, bits | 0x8000]).to(torch.uint16).view(torch.float16)

path = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/tensor/fp8.safetensors"
save_file({"all": every, "all.f32": every.to(torch.float32), "weight": weight, "weight_scale_inv": scales.contiguous(),
           "weight.f32": (weight.to(torch.float32) * full).contiguous(), "half": half, "half.f32": half.to(torch.float32)},
          path)
