"""StarGAN: its targets, flags and steps."""

import itertools

import pytest
import torch

from models import create_model, losses, prepare
from models.flags import HAIR
from models.stargan_labels import Labels
from options.train_options import TrainOptions
from util.errors import InputError

FACES = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"]
SMALL = "--g_conv_dim 4 --d_conv_dim 4 --g_repeat_num 1 --d_repeat_num 3 --image_size 16 --batch_size 4".split()


def command(tmp_path, dataroot, *words):
    where = ["--dataroot", dataroot, "--checkpoints_dir", tmp_path / "runs", "--device", "cpu"]
    return [*map(str, where), *words]


def options_of(tmp_path, *words):
    return TrainOptions(command(tmp_path, "none", "--model", "stargan", *SMALL, *words)).parse()


def model_of(tmp_path, *words):
    torch.manual_seed(0)
    opt = options_of(tmp_path, *words)
    model = create_model(opt)
    prepare(model, [], opt)
    return model


def batch(label, images=4):
    return {"A": torch.randn(images, 3, 16, 16), "label": label, "A_paths": ["a"] * images}


def test_usual_targets_are_the_attributes_and_their_four_combinations():
    combined = ["Brown_Hair+Male", "Brown_Hair+Young", "Male+Young", "Brown_Hair+Male+Young"]
    assert Labels(FACES, [], HAIR).usual() == [*FACES, *combined]
    assert Labels(["Male", "Smiling"], []).usual() == ["Male", "Smiling"]
    assert Labels([], ["cat", "dog"]).usual() == ["cat", "dog"]
    assert Labels(["Male", "Young"], ["sad"]).usual() == ["Male", "Young", "Male+Young", "sad"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("Blond_Hair", [0, 1, 0, 1, 0]),
        ("Black_Hair", [1, 0, 0, 1, 0]),
        ("Male", [1, 0, 0, 0, 0]),
        ("Brown_Hair+Male+Young", [0, 0, 1, 0, 1]),
    ],
)
def test_exclusive_attributes_replace_each_other_and_others_are_flipped(target, expected):
    has = torch.tensor([[1.0, 0, 0, 1, 0]])
    assert Labels(FACES, [], HAIR).condition(target, has).tolist() == [expected]
    assert has.tolist() == [[1, 0, 0, 1, 0]]


def test_conditions_for_two_datasets_contain_the_mask():
    targets = Labels(["Male", "Young"], ["sad", "glad"])
    has = torch.tensor([[1.0, 0]])
    assert targets.condition("Young", has).tolist() == [[1, 1, 0, 0, 1, 0]]
    assert targets.condition("glad", has).tolist() == [[0, 0, 0, 1, 0, 1]]
    assert targets.width == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Blond_Hiar", "did you mean 'Blond_Hair'"),
        ("Male+Bald", "'Bald'"),
        ("Black_Hair+Blond_Hair", "exclude each other"),
        ("Male+Male", "twice"),
        ("Male,", "''"),
        ("sad+Male", "sad is a domain of a folder"),
    ],
)
def test_an_impossible_target_gives_one_line(text, said):
    with pytest.raises(InputError, match=said.replace("+", r"\+")):
        Labels(FACES, ["sad"], HAIR).parse(text)


def test_a_target_with_values_may_be_a_text_or_a_dict():
    labels = Labels(["Male", "Young"], [])
    assert labels.named("Male=1+Young=0") == {"Male=1+Young=0": {"Male": 1, "Young": 0}}
    assert labels.condition({"Male": 1, "Young": 0}, torch.zeros(2, 2)).tolist() == [[1, 0]] * 2
    with pytest.raises(InputError, match="Old"):
        labels.named("Male=1+Old=0")


@pytest.mark.parametrize("names", [(["Black_Hair", "Blond_Hair", "Male"], ["x", "y"]), (["Male", "Young"], [])])
def test_needs_attributes_tells_whether_the_condition_depends_on_the_image(names):
    labels = Labels(*names, exclusive=["Black_Hair", "Blond_Hair"])
    values = itertools.product((None, 0, 1), repeat=len(labels.attributes))
    dicts = [{name: value for name, value in zip(labels.attributes, each) if value is not None} for each in values]
    for target in [*labels.names, "+".join(labels.attributes[-2:]), *filter(None, dicts)]:
        if not (isinstance(target, dict) and target.get("Black_Hair") and target.get("Blond_Hair")):
            unknown = torch.full((1, len(labels.attributes)), torch.nan)
            assert labels.needs_attributes(target) == bool(labels.condition(target, unknown).isnan().any()), target


