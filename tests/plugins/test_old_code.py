"""Behaviour that model and dataset files of the original programs rely on; a small file for each point."""

import copy
import pickle
import textwrap

import numpy as np
import pytest
import torch
from PIL import Image
from test_plugins import command, train

import data
import models
import test as test_program
from options.test_options import TestOptions
from options.train_options import TrainOptions
from metamer import load
from util.errors import InputError
from util.namespace import Options, for_users, framework
from util.numerics import seeding
from util.run import folder as run_folder


MINE = """
import torch
from models import networks
from models.base_model import BaseModel

class MineModel(BaseModel):
    def __init__(self, opt):
        BaseModel.__init__(self, opt)
        self.loss_names, self.visual_names, self.model_names = ["G"], ["real_A", "fake_B"], ["G"]
        self.netG = networks.define_G(opt.input_nc, opt.output_nc, opt.ngf, "resnet_4blocks", opt.norm)
        if self.isTrain:
            self.optimizer_G = torch.optim.Adam(self.netG.parameters(), lr=opt.lr)
            self.optimizers.append(self.optimizer_G)

    def set_input(self, input):
        self.real_A, self.image_paths = input["A"].to(self.device), input["A_paths"]

    def forward(self):
        self.fake_B = self.netG(self.real_A)

    def optimize_parameters(self):
        self.forward()
        self.optimizer_G.zero_grad()
        self.loss_G = self.fake_B.abs().mean()
        self.loss_G.backward()
        self.optimizer_G.step()
"""


def mine(*further):
    """The source of MineModel with further methods."""
    return MINE + "".join(textwrap.indent(textwrap.dedent(text), "    ") for text in further)


def options_of(photos, tmp_path, *words, kind=TrainOptions):
    return kind(command(photos, tmp_path, *words)).parse()


def made(photos, tmp_path, *words):
    """A new model, ready to be trained."""
    opt = options_of(photos, tmp_path, "--ngf", "4", "--ndf", "4", *words)
    return models.create_model(opt), opt


# --- files -----------------------------------------------------------------------------------------------------------


def test_files_that_save_networks_writes_are_all_kept(plugin, photos, tmp_path):
    saves = """
    def save_networks(self, epoch):
        import os
        BaseModel.save_networks(self, epoch)
        os.makedirs(os.path.join(self.save_dir, "ema"), exist_ok=True)
        torch.save(self.netG.state_dict(), os.path.join(self.save_dir, "ema", "%s.pth" % epoch))
        torch.save(self.optimizer_G.state_dict(), self.save_dir + "/%s_optimizer.pth" % epoch)
        (self.save_dir / "iter.txt").write_text(str(epoch))
    """
    plugin("mine_model", mine(saves))
    run = train(photos, tmp_path, "--model", "mine", "--save_epoch_freq", "1", "--keep_last", "1")
    kept = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {"ema/latest.pth", "ema/1.pth", "ema/2.pth", "latest_optimizer.pth", "1_optimizer.pth", "iter.txt"} <= kept
    assert "1_net_G.pth" not in kept and "2_net_G.pth" in kept  # --keep_last prunes only files of the framework


def test_a_file_of_a_plug_in_with_the_name_of_a_state_is_refused(plugin, photos, tmp_path):
    saves = """
    def save_networks(self, epoch):
        torch.save({}, self.save_dir + "/%s_state.pth" % epoch)
    """
    plugin("mine_model", mine(saves))
    with pytest.raises(InputError, match=r"save_networks\(\) writes latest_state.pth.*choose another name"):
        train(photos, tmp_path, "--model", "mine")


# --- tests -----------------------------------------------------------------------------------------------------------

MASKS = """
import os
from data.base_dataset import BaseDataset, get_transform
from data.image_folder import make_dataset
from PIL import Image

class MasksDataset(BaseDataset):
    def __init__(self, opt):
        BaseDataset.__init__(self, opt)
        self.paths = sorted(make_dataset(os.path.join(opt.dataroot, "masks")))
        self.transform = get_transform(opt)

    def __getitem__(self, index):
        image = self.transform(Image.open(self.paths[index]).convert("RGB"))
        return {"A": image, "B": image, "A_paths": self.paths[index], "B_paths": self.paths[index]}

    def __len__(self):
        return len(self.paths)
"""


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 80, 3), 9, np.uint8)).save(path)
    return path


