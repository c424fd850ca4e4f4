"""The flags of all models and data sets, by topic, the most used first. No function imports torch.

Each flag has a scope (util/flags.py). ``-h`` shows the flags with ``common=True``.
"""

from collections.abc import Iterable

import data
import models
from data.flags import PREPROCESS
from models.tables import DISCRIMINATORS, GENERATORS, INITS, NORMS
from options import evaluation_flags, machine_flags, training_flags
from options.parser import OptionParser
from util.flags import SWITCH, Float, Int, count, data_range, size, words

OUTPUT_FORMATS = ("png", "tif", "npy", "npz", "jpg", "webp")

RUN, DATA, NETWORKS = "the run", "the data", "the model's networks"
SAVING, SHOWING = "saving", "showing"
PLUG_INS = "for plug-ins"
TOPICS = (
    *(RUN, DATA, NETWORKS, training_flags.SCHEDULE, training_flags.LOSSES, SAVING),
    *(evaluation_flags.TOPIC, SHOWING, machine_flags.TOPIC, PLUG_INS),
)

PHASE = "part of the data: the folders <phase>A and <phase>B, or <phase>"


def parser_with_flags(is_train: bool, command_line: Iterable[str] = ()) -> OptionParser:
    """A parser with the flags of train.py or of test.py that do not depend on the model and the data set."""
    parser = OptionParser(command_line)
    add_both(parser)
    (add_training if is_train else add_testing)(parser)
    return parser


def add_both(parser: OptionParser) -> None:
    """The flags of train.py and of test.py."""
    parser.topics = list(TOPICS)
    add_run(parser)
    add_data(parser)
    add_networks(parser)
    add_showing(parser)
    evaluation_flags.add_both(parser)
    machine_flags.add_both(parser)
    add_for_plug_ins(parser)


def add_run(parser: OptionParser) -> None:
    flag = parser.topic(RUN, scope="run")
    help = "folder with the images (required)"
    flag("--dataroot", help=help, scope="machine", resume=True, common=True)
    help = "name of the run, whose files are in <checkpoints_dir>/<name>"
    flag("--name", default="experiment_name", help=help, common=True)
    names = f"{words(models.BUILT_IN)}, or models/<name>_model.py of your own"
    flag("--model", type=models.own_name, default="cycle_gan", help=names, scope="network", common=True)
    flag("--epoch", default="latest", help="checkpoint to load: the number of an epoch, latest or best", common=True)
    help = "if above 0: load iter_<load_iter> instead of --epoch"
    flag("--load_iter", type=Int(0), default=0, help=help)
    flag("--checkpoints_dir", default="./checkpoints", help="folder of the runs", scope="machine", common=True)
    flag("--suffix", default="", help="added to --name in training, e.g. {model}_{netG}_size{load_size}")
    help = "seed of all random numbers (none given: drawn at random, printed and saved)"
    flag("--seed", type=Int(0, 2**63 - 1), help=help, scope="training", common=True)
    help = "read flags from this YAML or JSON file, or a run's train_opt.json; the command line overrides them"
    flag("--config", metavar="FILE", help=help, common=True)
    flag("--verbose", **SWITCH, default=False, help="print the networks")


def add_data(parser: OptionParser) -> None:
    flag = parser.topic(DATA, scope="data")
    names = f"{words(data.BUILT_IN)}, or data/<name>_dataset.py"
    flag("--dataset_mode", default="unaligned", help=names, common=True)
    flag("--batch_size", type=Int(1), default=1, help="images per step", restore=False, common=True)
    help = "images are scaled to this size, a number or height,width ..."
    flag("--load_size", type=size, default=286, help=help, restore=False, common=True)
    help = "... and then cropped to this size, a number or height,width"
    flag("--crop_size", type=size, default=256, help=help, common=True)
    help = "values of the image files that become -1 and 1, as in 0,4095 (none given: all values of their type)"
    flag("--data_range", type=data_range, help=help)
    flag("--preprocess", default="resize_and_crop", help=words(PREPROCESS), common=True)
    help = "AtoB | BtoA; in a test of a two-sided run either direction (none given: as trained)"
    flag("--direction", default="AtoB", help=help, common=True)
    help = "processes that load data, by default at most one per core; 0 = the main process loads"
    flag("--num_threads", type=Int(0), default=4, help=help, scope="machine", resume=True, common=True)
    help = "largest factor by which --dataset_mode singleimage reduces the images in training, drawn for each step"
    flag("--random_scale_max", type=Float(low=1), default=3.0, help=help)
    help = "largest number of images to use"
    flag("--max_dataset_size", type=count, default=float("inf"), help=help, restore=False)
    flag("--no_flip", **SWITCH, default=False, help="do not mirror images at random", restore=False)
    help = "take the images in order instead of shuffled"
    flag("--serial_batches", **SWITCH, default=False, help=help, restore=False)
    help = "leave out the last batch of an epoch if it is short"
    flag("--drop_last", **SWITCH, default=False, help=help, restore=False)