def test_the_discriminator_predicts_attributes_of_images_of_another_size(tmp_path):
    model = model_of(tmp_path)
    large, targets = torch.rand(2, 3, 32, 40) * 2 - 1, {"Male": "Male"}
    small = torch.nn.functional.interpolate(large, (16, 16), mode="bilinear", antialias=True)
    with torch.no_grad():
        predicted = (model.netD(small)[1] > 0).float()
        assert torch.equal(model.attributes_for(large, targets), predicted)
        assert torch.equal(model.attributes_for(small, targets), predicted)


def test_targets_may_be_separated_by_commas_with_blanks():
    assert Labels(FACES, [], HAIR).parse("Male, Brown_Hair+Male,Male") == {
        name: name for name in ("Male", "Brown_Hair+Male")
    }
    assert Labels([], ["a+b", "c"]).parse("a+b") == {"a+b": "a+b"}


def test_defaults_are_the_originals(tmp_path):
    opt = TrainOptions(command(tmp_path, "none", "--model", "stargan")).parse()
    assert (opt.c_dim, opt.c2_dim, opt.image_size, opt.batch_size, opt.n_critic) == (5, 8, 128, 16, 5)
    assert (opt.g_conv_dim, opt.d_conv_dim, opt.g_repeat_num, opt.d_repeat_num) == (64, 64, 6, 6)
    assert (opt.lambda_cls, opt.lambda_rec, opt.lambda_gp, opt.g_lr, opt.d_lr) == (1, 10, 10, 1e-4, 1e-4)
    assert (opt.beta1, opt.beta2, opt.selected_attrs, opt.dataset_mode) == (0.5, 0.999, FACES, "celeba")
    assert (opt.n_iters, opt.n_iters_decay, opt.lr_update_step) == (100_000, 100_000, 1000)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--crop_size 64", "--celeba_crop_size, --image_size"),
        ("--load_size 64", "--load_size"),
        ("--preprocess none", "--preprocess"),
        ("--lr 0.1", "--g_lr and --d_lr"),
        ("--ngf 8", "--g_conv_dim"),
        ("--netG unet_128", "--g_repeat_num"),
        ("--gan_mode lsgan", "always WGAN"),
        ("--domains a b", "--selected_attrs"),
        ("--n_iters 3 --n_epochs 3", "give one of them"),
        ("--epoch_count 3", "is in iterations"),
    ],
)
def test_flags_without_meaning_for_stargan_are_refused(tmp_path, words, said):
    with pytest.raises(InputError) as caught:
        TrainOptions(command(tmp_path, "none", "--model", "stargan", *words.split())).parse()
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--c_dim 4", "the data has 5 domains"),
        ("--selected_attrs Male Male --c_dim 2", "Male: this name is given twice"),
        ("--image_size 18", "try 20"),
        ("--image_size 4", "halves it 3 times"),
        ("--output_nc 1", "--output_nc 1"),
    ],
)
def test_sizes_that_do_not_fit_give_one_line(tmp_path, words, said):
    with pytest.raises(InputError, match=said):
        create_model(options_of(tmp_path, *words.split()))


def test_every_model_can_count_iterations_or_epochs(tmp_path):
    opt = TrainOptions(command(tmp_path, "none", "--n_iters", "300")).parse()
    assert (opt.model, opt.n_iters, opt.n_iters_decay, opt.lr_update_step) == ("cycle_gan", 300, 0, 1)
    opt = options_of(tmp_path, "--n_epochs", "3")
    assert (opt.n_iters, opt.n_iters_decay, opt.n_epochs) == (0, 0, 3)


def test_target_labels_are_a_permutation_of_the_labels_of_the_batch(tmp_path):
    model = model_of(tmp_path)
    labels = torch.arange(12.0).view(6, 2)
    torch.manual_seed(0)
    drawn = [model.draw_target_labels(labels) for _ in range(20)]
    assert all(sorted(each.tolist()) == labels.tolist() for each in drawn)
    assert len({str(each.tolist()) for each in drawn}) > 5
    alpha = model.draw_gp_alpha(7)
    assert alpha.shape == (7, 1, 1, 1) and alpha.min() >= 0 and alpha.max() < 1 and len(alpha.unique()) == 7


def test_the_generator_is_updated_every_n_critic_iterations(tmp_path):
    model, moved = model_of(tmp_path, "--n_critic", "3"), []
    for _ in range(7):
        before = model.netG.main[0].weight.clone()
        model.set_input(batch(torch.randint(0, 2, (4, 5)).float()))
        model.optimize_parameters()
        moved.append(not torch.equal(before, model.netG.main[0].weight))
        assert ("G/loss_rec" in model.get_current_losses()) == (len(moved) >= 3)
    assert moved == [False, False, True, False, False, True, False]