def test_the_data_set_of_a_plug_in_is_never_replaced_in_a_test(plugin, photos, tmp_path):
    plugin("masks_dataset", MASKS)
    image(photos / "masks" / "m.png")
    train(photos, tmp_path, "--model", "template", "--dataset_mode", "masks", "--netG", "resnet_4blocks")
    elsewhere = image(tmp_path / "elsewhere" / "photo.png").parent
    image(elsewhere / "masks" / "mask.png")
    opt = options_of(elsewhere, tmp_path, kind=TestOptions)
    assert opt.dataset_mode == "masks"
    assert [item["A_paths"][0] for item in data.create_dataset(opt)] == [str(elsewhere / "masks" / "mask.png")]


@pytest.mark.parametrize(("files", "mode"), [
    (["a.png"], "single"), (["a.png", "notes/x.txt"], "single"), (["a.png", "train/x.png"], "unaligned"),
    (["trainA/x.png", "trainB/x.png"], "unaligned"), (["a.png", "valA/x.png"], "unaligned"),
    (["a.png", "test_old/x.png"], "unaligned"), (["sub/a.png"], "unaligned"), ([], "unaligned"),
])  # fmt: skip
def test_single_replaces_a_built_in_dataset_only_in_a_plain_folder(files, mode, photos, tmp_path):
    options = TrainOptions(command(photos, tmp_path, "--model", "cycle_gan"))
    options.parse()
    options.save()
    folder = tmp_path / "given"
    folder.mkdir()
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    opt = options_of(folder, tmp_path, kind=TestOptions)
    assert opt.dataset_mode == mode
    if mode != "single" and "valA/x.png" not in files:  # valA stands in for testA
        with pytest.raises(InputError, match=r"--dataset_mode unaligned reads <dataroot>/testA and <dataroot>/testB"):
            data.create_dataset(opt)


def test_pairs_without_a_test_folder_are_not_read_as_single_images(tmp_path):
    pairs = tmp_path / "pairs"
    image(pairs / "train" / "a.png")
    options = TrainOptions(command(pairs, tmp_path, "--model", "pix2pix", "--netG", "resnet_4blocks"))
    options.parse()
    options.save()
    opt = options_of(pairs, tmp_path, kind=TestOptions)
    with pytest.raises(InputError, match=r"test: there is no such folder.*name another folder with --phase \(train\)"):
        data.create_dataset(opt)


def test_a_plug_ins_defaults_for_tests_take_precedence_over_the_run(plugin, photos, tmp_path):
    sets = """
    @staticmethod
    def modify_commandline_options(parser, is_train):
        parser.set_defaults(ngf=4, preprocess="crop")
        if not is_train:
            parser.set_defaults(preprocess="none", load_size=48, dataset_mode="masks")
        return parser
    """
    plugin("mine_model", mine(sets))
    plugin("masks_dataset", MASKS)
    small = command(photos, tmp_path)[:8]  # without sizes
    options = TrainOptions([*small, "--model", "mine", "--ngf", "8", "--crop_size", "32"])
    options.parse()
    options.save()
    opt = TestOptions(small).parse()
    assert (opt.preprocess, opt.load_size, opt.dataset_mode) == ("none", 48, "masks")
    assert (opt.ngf, opt.crop_size) == (8, 32)  # also set for training: the stored values are used
    assert TestOptions([*small, "--preprocess", "resize"]).parse().preprocess == "resize"


# --- names -----------------------------------------------------------------------------------------------------------

NAMES = (
    "updates precision passes batch parts micro_batches gradient_means ema step sides batched keep_batch take_part "
    "run_forward translate make_G make_D make_adam gradient_penalty state_dict load_state_dict"
).split()


