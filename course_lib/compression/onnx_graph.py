"""The decoder as an ONNX graph: a list of plain operations that other runtimes can run.

ONNX has no modules and no Python, only named tensors and operations between them, with opset
numbers that say what each operation means. The graph here is written node by node. It takes the
cache of earlier tokens as inputs and returns the longer one, so a runtime can generate with it.

    inputs    ids (B, T), key_0, value_0, ... (B, G, P, D)        P tokens before, T new ones
    outputs   logits (B, T, V), new_key_0, new_value_0, ... (B, G, P + T, D)

`pip install "llm-insides[export]"` brings onnx, which writes the file, and onnxruntime, which runs
it.

Taught in:        compression
Paper:            the ONNX standard, onnx.ai
Checked against:  the model itself: the logits that onnxruntime computes, with and without cache
Shapes:           B batch, T new tokens, P tokens before, C model width, H query heads, G key/value
                  heads, D head width
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.compression.layers import Quantised
from course_lib.model import GPT2, DecoderLM
from course_lib.rope import rope_cos_sin

OPSET = 17
_LOW = -3.4e38  # added to scores that are masked; −inf would give NaN in some runtimes


class _Graph:
    """Collects operations and constants; each operation returns the name of its output."""

    def __init__(self) -> None:
        import onnx

        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operation and return the name of its output."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        node = self.onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes)
        self.nodes.append(node)
        return name

    def constant(self, name: str, value: Any) -> str:
        """Add a constant, once, and return its name."""
        if isinstance(value, Tensor):
            value = value.detach().float().cpu().contiguous().numpy()
        self.constants[name] = np.asarray(value)
        return name

    def whole(self, *numbers: int) -> str:
        """Return the name of a constant row of whole numbers."""
        name = "whole_" + "_".join(str(each).replace("-", "minus") for each in numbers)
        return self.constant(name, np.asarray(numbers, dtype=np.int64))


class _Writer:
    """Writes the operations of one model."""

    def __init__(self, model: DecoderLM) -> None:
        self.model, self.config, self.graph = model, model.config, _Graph()

    def write(self) -> _Graph:
        """Write all operations, from ids to logits."""
        g, model = self.graph, self.model
        table = g.constant("embedding", model.get_submodule("model.embed_tokens").weight)
        x = g.op("Gather", table, "ids")
        rotation, mask = self._places()
        for layer, block in enumerate(model.blocks):
            name = f"layer_{layer}"
            normed = self._norm(x, block.input_layernorm, f"{name}.input_norm")
            x = g.op("Add", x, self._attention(normed, block.self_attn, layer, rotation, mask))
            normed = self._norm(x, block.post_attention_layernorm, f"{name}.mlp_norm")
            x = g.op("Add", x, self._mlp(normed, block.mlp, f"{name}.mlp"))
        x = self._norm(x, model.get_submodule("model.norm"), "last_norm")
        if model.config.tie_word_embeddings:
            g.op("MatMul", x, g.op("Transpose", table, perm=[1, 0]), output="logits")
        else:
            head = g.constant("head", model.lm_head.weight.mT)
            g.op("MatMul", x, head, output="logits")
        return g

    def _places(self) -> tuple[tuple[str, str], str]:
        """Return cosines and sines of the new tokens' positions, and what masks later tokens."""
        g, config = self.graph, self.config
        seen = g.op("Gather", g.op("Shape", "key_0"), g.constant("axis_2", np.int64(2)))
        new = g.op("Gather", g.op("Shape", "ids"), g.constant("axis_1", np.int64(1)))
        total = g.op("Add", seen, new)
        one = g.constant("one", np.int64(1))
        places = g.op("Range", seen, total, one)  # (T,)
        every = g.op("Range", g.constant("zero", np.int64(0)), total, one)  # (P + T,)
        later = g.op("Greater", every, g.op("Unsqueeze", places, g.whole(1)))
        nothing, low = (g.constant(n, np.float32(v)) for n, v in (("nothing", 0), ("low", _LOW)))
        mask = g.op("Where", later, low, nothing)  # (T, P + T)
        cos, sin = rope_cos_sin(
            torch.arange(config.max_position_embeddings),
            config.head_dim,
            config.rope_parameters,
            config.max_position_embeddings,
        )
        tables = (("cosines", torch.cat((cos, cos), -1)), ("sines", torch.cat((-sin, sin), -1)))
        cosines, sines = (g.op("Gather", g.constant(n, t), places) for n, t in tables)
        return (cosines, sines), mask

    def _norm(self, x: str, norm: Any, name: str) -> str:
        g = self.graph
        if isinstance(norm, nn.Identity):
            return x
        mean = g.op("ReduceMean", g.op("Mul", x, x), axes=[-1], keepdims=1)
        eps = g.constant("eps", np.float32(self.config.norm_eps))
        divided = g.op("Div", x, g.op("Sqrt", g.op("Add", mean, eps)))
        return g.op("Mul", divided, g.constant(name, norm.weight))

    def _linear(self, x: str, layer: Any, name: str) -> str:
        g = self.graph
        weight = layer.weight
        if isinstance(layer, Quantised) and getattr(layer, "input_scale", None) is not None:
            weight = weight / layer.input_scale
        y = g.op("MatMul", x, g.constant(name, weight.mT))
        return y if layer.bias is None else g.op("Add", y, g.constant(f"{name}.bias", layer.bias))

    def _heads(self, x: str, heads: int) -> str:
        g = self.graph
        cut = g.op("Reshape", x, g.whole(0, 0, heads, self.config.head_dim))
        return g.op("Transpose", cut, perm=[0, 2, 1, 3])  # (B, H, T, D)

    def _rotated(self, x: str, rotation: tuple[str, str]) -> str:
        g, half = self.graph, self.config.head_dim // 2
        ends = g.whole(0), g.whole(half), g.whole(2 * half)
        axis = g.whole(3)
        first = g.op("Slice", x, ends[0], ends[1], axis)
        second = g.op("Slice", x, ends[1], ends[2], axis)
        swapped = g.op("Concat", second, first, axis=3)
        cosines, sines = rotation
        return g.op("Add", g.op("Mul", x, cosines), g.op("Mul", swapped, sines))

    def _attention(
        self, x: str, attention: Any, layer: int, rotation: tuple[str, str], mask: str
    ) -> str:
        g, config, name = self.graph, self.config, f"layer_{layer}.attention"
        queries, groups = config.num_attention_heads, config.num_key_value_heads
        made = {}
        for part, heads in (("q", queries), ("k", groups), ("v", groups)):
            layer_of = getattr(attention, f"{part}_proj")
            made[part] = self._heads(self._linear(x, layer_of, f"{name}.{part}"), heads)
            if part != "v":
                norm = getattr(attention, f"{part}_norm")
                made[part] = self._norm(made[part], norm, f"{name}.{part}_norm")
                made[part] = self._rotated(made[part], rotation)
        keys = g.op("Concat", f"key_{layer}", made["k"], axis=2, output=f"new_key_{layer}")
        values = g.op("Concat", f"value_{layer}", made["v"], axis=2, output=f"new_value_{layer}")
        q = g.op("Mul", made["q"], g.constant("scale", np.float32(config.head_dim**-0.5)))
        # (B, G, H / G, T, D): the query heads that share a key head side by side
        q = g.op("Reshape", q, g.whole(0, groups, queries // groups, -1, config.head_dim))
        keys = g.op("Transpose", g.op("Unsqueeze", keys, g.whole(2)), perm=[0, 1, 2, 4, 3])
        weights = g.op("Softmax", g.op("Add", g.op("MatMul", q, keys), mask), axis=-1)
        read = g.op("MatMul", weights, g.op("Unsqueeze", values, g.whole(2)))
        read = g.op("Reshape", read, g.whole(0, queries, -1, config.head_dim))
        read = g.op("Transpose", read, perm=[0, 2, 1, 3])
        joined = g.op("Reshape", read, g.whole(0, 0, queries * config.head_dim))
        return self._linear(joined, attention.o_proj, f"{name}.o")

    def _mlp(self, x: str, mlp: Any, name: str) -> str:
        g = self.graph
        gate = self._linear(x, mlp.gate_proj, f"{name}.gate")
        gate = g.op("Mul", gate, g.op("Sigmoid", gate))
        up = self._linear(x, mlp.up_proj, f"{name}.up")
        return self._linear(g.op("Mul", gate, up), mlp.down_proj, f"{name}.down")


def export_onnx(model: DecoderLM, path: str | Path) -> Path:
    """Write the decoder with its cache as an ONNX file in float32, and return its path."""
    _check(model)
    graph = _Writer(model).write()
    onnx, config = graph.onnx, model.config
    real, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    info = onnx.helper.make_tensor_value_info
    heads, width = config.num_key_value_heads, config.head_dim
    inputs = [info("ids", whole, ["B", "T"])]
    outputs = [info("logits", real, ["B", "T", config.vocab_size])]
    for layer in range(config.num_hidden_layers):
        for kind in ("key", "value"):
            inputs.append(info(f"{kind}_{layer}", real, ["B", heads, "P", width]))
            outputs.append(info(f"new_{kind}_{layer}", real, ["B", heads, "S", width]))
    constants = [onnx.numpy_helper.from_array(v, n) for n, v in graph.constants.items()]
    whole_graph = onnx.helper.make_graph(graph.nodes, "decoder", inputs, outputs, constants)
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    made = onnx.helper.make_model(whole_graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(made)
    onnx.save(made, str(path))
    return Path(path)


def _check(model: DecoderLM) -> None:
    config = model.config
    rope = config.rope_parameters
    plain = rope.get("rope_type", "default") == "default"
    plain = plain and rope.get("partial_rotary_factor", 1.0) == 1
    dense = not any(map(config.is_sparse, range(config.num_hidden_layers)))
    slides = any(config.window_of(layer) for layer in range(config.num_hidden_layers))
    known = not isinstance(model, GPT2) and config.hidden_act == "silu"
    if not (plain and dense and known) or slides:
        raise ValueError(
            "the graph is for dense decoders with RMSNorm, SwiGLU and plain RoPE; got "
            f"{config.model_type} with {config.hidden_act}, rope_parameters={dict(rope)}. Use "
            "torch.onnx.export for others."
        )


class OnnxDecoder:
    """An exported decoder in onnxruntime, with the cache of what it has read."""

    def __init__(self, path: str | Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        shapes = {each.name: each.shape for each in self.session.get_inputs()}
        self.names = [name for name in shapes if name != "ids"]
        self.heads, self.width = shapes["key_0"][1], shapes["key_0"][3]
        self.forget()

    def forget(self) -> None:
        """Empty the cache."""
        self.cache: dict[str, np.ndarray] | None = None

    def read(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Read new tokens; return the logits after each of them."""
        if self.cache is None:
            empty = np.zeros((len(ids), self.heads, 0, self.width), dtype=np.float32)
            self.cache = dict.fromkeys(self.names, empty)
        wanted = ["logits", *(f"new_{name}" for name in self.names)]
        logits, *longer = self.session.run(wanted, {"ids": ids.cpu().numpy(), **self.cache})
        self.cache = dict(zip(self.names, longer, strict=True))
        return torch.from_numpy(logits)