BOTH = "--dataset_mode celeba_and_folders --selected_attrs Male Young --domains sad glad cross --n_critic 2".split()
FROM_FILE = torch.tensor([[0.0, 1, 0, 0, 0, 1, 0]] * 4)
FROM_FOLDER = torch.tensor([[0.0, 0, 0, 1, 0, 0, 1]] * 4)


def test_with_two_datasets_an_iteration_has_a_batch_of_each(tmp_path):
    model, moved = model_of(tmp_path, *BOTH), []
    for label in [FROM_FILE, FROM_FOLDER] * 4:
        before = model.netG.main[0].weight.clone()
        model.set_input(batch(label))
        model.optimize_parameters()
        moved.append(not torch.equal(before, model.netG.main[0].weight))
    assert moved == [False, False, True, True, False, False, True, True]
    assert model.netG.main[0].weight.shape[1] == 3 + 2 + 3 + 2
    assert model.netD.conv2.weight.shape[0] == 2 + 3


@pytest.mark.parametrize(("label", "alone"), [(FROM_FILE, 0), (FROM_FOLDER, 1)])
def test_with_two_datasets_the_classification_loss_is_that_of_each_alone(tmp_path, label, alone):
    model = model_of(tmp_path, *BOTH)
    model.set_input(batch(label))
    model.optimize_parameters()
    reported = model.get_current_losses()["D/loss_cls"]
    model = model_of(tmp_path, *BOTH)
    torch.manual_seed(1)
    data = batch(label)
    model.set_input(data)
    logits = model.netD(data["A"])[1]
    parts = (logits[:, :2], label[:, :2]), (logits[:, 2:], label[:, 2:5].argmax(1))
    expected = losses.classification_loss(*parts[alone])
    assert model.labels.classification_loss(logits, label).item() == pytest.approx(expected.item())
    assert reported > 0


def test_separate_gp_gives_the_penalty_its_own_update(tmp_path):
    model, steps = model_of(tmp_path, "--separate_gp"), []
    step = model.step
    model.step = lambda optimizers, loss, **more: (steps.append(loss.__name__), step(optimizers, loss, **more))
    model.set_input(batch(torch.ones(4, 5)))
    model.optimize_parameters()
    assert steps == ["discriminator_loss", "penalty_loss"]
    assert set(model.get_current_losses()) == {"D/loss_real", "D/loss_fake", "D/loss_cls", "D/loss_gp"}


@pytest.mark.parametrize(
    "label", [None, torch.ones(4, 3), torch.tensor([0, 1, 2, 3])], ids=["none", "narrow", "classes"]
)
def test_labels_that_do_not_fit_the_model_give_one_line(tmp_path, label):
    model = model_of(tmp_path)
    data = batch(label)
    with pytest.raises(InputError, match="label"):
        model.set_input({key: value for key, value in data.items() if value is not None})


def test_visuals_change_no_weights_and_show_the_first_batch(tmp_path):
    model = model_of(tmp_path)
    first = batch(torch.ones(4, 5))
    for data in (first, batch(torch.zeros(4, 5))):
        model.set_input(data)
        model.optimize_parameters()
    before = {key: value.clone() for key, value in model.netG.state_dict().items()}
    model.compute_visuals()
    assert all(torch.equal(value, before[key]) for key, value in model.netG.state_dict().items())
    columns = model.get_current_visuals()
    assert list(columns) == ["real_A", *Labels(FACES, [], HAIR).usual()]
    assert torch.equal(columns["real_A"], torch.cat(tuple(first["A"]), dim=1)[None])
    assert {tuple(column.shape) for column in columns.values()} == {(1, 3, 4 * 16, 16)}


def test_eval_changes_no_result(tmp_path):
    model = model_of(tmp_path)
    model.eval()
    assert model.netG.training and model.netD.training


def test_biases_get_gradients_of_0_from_a_separate_penalty(tmp_path):
    model = model_of(tmp_path, "--separate_gp")
    model.set_input(batch(torch.ones(4, 5)))
    model.optimize_parameters()
    gradients = {key: parameter.grad for key, parameter in model.netD.named_parameters()}
    assert all(gradients[key].eq(0).all() for key in gradients if key.startswith("main") and key.endswith("bias"))
    assert gradients["main.0.weight"].any() and gradients["conv2.weight"] is None