def test_a_plug_in_may_have_attributes_of_any_name(plugin, photos, tmp_path):
    attributes = " = ".join(f"self.{name}" for name in NAMES)
    plugin(
        "mine_model", MINE.replace("        if self.isTrain:", f"        {attributes} = 7\n        if self.isTrain:")
    )
    run = train(photos, tmp_path, "--model", "mine")
    assert (run / "latest_net_G.pth").exists() and "(epoch: 2, iters: 3," in (run / "loss_log.txt").read_text()
    train(photos, tmp_path, "--model", "mine", "--continue_train", "--n_epochs_decay", "2")
    assert "(epoch: 3, iters: 3," in (run / "loss_log.txt").read_text()
    test_program.main(command(photos, tmp_path, "--results_dir", str(tmp_path / "results"), "--load_size", "32"))
    assert len(list((tmp_path / "results").rglob("*fake_B.png"))) == 3


def test_a_model_that_needs_more_than_images_trains_without_fixed_samples(plugin, photos, tmp_path, capsys):
    plugin(
        "masks_dataset", MASKS.replace('{"A": image, "B": image, "A_paths"', '{"x": image, "mask": image, "A_paths"')
    )
    plugin("mine_model", MINE.replace('input["A"]', 'input["x"] * input["mask"]'))
    image(photos / "masks" / "m.png")
    run = train(photos, tmp_path, "--model", "mine", "--dataset_mode", "masks")
    line = "--display_samples: MineModel.translate() fails on a sample (KeyError('A')); no samples are shown"
    assert capsys.readouterr().out.count(line) == 1
    assert "(epoch: 2, iters: 1," in (run / "loss_log.txt").read_text() and (run / "latest_net_G.pth").exists()


def test_addresses_and_names_of_the_original_programs(plugin, photos, tmp_path):
    from models import dcl_model, dclgan_model, fastcut_model, simdcl_model

    assert dcl_model.DCLModel is dclgan_model.DCLGANModel is models.find_model_using_name("dcl")
    assert simdcl_model.SIMDCLModel is simdcl_model.SimDCLModel
    assert fastcut_model.FASTCUTModel is fastcut_model.FastCUTModel
    names = {}
    exec("from models.networks import *", names)
    for name in ("nn", "functools", "init", "torch", "lr_scheduler", "F", "np", "define_G", "GANLoss", "ResnetBlock"):
        assert name in names, name
    assert options_of(photos, tmp_path, "--model", "dcl").model == "dclgan"
    plugin("dcl_model", MINE.replace("MineModel", "DCLModel"))  # a user's file of that name is that model
    models.own_name.cache_clear()
    try:
        model, opt = made(photos, tmp_path, "--model", "dcl")
        assert opt.model == "dcl" and type(model).__module__ == "models.dcl_model"
    finally:
        models.own_name.cache_clear()


# --- the families' defaults ------------------------------------------------------------------------------------------

FIRST_BATCH = """
    def data_dependent_initialize(self, data):
        pass
"""


def flags_of_the_family(*flags):
    adds = "".join(f'    parser.add_argument("--{flag}", default="x")\n    ' for flag in flags)
    return f"""
@staticmethod
def modify_commandline_options(parser, is_train=True):
    parser.add_argument("--nce_T", type=float, default=0.07)
    parser.add_argument("--nce_includes_all_negatives_from_minibatch", default=False)
{adds}
    return parser
"""


@pytest.mark.parametrize(("name", "flags", "gan_mode", "loss"), [
    ("cut", ["CUT_mode"], "lsgan", "PatchNCELoss"), ("dclgan", ["DCL_mode"], "hinge", "CosinePatchNCELoss"),
    ("mine", ["lambda_IDT"], "hinge", "CosinePatchNCELoss"),
])  # fmt: skip
def test_a_file_of_the_contrastive_programs_has_their_defaults_under_any_name(
    name, flags, gan_mode, loss, plugin, photos, tmp_path
):
    kind = {"cut": "CUTModel", "dclgan": "DCLGANModel", "mine": "MineModel"}[name]
    plugin(f"{name}_model", mine(FIRST_BATCH, flags_of_the_family(*flags)).replace("MineModel", kind))
    opt = options_of(photos, tmp_path, "--model", name)
    assert (opt.init_type, opt.no_dropout, opt.no_antialias, opt.n_epochs, opt.n_epochs_decay) == (
        "xavier", True, False, 200, 200,
    )  # fmt: skip
    assert opt.gan_mode == gan_mode
    from models.patchnce import PatchNCELoss, PatchNCELoss2

    assert type(PatchNCELoss(opt)).__name__ == loss and type(PatchNCELoss2(opt)).__name__ == "PatchNCELoss"