def add_networks(parser: OptionParser) -> None:
    flag = parser.topic(NETWORKS, scope="network")
    flag("--netG", default="resnet_9blocks", help=words(GENERATORS), common=True)
    flag("--netD", default="basic", help=f"{words(DISCRIMINATORS)}; basic is the 70x70 PatchGAN", common=True)
    flag("--ngf", type=Int(1), default=64, help="channels of the generator's first layer", common=True)
    flag("--ndf", type=Int(1), default=64, help="channels of the discriminator's first layer", common=True)
    flag("--norm", default="instance", help=words(NORMS), common=True)
    flag("--input_nc", type=Int(1), default=3, help="channels of the input images: 3 colour, 1 gray", common=True)
    flag("--output_nc", type=Int(1), default=3, help="channels of the output images: 3 colour, 1 gray", common=True)
    flag("--n_layers_D", type=Int(1, 8), default=3, help="depth of the discriminator, with --netD n_layers")
    help = "number of PatchGAN discriminators, which classify the image at scales 1, 1/2, 1/4, ..."
    flag("--num_D", type=Int(1, 5), default=1, help=help)
    flag("--normG", default=None, help="normalisation of the generator (none given: --norm)")
    flag("--normD", default=None, help="normalisation of the discriminator (none given: --norm)")
    flag("--no_dropout", **SWITCH, default=False, help="no dropout in the generator")
    flag("--no_antialias", **SWITCH, default=True, help="strided convolutions instead of blurred downsampling")
    flag("--no_antialias_up", **SWITCH, default=True, help="transposed convolutions instead of blurred upsampling")
    help = "halvings of the generator, with --netG stylegan2 and smallstylegan2"
    flag("--stylegan2_G_num_downsampling", type=Int(1, 6), default=1, help=help)
    help = "image side for which StyleGAN2's networks have their channels (none given: that of the training images)"
    flag("--stylegan2_size", type=Int(4), help=help)
    help = "side of the tiles that --netD tilestylegan2 classifies separately (none given: the whole image)"
    flag("--D_patch_size", type=Int(4), help=help)
    flag("--init_type", default="normal", help=words(INITS), scope="training")
    help = "scale of normal, xavier and orthogonal init"
    flag("--init_gain", type=Float(above=0), default=0.02, help=help, scope="training")


def add_showing(parser: OptionParser) -> None:
    flag = parser.topic(SHOWING, scope="training", restore=False)
    flag("--display_winsize", type=Int(1), default=256, help="width of the images on the pages, in pixels")
    flag("--use_wandb", **SWITCH, default=False, help="also log to Weights & Biases")
    flag("--wandb_project_name", default="CycleGAN-and-pix2pix", help="name of the project in Weights & Biases")
    flag("--use_tensorboard", **SWITCH, default=False, help="write TensorBoard event files into the run's folder")


def add_for_plug_ins(parser: OptionParser) -> None:
    """Flags of the original programs that no built-in model or data set reads."""
    flag = parser.topic(PLUG_INS)
    help = "name of the run on pages that compare runs"
    flag("--easy_label", default="experiment_name", help=help, scope="run", resume=True)


def add_training(parser: OptionParser) -> None:
    """The flags of train.py alone."""
    add_training_run(parser)
    training_flags.add_schedule(parser)
    training_flags.add_losses(parser)
    add_saving(parser)
    evaluation_flags.add_training(parser)
    add_training_display(parser)
    machine_flags.add_training(parser)
    help = "images between two evaluations of a plug-in"
    parser.topic(PLUG_INS)("--evaluation_freq", type=Int(1), default=5000, help=help, scope="training")


