"""Logits of a GGUF model in llama.cpp, with and without a control vector: run by ``llama_parity``.

    python with_llama.py MODEL.gguf ROWS.npy TOKENS.json OUT.npz

ROWS: (layers, d) what ``direction.1``, ... add. OUT: ``plain`` and ``steered``, the
logits (tokens, vocabulary) after each token. Needs llama-cpp-python and numpy, nothing else.
"""

import ctypes
import json
import sys

import llama_cpp
import numpy as np


def logits(context: object, tokens: list[int], n_vocab: int) -> np.ndarray:
    """(t, v) logits after every token, decoded one by one as an answer is."""
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    rows = []
    for token in tokens:
        batch = llama_cpp.llama_batch_get_one((llama_cpp.llama_token * 1)(token), 1)
        assert llama_cpp.llama_decode(context, batch) == 0
        row = llama_cpp.llama_get_logits_ith(context, -1)
        rows.append(np.ctypeslib.as_array(row, shape=(n_vocab,)).copy())
    return np.stack(rows)


def main() -> None:
    model_path, rows_path, tokens_path, out = sys.argv[1:]
    table = np.ascontiguousarray(np.load(rows_path), dtype=np.float32)
    with open(tokens_path, encoding="utf-8") as file:  # noqa: PTH123 - no more than is needed
        tokens = json.load(file)
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(
        model_path.encode(), llama_cpp.llama_model_default_params()
    )
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_threads, settings.n_threads_batch = 256, 1, 1
    # Keys and values in float32: halves would cost the digits that are compared.
    settings.type_k = settings.type_v = 0
    settings.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, settings)
    n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    plain = logits(context, tokens, n_vocab)
    layers, d = table.shape
    data = table.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    setter = llama_cpp.llama_set_adapter_cvec
    assert setter(context, data, table.size, d, 1, layers) == 0
    np.savez(out, plain=plain, steered=logits(context, tokens, n_vocab))


if __name__ == "__main__":
    main()
