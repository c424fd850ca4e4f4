"""The flags of the machine: the device, and how the networks work on it. No function imports torch."""

from options.parser import OptionParser
from util.flags import SWITCH, words

TOPIC = "machine"

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
CAPTURING = ("auto", "yes", "no")
COMPILING = ("none", "default", "reduce-overhead", "max-autotune")


def add_both(parser: OptionParser) -> None:
    flag = parser.topic(TOPIC, scope="machine")
    flag("--device", default=None, help="auto | cpu | cuda | cuda:N | mps (none given: auto)", common=True)
    help = "the older form of --device: 0 = cuda:0, -1 = cpu; 0,1 = a process on each (none given: --device)"
    flag("--gpu_ids", default=None, help=help, common=True)
    # These change the numbers of a run, so all processes and a continued run share them; a test has its own.
    flag = parser.topic(TOPIC, scope="training", restore=False)
    precision = "numbers of the networks (none given: tf32 on CUDA, fp32 elsewhere and in tests)"
    flag("--precision", default=None, help=f"{words(PRECISIONS)}: {precision}", common=True)
    flag(
        "--compile",
        nargs="?",
        const="default",
        default="none",
        help=f"{words(COMPILING)}: torch.compile the networks, in minutes",
    )
    help = "keep feature maps in memory as (N, H, W, C), the order for tensor cores"
    flag("--channels_last", **SWITCH, default=False, help=help)


def add_training(parser: OptionParser) -> None:
    flag = parser.topic(TOPIC, scope="training")
    help = "one pass for two where results differ by rounding alone"
    flag("--economies", **SWITCH, default=True, help=help)
    help = "gradient checkpointing: less memory, more time"
    flag("--grad_checkpoint", **SWITCH, default=False, help=help)
    help = "use repeatable operations where PyTorch has them; slower"
    flag("--deterministic", **SWITCH, default=False, help=help)
    help = "each step as one CUDA graph; not measured on a GPU, so auto is no"
    flag("--capture", default="auto", help=f"{words(CAPTURING)}: {help}")
