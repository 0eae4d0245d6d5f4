"""Greedy answers of a checkpoint under vLLM, by an interpreter that has it.

    python with_vllm.py MODEL REQUESTS.json OUT.json

REQUESTS: a list of {"prompt": text, "image": path or null}, or {"prompt_token_ids": [...]}. OUT:
for each the tokens, and the logarithm of each one's probability. ``test_parity_vllm`` runs this.
"""

import json
import sys
from pathlib import Path


def main(model: str, requests: str, out: str) -> None:
    """Answer every request greedily, 12 tokens each."""
    from PIL import Image
    from vllm import LLM, SamplingParams  # pyright: ignore[reportMissingImports]

    asked = json.loads(Path(requests).read_text())
    engine = LLM(
        model=model,
        dtype="float32",
        max_model_len=256,
        enforce_eager=True,
        max_num_seqs=4,
        seed=0,
        limit_mm_per_prompt={"image": 1} if any(one.get("image") for one in asked) else None,
    )
    prompts = []
    for one in asked:
        if "prompt_token_ids" in one:
            prompts.append({"prompt_token_ids": one["prompt_token_ids"]})
            continue
        prompt = {"prompt": one["prompt"]}
        if one.get("image"):
            with Image.open(one["image"]) as picture:
                prompt["multi_modal_data"] = {"image": picture.convert("RGB")}
        prompts.append(prompt)
    greedy = SamplingParams(temperature=0, max_tokens=12, logprobs=1)
    found = []
    for one in engine.generate(prompts, greedy):
        (said,) = one.outputs
        ids = list(said.token_ids)
        steps = zip(ids, said.logprobs, strict=True)
        found.append(
            {
                "prompt": list(one.prompt_token_ids),
                "tokens": ids,
                "logprobs": [step[token].logprob for token, step in steps],
            }
        )
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
