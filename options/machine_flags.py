"""The flags of the machine: the device, and how the networks compute on it. No function imports torch."""

from options.parser import OptionParser
from util.flags import SWITCH, words

TOPIC = "machine"

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
CAPTURING = ("auto", "yes", "no")
COMPILING = ("none", "blocks", "default", "reduce-overhead", "max-autotune")


def add_both(parser: OptionParser) -> None:
    flag = parser.topic(TOPIC, scope="machine")
    flag("--device", default=None, help="auto | cpu | cuda | cuda:N | mps (none given: auto)", common=True)
    help = "the older form of --device: 0 = cuda:0, -1 = cpu; 0,1 = a process on each GPU (none given: --device)"
    flag("--gpu_ids", default=None, help=help, common=True)
    # These flags change the results of a run: they are equal in all processes and in a continued run, not in a test.
    flag = parser.topic(TOPIC, scope="training", restore=False)
    precision = "number format of the networks (none given: tf32 on CUDA, fp32 on other devices and in tests)"
    flag("--precision", default=None, help=f"{words(PRECISIONS)}: {precision}", common=True)
    flag(
        "--compile",
        nargs="?",
        const="default",
        default="none",
        help=f"{words(COMPILING)}: compile the networks (blocks: their blocks) by torch.compile, which takes minutes",
    )
    help = "store feature maps in the memory order (N, H, W, C), which is faster on tensor cores"
    flag("--channels_last", **SWITCH, default=False, help=help)


def add_training(parser: OptionParser) -> None:
    flag = parser.topic(TOPIC, scope="training")
    help = "one forward pass instead of two, if the results differ only by rounding"
    flag("--economies", **SWITCH, default=True, help=help)
    help = "gradient checkpointing: less memory, more time"
    flag("--grad_checkpoint", **SWITCH, default=False, help=help)
    help = "use repeatable operations if PyTorch has them; slower"
    flag("--deterministic", **SWITCH, default=False, help=help)
    help = "run each step as one CUDA graph; not measured on a GPU, so auto means no"
    flag("--capture", default="auto", help=f"{words(CAPTURING)}: {help}")