def test_a_file_that_replaces_a_built_in_model_has_CycleGANs_defaults_without_the_hook(plugin, photos, tmp_path):
    plugin("cut_model", MINE.replace("MineModel", "CUTModel"))
    opt = options_of(photos, tmp_path, "--model", "cut")
    assert (opt.init_type, opt.n_epochs) == ("normal", 100)


# --- a loop of one's own ---------------------------------------------------------------------------------------------


def test_setup_loads_weights_in_a_users_training_loop(plugin, photos, tmp_path, capsys):
    plugin("mine_model", MINE)
    run = train(photos, tmp_path, "--model", "mine")
    trained = torch.load(run / "latest_net_G.pth", weights_only=True)
    for missing in (False, True):  # with and without the export, beside a state of the whole run
        if missing:
            (run / "latest_net_G.pth").unlink()
        model, opt = made(photos, tmp_path, "--model", "mine", "--continue_train")
        model.setup(opt)
        assert all(torch.equal(value, trained[key]) for key, value in model.netG.state_dict().items())
    assert "the weights are taken from" in capsys.readouterr().out
    for path in run.glob("*_state.pth"):
        path.unlink()
    with pytest.raises(InputError, match=r"latest_net_G.pth: no such checkpoint"):
        model.setup(opt)


def test_an_optimizer_that_is_not_in_the_list_is_reported(plugin, photos, tmp_path, capsys):
    plugin("mine_model", MINE.replace("self.optimizers.append(self.optimizer_G)", "pass"))
    model, opt = made(photos, tmp_path, "--model", "mine")
    model.setup(opt)
    assert "MineModel: optimizer_G is not in self.optimizers, so its learning rate does not" in capsys.readouterr().out


# --- files of 2018 ---------------------------------------------------------------------------------------------------

OLD_HEAD = "def name(self):\n        return 'mine'\n\n    def initialize(self, opt):"
OLD_SIZES = "self.sizes = opt.fineSize, opt.niter, opt.which_direction"
MODEL_OF_2018 = MINE.replace("def __init__(self, opt):", OLD_HEAD)
MODEL_OF_2018 = MODEL_OF_2018.replace("BaseModel.__init__(", f"{OLD_SIZES}\n        BaseModel.initialize(")
DATA_OF_2018 = MASKS.replace("def __init__(self, opt):", OLD_HEAD)
DATA_OF_2018 = DATA_OF_2018.replace("BaseDataset.__init__(self, opt)", "self.opt, self.root = opt, opt.dataroot")


def test_files_of_2018_with_initialize_run(plugin, photos, tmp_path):
    plugin("mine_model", MODEL_OF_2018)
    plugin("masks_dataset", DATA_OF_2018)
    image(photos / "masks" / "m.png")
    run = train(photos, tmp_path, "--model", "mine", "--dataset_mode", "masks")
    assert "(epoch: 2, iters: 1," in (run / "loss_log.txt").read_text() and (run / "latest_net_G.pth").exists()
    model, opt = made(photos, tmp_path, "--model", "mine", "--name", "other", "--n_epochs", "7")
    assert model.sizes == (32, 7, "AtoB")
    assert not hasattr(opt, "no_such_option") and "niter" not in vars(opt)


# --- StarGAN ---------------------------------------------------------------------------------------------------------


