"""Where a runtime parts from the run: the resize, a layer by its name, or the calibration."""

from collections import defaultdict
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fancnn.inference.export_module import ExportModule
from fancnn.model import Model
from fancnn.parity.agreement import gap
from fancnn.parity.runtimes import FLOAT32, Tensors, of_onnx_runtime, of_openvino, reference

RELATIVE = 1e-3  # of a layer's largest value: what float32 explains, many times over
TIES = 0.01  # share of grey levels that may be one apart: those halfway between two


def parting(model: Model, got: Tensors, layers: Tensors, image: NDArray[np.uint8]) -> str:
    """Name the first step of an image's way through the model at which a runtime has other numbers.

    Args:
        model: The run.
        got: What the runtime says of the image.
        layers: And what its layers gave, by name; may be empty.
        image: `(h, w, 3)`, uint8.
    """
    expected = reference(model, image[None])
    apart = np.abs(expected["pixels"] - got["pixels"])
    if not apart.max() <= 1.5 or (apart > 0.5).mean() > TIES:
        share = 100 * float((apart > 0.5).mean())
        return f"the resize: {share:.3g}% of the grey levels differ, by up to {apart.max():.3g}"
    ours = layer_outputs(model, torch.from_numpy(got["pixels"].astype(np.float32)))
    for name, values in ours.items():
        if name in layers and layers[name].size == values.numel():
            difference = np.abs(layers[name].ravel() - values.numpy().ravel()).max() / max(values.abs().max(), 1e-6)
            if not difference <= RELATIVE:  # nor if it is NaN
                kind = type(model.get_submodule(name)).__name__
                if not np.isfinite(layers[name]).all():
                    return f"{name} ({kind}): its output is not a finite number"
                return f"{name} ({kind}): its output differs by {100 * difference:.3g}% of its largest value"
    if not gap(expected, got, "logit") <= RELATIVE * max(float(np.abs(expected["logit"]).max()), 1.0):
        if not np.isfinite(got["logit"]).all():
            return "the logit, which is not a finite number"
        return f"the logit: {float(expected['logit'][0]):.6g} by the run, {float(got['logit'][0]):.6g} here"
    return "no single step: only the calibration or the threshold makes small differences large"


def layer_outputs(model: Model, pixels: Tensor) -> dict[str, Tensor]:
    """Return what each layer of a model's network gives for pixels `(1, 3, *image_size)`, by its name, in order."""
    deployed, outputs = ExportModule(model), dict[str, Tensor]()

    def keep(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            outputs[name] = output.detach().clone()

    for name, module in deployed.named_modules():
        if name.startswith("network") and not list(module.children()):
            module.register_forward_hook(lambda _, __, output, name=name: keep(name, output))
    with torch.inference_mode():
        deployed.network(deployed.preprocess.normalised(pixels / 255))
    return outputs


def layers_of(path: Path, runtime: str, image: NDArray[np.uint8]) -> Tensors:
    """Return what the layers of an ONNX file give on a runtime, by their names in the network.

    Args:
        path: The file.
        runtime: As `fancnn.parity.runtimes` names it.
        image: `(h, w, 3)`, uint8.
    """
    onnx = import_module("onnx")
    graph = onnx.load(path)
    values = _values_of_layers(graph)
    known = {output.name for output in graph.graph.output}
    for value in dict.fromkeys(values.values()):
        if value not in known:
            graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(value))
    content = graph.SerializeToString()
    if runtime.startswith("ONNX"):
        score = of_onnx_runtime(content, path)
    else:
        score = of_openvino(content, FLOAT32 if runtime.endswith("float32") else {})
    outputs = score(image[None])
    return {layer: outputs[value] for layer, value in values.items() if value in outputs}


def _values_of_layers(graph: object) -> dict[str, str]:
    """Return the name of the value that each layer of the network gives: that of the last operation in its scope."""
    value_of: dict[str, str] = defaultdict(str)
    for node in graph.graph.node:  # type: ignore[attr-defined]  # onnx has no types
        scopes = {item.key: item.value for item in node.metadata_props}.get("pkg.torch.onnx.name_scopes", "")
        names = [name.strip(" '\"") for name in scopes.strip("[]").split(",")]
        if len(names) > 1 and names[-2].startswith("network"):
            value_of[names[-2]] = node.output[0]
    return dict(value_of)