def add_training_run(parser: OptionParser) -> None:
    flag = parser.topic(RUN, scope="run")
    help = "continue the run --name where it stopped, with its options"
    flag("--continue_train", **SWITCH, default=False, help=help, common=True)
    help = "start anew in a folder that holds checkpoints, and delete them"
    flag("--overwrite", **SWITCH, default=False, help=help, common=True)
    flag("--max_time", type=Float(above=0), help="save and exit after this many minutes (none given: no limit)")
    help = "start a new run from the weights in this run's folder (see --epoch) or .pth file"
    flag("--init_from", help=help)
    help = "with --continue_train: load the weights from this run instead of --name"
    flag("--pretrained_name", default=None, help=help)
    flag = parser.topic(DATA, scope="data")
    flag("--phase", default="train", help=PHASE, restore=False)
    help = "replace an image that can't be read by the next image"
    flag("--skip_bad_images", **SWITCH, default=False, help=help)


def add_saving(parser: OptionParser) -> None:
    flag = parser.topic(SAVING, scope="training")
    help = "epochs between two saves of an epoch's weights"
    flag("--save_epoch_freq", type=Int(1), default=5, help=help, common=True)
    help = "images between two saves of the latest weights"
    flag("--save_latest_freq", type=Int(1), default=5000, help=help, common=True)
    help = "keep the weights of this many epochs and delete older weights (none given: all)"
    flag("--keep_last", type=Int(1), help=help)
    flag("--save_by_iter", **SWITCH, default=False, help="save as iter_<images> instead of latest")


def add_training_display(parser: OptionParser) -> None:
    """Frequencies count images. Losses and images are shown at least once in every epoch."""
    flag = parser.topic(SHOWING, scope="training")
    flag("--print_freq", type=Int(1), default=100, help="images between two lines of losses", common=True)
    help = "images between two updates of the pictures"
    flag("--display_freq", type=Int(1), default=400, help=help, common=True)
    help = "images between two updates of web/index.html"
    flag("--update_html_freq", type=Int(1), default=1000, help=help)
    help = "fixed images translated at every update of the pictures, from val, test or train; 0 = none"
    flag("--display_samples", type=Int(0), default=4, help=help)
    flag("--no_html", **SWITCH, default=False, help="no intermediate pictures in the run's web/ folder")
    help = "first visdom window; 0 or -1 = no visdom (none given: from the run's name)"
    flag("--display_id", type=int, help=help, common=True)
    flag("--display_ncols", type=int, default=4, help="pictures per row in visdom; 0 = a window each")
    flag("--display_server", default="http://localhost", help="address of the visdom server")
    flag("--display_port", type=Int(1, 65535), default=8097, help="port of the visdom server")
    flag("--display_env", default=None, help="visdom environment (none given: the run's name)")


def add_testing(parser: OptionParser) -> None:
    """The flags of test.py alone."""
    flag = parser.topic(RUN, scope="run", common=True)
    flag("--results_dir", default="./results/", help="folder of the result pages")
    flag("--num_test", type=count, default=float("inf"), help="largest number of images to test")
    flag("--tile", type=Int(16), help="translate large images in tiles with this side in pixels, with less memory")
    help = "pixels around a tile that are input of the network, too (none given: as many as an exact result needs)"
    flag("--tile_overlap", type=Int(0), help=help)
    help = "measure the statistics of norms on this many tiles: faster and less exact (none given: on all tiles)"
    flag("--tile_samples", type=Int(1), help=help)
    flag("--phase", default="test", help=PHASE, scope="data", restore=False, topic=DATA)
    help = "leave out images that can't be read and list them at the end (exit code 1); no = stop at the first"
    flag("--skip_bad_images", **SWITCH, default=True, help=help, scope="data", restore=False, topic=DATA)
    flag("--eval", **SWITCH, default=False, help="networks in eval mode: running statistics, no dropout")
    help = "test the weights averaged by --ema instead of the trained weights (none given: if the run has them)"
    flag("--use_ema", **SWITCH, default=None, help=help)
    evaluation_flags.add_testing(parser)
    flag = parser.topic(SHOWING, scope="run")
    flag("--results_layout", default="flat", help="flat (<image>_<label>.png) | folders (<label>/<image>.png)")
    help = f"format of the results: {words(OUTPUT_FORMATS)} (none given: PNG for 8 bits, otherwise the input's)"
    flag("--output_format", choices=OUTPUT_FORMATS, help=help)
    flag("--aspect_ratio", type=Float(above=0), default=1.0, help="stretch result images to this width/height")
