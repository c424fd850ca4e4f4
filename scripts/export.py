"""Export a generator of a trained run to a file for other programs, and check the results of the file.

    python scripts/export.py checkpoints/horses --format onnx --output horses.onnx

onnx          for ONNX Runtime and other engines (packages: onnx, onnxscript, onnxruntime)
torch_export  a torch.export program: torch.export.load(FILE).module()(images)
safetensors   only the weights (package: safetensors)

An exported program has the input and output of metamer.load(RUN) with a tensor: (N, C, H, W) in [-1, 1] of any height,
width and batch size; it includes padding to the network's stride and cropping. With --with_processing, input and output
are uint8 images (N, H, W, C). The file is kept only if its results on images of random sizes equal those of the run.
FILE.json beside it describes input and output, MODEL_CARD.md the model.
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
from util.files import make_folder_of, replacing, write_text
from util.flags import SWITCH
from util.run import model_card

NEEDS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch_export": (), "safetensors": ("safetensors",)}
TOLERANCE = 1e-3  # largest difference of a value in [-1, 1]; half a level of 8 bits is 4e-3
LEVELS = 1  # largest difference of 8-bit values: a value near the middle of two levels may be rounded up or down


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Export a generator of a trained run to a file for other programs."
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a trained run, such as checkpoints/horses")
    add("--format", default="onnx", help=" | ".join(NEEDS))
    add("--output", metavar="FILE", help="the file to write (required)")
    add("--epoch", default="latest", help="which checkpoint of the run")
    add("--direction", help="AtoB | BtoA, for runs that translate both ways (none given: as trained)")
    help = "for stargan: the one target of the program, such as Blond_Hair (none given: labels are its second input)"
    add("--target", help=help)
    add("--with_processing", **SWITCH, default=False, help="input and output are uint8 images (N, H, W, C)")
    options = parser.parse_or_help()
    if options.format not in NEEDS:
        raise InputError(f"--format {options.format}: choose {', '.join(NEEDS)}")
    if not options.output:
        raise InputError("--output: missing; give the file to write")
    if options.with_processing and options.format == "safetensors":
        raise InputError("--with_processing: --format safetensors has only weights; leave it out")
    for package in NEEDS[options.format]:
        if importlib.util.find_spec(package) is None:
            raise InputError(f"--format {options.format} needs the package {package}: pip install {package}")
    return options


def write_onnx(program, path, names):
    import onnxruntime
    import torch

    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        torch.onnx.export(program, (), path, dynamo=True, input_names=names, output_names=["translations"],
                          external_data=False, verbose=False)  # fmt: skip
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(*inputs):
        named = {each.name: values.numpy() for each, values in zip(session.get_inputs(), inputs)}
        return torch.from_numpy(session.run(None, named)[0])

    return run


def write_torch_export(program, path, names):
    import torch

    torch.export.save(program, path)
    return torch.export.load(path).module()


def source_of(translator, condition, processing):
    """A function with the program's input and output that uses the translator: the expected results."""

    def results(images, *labels):
        return translator.translate_batch(images, **condition, **({"target": labels[0]} if labels else {}))

    if not processing:
        return results
    import numpy as np
    import torch

    low, high = translator.data_range() or (0, 255)

    def call(images, *labels):
        values = (images.numpy().astype(np.float32) - low) / (high - low) * 2 - 1  # (N, H, W, C)
        made = results(torch.from_numpy(values.transpose(0, 3, 1, 2)), *labels).numpy()
        return torch.from_numpy(np.clip(np.rint((made + 1) / 2 * (high - low) + low), 0, 255).transpose(0, 2, 3, 1))

    return call


def export_program(options, translator, source):
    """Write the program if its results equal those of `source`, a Translator of the same run; returns a description."""
    from models import program as programs
    from models import tracing

    condition = translator.condition_for(options.target)
    if options.target is None and "target" in inspect.signature(translator.model.translate).parameters:
        program = programs.LabelledProgram(translator, options.with_processing)
        print(f"second input of the program: labels (N, {len(program.labels)}), which are {', '.join(program.labels)}")
    else:
        program = programs.Program(translator, condition, options.with_processing)
    programs.switch_off_draws(source.model.networks_by_name().values())
    for word in program.drops:
        print(f"{word} is off in the program: a program cannot draw the random numbers of a test", file=sys.stderr)
    exported, takes = tracing.export(program)
    write = write_onnx if options.format == "onnx" else write_torch_export
    tolerance = LEVELS if options.with_processing else TOLERANCE
    folder = os.path.dirname(os.path.abspath(options.output))
    ending = ".onnx" if options.format == "onnx" else ".pt2"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing_") as beside:
        path = os.path.join(beside, f"program{ending}")
        run = write(exported, path, ["images", "labels"] if program.labels else ["images"])
        call = source_of(source, condition, options.with_processing)
        difference = tracing.largest_difference(run, call, program.noise(takes))
        if not difference <= tolerance:
            raise InputError(
                f"--format {options.format}: its results differ from the network's by {difference:.2g}, more than "
                f"{tolerance:g}; no file was kept"
            )
        os.replace(path, options.output)
    print(f"checked against the network: largest difference {difference:.2g} (at most {tolerance:g} is accepted)")
    checked = {"largest_difference": difference, "tolerance": tolerance}
    return {**program.description(), "any_size": takes["size"], "any_batch": takes["batch"], **checked}


def export_weights(options, translator):
    """Write the weights, after a check that they are read back unchanged; returns a description."""
    import torch
    from safetensors.torch import load as read
    from safetensors.torch import save

    translator.condition_for(options.target)
    tensors = {
        f"{name}.{key}": value.detach().cpu().contiguous()
        for name, net in translator.model.networks_by_name().items()
        for key, value in net.state_dict().items()
    }
    whole = save(tensors, metadata={"model": translator.opt.model, "run": translator.opt.name})
    again = read(whole)
    if again.keys() != tensors.keys() or not all(torch.equal(again[key], tensors[key]) for key in tensors):
        raise InputError("--format safetensors: its tensors differ from the network's; no file was kept")
    with replacing(options.output, len(whole)) as file:
        file.write(whole)
    print("checked against the network: all tensors are equal")
    return {"tensors": len(tensors), "keys": "<network>.<key of its state dict>"}


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    make_folder_of("--output", options.output)
    from models.translator import Translator  # imported after the flags are checked, because torch takes seconds

    def load():
        return Translator.load(options.run, options.epoch, options.direction, "cpu")

    translator = load()
    opt = translator.opt
    if options.format == "safetensors":
        described = export_weights(options, translator)
    else:
        described = export_program(options, translator, load())
    target = {"target": options.target} if options.target else {}
    about = {"run": opt.name, "epoch": opt.epoch, "model": opt.model, "format": options.format}
    about |= {**translator.condition, **target, **described}
    write_text(f"{options.output}.json", json.dumps(about, indent=1) + "\n")
    card = model_card.write(options.output, opt, about)
    print(f"wrote {options.output}, {options.output}.json and {card}")


if __name__ == "__main__":
    with clear_errors():
        main()
