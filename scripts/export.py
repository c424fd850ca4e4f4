"""Write a generator of a trained run as a file for other programs, after its numbers were checked.

    python scripts/export.py checkpoints/horses --format onnx --output horses.onnx

onnx          for ONNX Runtime and other engines (packages: onnx, onnxscript, onnxruntime)
torch_export  a torch.export program: torch.export.load(FILE).module()(images)
safetensors   the weights alone (package: safetensors)

A program takes and gives tensors (N, C, H, W) in [-1, 1]; height and width may be any multiple of the network's
stride. It is run beside the network on images of several sizes, and the file is kept only if the results agree.
FILE.json beside it describes the input and output.
"""

import contextlib
import importlib.util
import inspect
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.files import replacing, write_text

NEEDS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch_export": (), "safetensors": ("safetensors",)}
TOLERANCE = 1e-3  # largest difference of a value in [-1, 1]; half a level of 8 bits is 4e-3
SMALLEST, STEPS = 64, ((2, 2), (1, 1), (3, 1))  # sizes of the check, the example's first: multiples of the smallest


def read_options(command_line):
    parser = OptionParser(command_line)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a trained run, such as checkpoints/horses")
    add("--format", default="onnx", help=" | ".join(NEEDS))
    add("--output", metavar="FILE", help="the file to write (required)")
    add("--epoch", default="latest", help="which checkpoint of the run")
    add("--direction", help="AtoB | BtoA, for runs that translate both ways (none given: as trained)")
    add("--target", help="for stargan: the target that is built into the program, such as Blond_Hair")
    options = parser.parse_or_help()
    if options.format not in NEEDS:
        raise InputError(f"--format {options.format}: choose {', '.join(NEEDS)}")
    if not options.output:
        raise InputError("--output: missing; give the file to write")
    for package in NEEDS[options.format]:
        if importlib.util.find_spec(package) is None:
            raise InputError(f"--format {options.format} needs the package {package}: pip install {package}")
    return options


def as_module(translator, condition):
    """A torch module images -> images of what the Translator does with a batch of fitting size."""
    import torch

    class Generator(torch.nn.Module):
        def __init__(self):
            super().__init__()
            nets = translator.model.networks_by_name()
            self.nets = torch.nn.ModuleDict(nets)

        def forward(self, images):
            made = translator.model.translate(images, **condition)
            return next(iter(made.values()))

    return Generator().eval()


def program_of(module, example, multiple):
    """(torch.export program of a module, whether it takes any height, width and, where possible, batch size)."""
    import torch
    from torch.export import Dim

    height, width = Dim("rows", min=2) * multiple, Dim("columns", min=2) * multiple  # torch.export treats 1 as fixed
    reason = ""
    for shapes in ({0: Dim("batch"), 2: height, 3: width}, {2: height, 3: width}, None):
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if shapes is None:
                    return torch.export.export(module, (example[:1],)), False
                return torch.export.export(module, (example,), dynamic_shapes={"images": shapes}), True
        except Exception as error:  # torch.export raises many types; the last attempt has the fewest demands
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise InputError(f"this network can't be exported: {reason}")


def smallest_side(multiple):
    """The smallest side of the images of the check: the stride of the network at least twice, and 64 or more pixels."""
    return max(2, -(-SMALLEST // multiple)) * multiple


def largest_difference(run, module, multiple, channels, dynamic):
    """Of `run(images)` and the network's own result, over images of several sizes with a fixed seed."""
    import torch

    generator = torch.Generator().manual_seed(0)
    side = smallest_side(multiple)
    worst = 0.0
    for rows, columns in STEPS if dynamic else STEPS[:1]:
        images = torch.rand(1, channels, rows * side, columns * side, generator=generator) * 2 - 1
        with torch.no_grad():
            worst = max(worst, float((run(images) - module(images)).abs().max()))
    return worst


def write_onnx(program, path):
    import onnxruntime
    import torch

    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        torch.onnx.export(program, (), path, dynamo=True, input_names=["images"], output_names=["translations"],
                          external_data=False, verbose=False)  # fmt: skip
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def write_torch_export(program, path):
    import torch

    torch.export.save(program, path)
    return torch.export.load(path).module()


def export_program(translator, options, condition):
    """Write the program if its results agree with the network's; returns a description of it."""
    import torch

    from models.translator import stride_of

    if translator.alone and any(isinstance(m, torch.nn.Dropout) and m.training for m in _modules(translator)):
        translator.model.eval()
        print("dropout is off in the exported program, and norms use their running statistics", file=sys.stderr)
    multiple, channels = stride_of(translator.opt), translator.input_channels()
    module = as_module(translator, condition)
    side = smallest_side(multiple)
    program, dynamic = program_of(module, torch.zeros(2, channels, 2 * side, 2 * side), multiple)
    write = write_onnx if options.format == "onnx" else write_torch_export
    folder = os.path.dirname(os.path.abspath(options.output))
    os.makedirs(folder, exist_ok=True)
    ending = ".onnx" if options.format == "onnx" else ".pt2"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing_") as beside:
        path = os.path.join(beside, f"program{ending}")
        difference = largest_difference(write(program, path), module, multiple, channels, dynamic)
        if not difference <= TOLERANCE:
            raise InputError(
                f"--format {options.format}: its results differ from the network's by {difference:.2g}, more than "
                f"{TOLERANCE:g}; no file was kept"
            )
        os.replace(path, options.output)
    print(f"checked against the network: largest difference {difference:.2g} (at most {TOLERANCE:g} is accepted)")
    return {
        "dynamic_size": dynamic,
        "multiple_of": multiple,
        "at_least": 2 * multiple,
        "channels": channels,
        "largest_difference": difference,
    }


def _modules(translator):
    return (module for net in translator.model.networks_by_name().values() for module in net.modules())


def export_weights(translator, options):
    from safetensors.torch import save

    tensors = {
        f"{name}.{key}": value.detach().cpu().contiguous()
        for name, net in translator.model.networks_by_name().items()
        for key, value in net.state_dict().items()
    }
    with replacing(options.output) as file:
        file.write(save(tensors, metadata={"model": translator.opt.model, "run": translator.opt.name}))
    return {"tensors": len(tensors)}


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    from models.translator import Translator  # imported when the flags are understood: torch takes seconds

    translator = Translator.load(options.run, options.epoch, options.direction, "cpu")
    condition = translator.condition_for(options.target)
    needs_target = "target" in inspect.signature(translator.model.translate).parameters
    if needs_target and options.target is None and options.format != "safetensors":
        raise InputError("--target: missing; an exported program of this run has one target, such as Blond_Hair")
    if options.format == "safetensors":
        description = export_weights(translator, options)
    else:
        description = export_program(translator, options, condition)
    opt = translator.opt
    description = {
        **{"run": opt.name, "epoch": opt.epoch, "model": opt.model, "format": options.format, **condition},
        **{"input": "float32 (N, C, H, W) in [-1, 1]", "output": "float32 (N, C, H, W) in [-1, 1]", **description},
    }
    write_text(f"{options.output}.json", json.dumps(description, indent=1) + "\n")
    print(f"wrote {options.output} and {options.output}.json")


if __name__ == "__main__":
    with clear_errors():
        main()