def test_celeba_image_dir_replaces_dataroot(tmp_path):
    images = tmp_path / "celeba" / "images"
    for number in range(12):
        image(images / f"{number}.png")
    rows = "".join(f"{number}.png {1 if number % 2 else -1} 1\n" for number in range(12))
    (tmp_path / "celeba" / "list_attr_celeba.txt").write_text(f"12\nMale Young\n{rows}")
    shared = ["--model", "stargan", "--checkpoints_dir", str(tmp_path), "--name", "x", "--device", "cpu"]
    shared += ["--selected_attrs", "Male", "Young", "--image_size", "64", "--celeba_image_dir", str(images)]
    for more in ([], ["--attr_path", str(tmp_path / "celeba" / "list_attr_celeba.txt")]):
        opt = TrainOptions([*shared, *more]).parse()
        assert len(data.create_dataset(opt).dataset) > 5
    folders = tmp_path / "rafd"
    image(folders / "happy" / "1.png"), image(folders / "sad" / "2.png")
    opt = TrainOptions([*shared[:8], "--dataset_mode", "labelled_folders", "--rafd_image_dir", str(folders)]).parse()
    assert opt.domains == ["happy", "sad"] and len(data.create_dataset(opt).dataset) == 2


def test_a_plug_in_may_use_names_of_our_flags_for_its_own(plugin, photos, tmp_path):
    adds = """
    @staticmethod
    def modify_commandline_options(parser, is_train):
        parser.add_argument("--compile", action="store_true")
        parser.add_argument("--precision", type=int, default=16)
        if is_train:
            parser.add_argument("--on_nan", default="ignore")
            parser.add_argument("--max_time", type=int, default=0)
        return parser

    def compute_visuals(self):
        assert (self.opt.compile, self.opt.precision) == (True, 8)
        assert not self.isTrain or (self.opt.on_nan, self.opt.max_time) == ("ignore", 0)
    """
    plugin("mine_model", mine(adds))
    run = train(photos, tmp_path, "--model", "mine", "--compile", "--precision", "8")
    assert "(epoch: 2, iters: 3," in (run / "loss_log.txt").read_text()
    words = command(photos, tmp_path, "--results_dir", str(tmp_path / "results"), "--load_size", "32")
    assert test_program.main([*words, "--compile", "--precision", "8"]) == 0
    model, opt = made(photos, tmp_path, "--model", "mine", "--name", "other")
    assert (opt.compile, opt.precision, opt.on_nan, opt.max_time) == ("none", "fp32", "stop", None)
    assert (model.opt.compile, model.opt.precision, model.opt.on_nan, model.opt.max_time) == (False, 16, "ignore", 0)


SUBCLASS = """
import torch
from models.{parent}_model import {Parent}Model

class MineModel({Parent}Model):
    @staticmethod
    def modify_commandline_options(parser, is_train=True):
        parser = {Parent}Model.modify_commandline_options(parser, is_train)
        if is_train:  # flags with meanings of this file, in place of the framework's
            parser.add_argument("--diffaugment", action="store_true")
            parser.add_argument("--label_smoothing", type=float, default=0.3)
            parser.add_argument("--num_D", type=int, default=2)
            parser.add_argument("--lambda_feat", type=float, default=7.0)
            parser.add_argument("--lambda_r1", type=float, default=7.0)
            parser.add_argument("--lazy_r1", default="often")
            parser.add_argument("--capture", default="yes")
            parser.add_argument("--compress_gradients", default="none")
        return parser

    def {verb}(self, *given):
        names = "diffaugment", "label_smoothing", "num_D", "lambda_feat", "lambda_r1"
        self.own = [getattr(self.opt, name) for name in names]
        return super().{verb}(*given)
"""


FOREIGN = ("no effect", "--label_smoothing", "--capture", "--compress_gradients")  # in messages of the framework


