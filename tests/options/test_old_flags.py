"""Flags of other programs: the message names the flag to use."""

import re

import pytest

from options import hints, old_flags
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import InputError

TRAINING = [
    ("--niter 100", "--niter: no such flag here; use --n_epochs. --help_all"),
    ("--niter_decay 100", "use --n_epochs_decay"),
    ("--epochs 100", "use --n_epochs and --n_epochs_decay"),
    ("--resume", "use --continue_train"),
    ("--batchSize 2", "did you mean '--batch_size'"),
    ("--loadSize 286", "did you mean '--load_size'"),
    ("--fineSize 256", "use --crop_size"),
    ("--nThreads 2", "use --num_threads"),
    ("--which_direction BtoA", "use --direction"),
    ("--learning_rate 1", "use --lr "),
    ("--output x", "use --checkpoints_dir in training"),
    ("--model stargan --num_iters 200000", "use --n_iters (before the decay) and --n_iters_decay"),
    ("--model stargan --resume_iters 100000", "use --continue_train"),
    ("--model stargan --test_iters 200000", "leave it out"),
    ("--mode train", "leave it out: train.py trains and test.py tests"),
    ("--batch 2", "did you mean '--batch_size'"),
    ("--n_epocs 2", "did you mean '--n_epochs'"),
    ("--num-threads 2", "did you mean '--num_threads'"),
    # of another model, data set or program
    ("--CUT_mode CUT", "a flag of --model cut and --model fastcut and --model sincut, and this is --model cycle_gan"),
    ("--DCL_mode SIM", "a flag of --model dclgan and --model simdcl"),
    ("--model cut --lambda_l1 10", "a flag of --model pix2pix and --model colorization, and this is --model cut."),
    ("--celeba_image_dir x", "a flag of --dataset_mode celeba and --dataset_mode celeba_and_folders"),
    ("--num_test 5", "it is a flag of test.py, not of train.py."),
    # values
    ("--model CycleGAN", "did you mean 'cycle_gan'?"),
    ("--model SimDCL", "did you mean 'simdcl'?"),
    ("--lr_policy lambda", "use --lr_policy linear"),
    ("--norm sync_batch", "use --norm syncbatch"),
]


@pytest.mark.parametrize(("words", "says"), TRAINING, ids=[words for words, _ in TRAINING])
def test_old_flags_of_training_name_the_flag_to_use(words, says, tmp_path):
    with pytest.raises(InputError) as error:
        TrainOptions(["--dataroot", str(tmp_path), *words.split()]).parse()
    assert says in str(error.value)


TESTS = [
    ("--lambda_A 1", "a flag of train.py, not of test.py; a test takes what it needs from the trained run."),
    ("--n_epochs 1", "a flag of train.py, not of test.py"),
    ("--how_many 5", "use --num_test"),
    ("--which_epoch 5", "use --epoch"),
]


@pytest.mark.parametrize(("words", "says"), TESTS, ids=[words for words, _ in TESTS])
def test_old_flags_of_a_test_name_the_flag_to_use(words, says, tmp_path):
    with pytest.raises(InputError) as error:
        TestOptions(["--dataroot", str(tmp_path), *words.split()]).parse()
    assert says in str(error.value)


def test_every_row_of_the_table_is_used_and_names_existing_flags():
    ours = hints.flags_of(True) | hints.flags_of(False)
    setters = [setter for table in hints.CHOICES.values() for setter in table.values()]
    added = set().union(*(hints.flags_of(True, setter) for setter in setters))
    assert len(old_flags.BY_FLAG) == sum(len(row.flags) for row in old_flags.OLD_FLAGS), "a flag stands in two rows"
    for row in old_flags.OLD_FLAGS:
        assert not ours & set(row.flags), row
        for flag in re.findall(r"--\w+", row.here):
            assert flag in ours | added, f"{row.flags}: {flag}"


def test_a_training_without_a_model_states_which_model_it_trains(tmp_path, capsys):
    line = "no --model given: the model is cycle_gan (the default of CUT's program was --model cut"
    for words, stated in (([], True), (["--model", "cycle_gan"], False)):
        options = TrainOptions(["--dataroot", str(tmp_path), *words])
        options.parse()
        options.show()
        assert (line in capsys.readouterr().out) is stated