@pytest.mark.parametrize(
    ("parent", "kind", "verb"),
    [
        ("pix2pix", "Pix2Pix", "backward_D"),
        ("cycle_gan", "CycleGAN", "backward_D_basic"),
        ("fastcut", "FastCUT", "compute_D_loss"),
    ],
)
def test_a_subclass_with_own_flags_of_our_names_trains_as_without_ours(
    parent, kind, verb, plugin, photos, tmp_path, capsys
):
    """Its values reach its own code alone: the built-in losses and networks keep the framework's defaults."""
    plugin("mine_model", SUBCLASS.format(parent=parent, Parent=kind, verb=verb))
    words = ["--dataset_mode", "unaligned", "--netG", "resnet_4blocks", "--gan_mode", "lsgan", "--seed", "3"]
    words += ["--nce_layers", "0,4,8"] * (parent == "fastcut")
    photo = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = []
    for name, own in (("mine", ["--diffaugment", "--label_smoothing", "0.4"]), (parent, [])):
        model, opt = made(photos, tmp_path, *words, "--model", name, *own)
        torch.manual_seed(0)
        for net in model.networks_by_name().values():
            for parameter in net.parameters():
                torch.nn.init.normal_(parameter, 0, 0.02)
        models.prepare(model, [], opt)
        model.set_input({"A": photo, "B": -photo, "A_paths": ["a"], "B_paths": ["b"]})
        seeding.seed_step(3, 0)
        model.optimize_parameters()
        found.append(model)
    mine, plain = found
    assert mine.own == [True, 0.4, 2, 7.0, 7.0]
    assert mine.get_current_losses() == plain.get_current_losses()
    for name, net in plain.networks_by_name().items():
        for key, value in net.state_dict().items():
            assert torch.equal(mine.networks_by_name()[name].state_dict()[key], value), key
    printed = capsys.readouterr().out
    assert not [line for line in printed.splitlines() for word in FOREIGN if word in line]


def test_a_plug_in_with_a_diffaugment_and_a_label_smoothing_of_its_own_trains(plugin, photos, tmp_path, capsys):
    adds = """
        @staticmethod
        def modify_commandline_options(parser, is_train=True):
            parser.add_argument("--diffaugment", type=float, default=0.5)
            parser.add_argument("--label_smoothing", choices=["both", "real"], default="real")
            return parser
    """
    plugin("mine_model", mine(adds))
    run = train(photos, tmp_path, "--model", "mine", "--diffaugment", "0.25", "--label_smoothing", "both")
    printed = capsys.readouterr().out
    assert "no effect" not in printed
    assert all(f"{name}: {value}" in printed for name, value in (("diffaugment", "0.25"), ("label_smoothing", "both")))
    assert (run / "latest_net_G.pth").exists()


OURS = {
    "accumulate": "sum",
    "grad_checkpoint": 3,
    "deterministic": "no_idea",
    "keep_last": "all",
    "scale_lr": 0.5,
    "data_range": "wide",
    "max_time": "never",
    "overwrite": 7,
    "num_D": "three",
    "drop_last": "maybe",
    "eval_metrics": 9,
    "n_iters": 5,
    "economies": 0.25,
}


def test_a_flag_of_any_name_that_the_original_programs_lack_belongs_to_a_users_file(plugin, photos, tmp_path):
    """The values reach the file in training, in a test, in a continued run and from Python, and nothing else."""
    adds = f"""
    @staticmethod
    def modify_commandline_options(parser, is_train):
        for name, default in {OURS}.items():
            parser.add_argument("--" + name, type=type(default), default=default)
        group = parser.add_argument_group("mine")
        group.add_argument("--label_smoothing", choices=["soft", "hard"], default="soft")
        parser.add_argument("--compile", dest="compiles", action="store_true")
        return parser

    def set_input(self, input):
        self.real_A, self.image_paths = input["A"].to(self.device), input["A_paths"]
        assert (self.opt.accumulate, self.opt.label_smoothing, self.opt.compiles) == ("mean", "hard", True)
        assert all(getattr(self.opt, name) == value for name, value in {OURS}.items() if name != "accumulate")
        seen.append(self.isTrain)

    def translate(self, images):
        assert self.opt.accumulate == "mean" and self.opt.data_range == "wide"
        return {{"fake_B": self.netG(images)}}
    """
    plugin("mine_model", mine(adds) + "    generator_names = ('G',)\n\nseen = []\n")
    given = ["--accumulate", "mean", "--label_smoothing", "hard", "--compile"]
    run = train(photos, tmp_path, "--model", "mine", *given)
    assert "(epoch: 2, iters: 3," in (run / "loss_log.txt").read_text()
    train(photos, tmp_path, "--model", "mine", "--continue_train", "--compile", "--n_epochs_decay", "2")
    assert "(epoch: 3, iters: 3," in (run / "loss_log.txt").read_text()
    words = command(photos, tmp_path, "--results_dir", str(tmp_path / "results"), "--load_size", "32")
    assert test_program.main(words) == 0
    assert set(__import__("models.mine_model").mine_model.seen) == {True, False}
    assert load(run)(np.zeros((32, 32, 3), np.uint8)).shape == (32, 32, 3)
    _, opt = made(photos, tmp_path, "--model", "mine", "--name", "other", *given)
    assert (opt.accumulate, opt.keep_last, opt.data_range, opt.compile, opt.n_iters) == (1, None, None, "none", 0)


def test_both_views_of_the_options_survive_pickling_and_copying():
    own = Options(label_maps="cities", lr=0.1).with_own({"label_maps": "none"})
    for copied in (pickle.loads(pickle.dumps(own)), copy.deepcopy(own)):
        assert (copied.label_maps, for_users(copied).label_maps) == ("none", "cities")
        assert framework(for_users(copied)) is copied and for_users(copied).lr == 0.1
    users = pickle.loads(pickle.dumps(for_users(own)))
    assert (users.label_maps, framework(users).label_maps) == ("cities", "none")


def test_a_built_in_data_set_keeps_its_flags_beside_a_users_model_with_the_same_names(plugin, photos, tmp_path):
    adds = """
    @staticmethod
    def modify_commandline_options(parser, is_train):
        parser.add_argument("--label_maps", type=int, default=19)
        parser.add_argument("--pairs", default="hard")
        parser.add_argument("--own", default="yes")
        return parser
    """
    plugin("mine_model", mine(adds))
    options = TrainOptions(command(photos, tmp_path, "--model", "mine", "--dataset_mode", "aligned"))
    options.parse(), options.save()
    assert run_folder.read_own(str(tmp_path / "runs"), "run") == {"label_maps": "none", "pairs": None}
    model, opt = made(photos, tmp_path, "--model", "mine", "--dataset_mode", "aligned", "--label_maps", "5")
    assert (opt.label_maps, opt.pairs, model.opt.label_maps, model.opt.pairs) == ("none", None, 5, "hard")


def test_a_seed_of_a_users_file_is_the_seed_of_the_run(plugin, photos, tmp_path):
    adds = """
    @staticmethod
    def modify_commandline_options(parser, is_train):
        parser.add_argument("--seed", type=int, default=-1)
        return parser
    """
    plugin("mine_model", mine(adds))
    model, opt = made(photos, tmp_path, "--model", "mine", "--seed", "7")
    assert opt.seed == model.opt.seed == 7
    _, opt = made(photos, tmp_path, "--model", "mine", "--name", "other")
    assert opt.seed >= 0


def test_a_run_of_a_file_of_2018_translates_from_python(plugin, photos, tmp_path):
    plugin("mine_model", MODEL_OF_2018)
    run = train(photos, tmp_path, "--model", "mine")
    assert load(run)(np.zeros((32, 32, 3), np.uint8)).shape == (32, 32, 3)


def test_a_config_file_switches_a_flag_of_a_users_file(plugin, photos, tmp_path):
    adds = """
    @staticmethod
    def modify_commandline_options(parser, is_train):
        parser.add_argument("--soft", action="store_true")
        parser.add_argument("--hard", action="store_true")
        return parser
    """
    plugin("mine_model", mine(adds))
    (tmp_path / "run.json").write_text('{"model": "mine", "soft": true, "hard": false}')
    opt = options_of(photos, tmp_path, "--config", str(tmp_path / "run.json"))
    assert (opt.soft, opt.hard) == (True, False)
    assert options_of(photos, tmp_path, "--model", "mine", "--soft").soft is True
