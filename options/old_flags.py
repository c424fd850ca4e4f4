"""Flags of other programs and their counterparts here, for the error about an unknown flag.

scripts/make_options_doc.py writes the table to docs/old_commands.md.
"""

from typing import NamedTuple


class Old(NamedTuple):
    """Flags of other programs that have the same counterpart."""

    flags: tuple[str, ...]
    here: str  # the flags to use instead, in back-ticks, or an instruction
    source: str  # the programs that have the flags


FIRST = "CycleGAN and pix2pix before 2019"
STARGAN = "StarGAN"
STARGAN_2017 = "StarGAN before 2018"
COMMON = "common"

EPOCHS = "`--n_epochs` and `--n_epochs_decay`"
ITERATIONS = "`--n_iters` (before the decay) and `--n_iters_decay`"
FOLDERS = "`--checkpoints_dir` in training, `--results_dir` in a test"
SIZES = "`--load_size` and `--crop_size` (StarGAN's data sets: `--image_size`)"
PRECISION = "`--precision bf16` or `--precision fp16`"
SAVED = "`--save_epoch_freq` (epochs) or `--save_latest_freq` (images)"
STARTED = "leave it out: `torchrun` or `--gpu_ids 0,1` starts a process for each GPU"

OLD_FLAGS = (
    Old(("--niter",), "`--n_epochs`", "CycleGAN and pix2pix before 2020"),
    Old(("--niter_decay",), "`--n_epochs_decay`", "CycleGAN and pix2pix before 2020"),
    Old(("--batchSize",), "`--batch_size`", FIRST),
    Old(("--loadSize",), "`--load_size`", FIRST),
    Old(("--fineSize",), "`--crop_size`", FIRST),
    Old(("--nThreads",), "`--num_threads`", FIRST),
    Old(("--which_direction",), "`--direction`", FIRST),
    Old(("--which_epoch",), "`--epoch`", FIRST),
    Old(("--which_model_netG",), "`--netG`", FIRST),
    Old(("--which_model_netD",), "`--netD`", FIRST),
    Old(("--resize_or_crop",), "`--preprocess`", FIRST),
    Old(("--how_many", "--ntest"), "`--num_test`", FIRST),
    Old(("--identity",), "`--lambda_identity`", FIRST),
    Old(("--no_lsgan",), "`--gan_mode vanilla`", FIRST),
    Old(("--align_data",), "`--dataset_mode aligned`", FIRST),
    Old(("--display_single_pane_ncols",), "`--display_ncols`", FIRST),
    Old(("--mode",), "leave it out: `train.py` trains and `test.py` tests", STARGAN),
    Old(("--dataset",), "`--dataset_mode celeba`, `labelled_folders` (RaFD) or `celeba_and_folders` (Both)", STARGAN),
    Old(("--num_iters", "--num_iters_decay"), ITERATIONS, STARGAN),
    Old(("--resume_iters",), "`--continue_train`; `--load_iter` selects a checkpoint of `--save_by_iter`", STARGAN),
    Old(("--test_iters",), "leave it out: a test uses the newest weights; `--epoch` selects others", STARGAN),
    Old(("--list",), "`--selected_attrs`", STARGAN),
    Old(("--log_step",), "`--print_freq` (images, not iterations)", STARGAN),
    Old(("--sample_step",), "`--display_freq` (images, not iterations)", STARGAN),
    Old(("--model_save_step",), "`--save_latest_freq` (images, not iterations)", STARGAN),
    Old(("--model_save_dir", "--sample_dir", "--log_dir"), "`--checkpoints_dir`", STARGAN),
    Old(("--result_dir",), "`--results_dir`", STARGAN),
    Old(("--celebA_image_path",), "`--celeba_image_dir`", STARGAN_2017),
    Old(("--rafd_image_path",), "`--rafd_image_dir`", STARGAN_2017),
    Old(("--metadata_path",), "`--attr_path`", STARGAN_2017),
    Old(("--num_epochs_decay",), "`--n_epochs_decay`", STARGAN_2017),
    Old(("--model_save_path", "--sample_path", "--log_path"), "`--checkpoints_dir`", STARGAN_2017),
    Old(("--result_path",), "`--results_dir`", STARGAN_2017),
    Old(("--pretrained_model",), "`--continue_train`", STARGAN_2017),
    Old(("--test_model",), "leave it out: a test uses the newest weights; `--epoch` selects others", STARGAN_2017),
    Old(("--epochs", "--num_epochs", "--n_epoch", "--max_epochs"), EPOCHS, COMMON),
    Old(("--iterations", "--steps", "--num_steps", "--max_steps", "--max_iters"), ITERATIONS, COMMON),
    Old(("--learning_rate",), "`--lr` (StarGAN: `--g_lr` and `--d_lr`)", COMMON),
    Old(("--bs",), "`--batch_size`", COMMON),
    Old(("--workers", "--num_workers", "--n_cpu"), "`--num_threads`", COMMON),
    Old(("--resume",), "`--continue_train`", COMMON),
    Old(("--checkpoint", "--ckpt", "--weights", "--pretrained"), "`--init_from`, or `--continue_train`", COMMON),
    Old(("--data", "--data_dir", "--data_path", "--dataset_dir", "--input_dir"), "`--dataroot`", COMMON),
    Old(("--input",), "`--dataroot`; `python scripts/translate.py` translates single files", COMMON),
    Old(("--output", "--output_dir", "--out", "--out_dir", "--save_dir"), FOLDERS, COMMON),
    Old(("--exp_name", "--experiment", "--experiment_name", "--run_name"), "`--name`", COMMON),
    Old(("--image_size", "--img_size", "--imsize", "--size", "--resolution"), SIZES, COMMON),
    Old(("--gpu", "--gpus", "--cuda"), "`--device cuda`, or `--gpu_ids 0,1` for several", COMMON),
    Old(("--cpu", "--no_cuda"), "`--device cpu`", COMMON),
    Old(("--amp", "--fp16", "--bf16", "--mixed_precision"), PRECISION, COMMON),
    Old(("--accumulation_steps", "--gradient_accumulation_steps"), "`--accumulate`", COMMON),
    Old(("--log_freq", "--log_interval", "--log_every"), "`--print_freq`", COMMON),
    Old(("--save_freq", "--save_interval", "--save_every"), SAVED, COMMON),
    Old(("--lambda_cyc", "--lambda_cycle"), "`--lambda_A` and `--lambda_B`", COMMON),
    Old(("--lambda_id",), "`--lambda_identity`", COMMON),
    Old(("--ema_decay",), "`--ema`", COMMON),
    Old(("--tensorboard",), "`--use_tensorboard`", COMMON),
    Old(("--wandb",), "`--use_wandb`", COMMON),
    Old(("--manual_seed", "--random_seed"), "`--seed`", COMMON),
    Old(("--local_rank", "--distributed", "--world_size"), STARTED, COMMON),
)

BY_FLAG = {flag: row for row in OLD_FLAGS for flag in row.flags}

# (flag, value of other programs) -> our value
OLD_VALUES = {
    ("lr_policy", "lambda"): "linear",
    ("norm", "sync_batch"): "syncbatch",
}


def hint(flag: str) -> str:
    """The instruction for a flag of another program; "" for a flag that is not in the table."""
    if flag not in BY_FLAG:
        return ""
    here = BY_FLAG[flag].here
    return ("use " if here.startswith("`--") else "") + here.replace("`", "")


def table() -> str:
    """The table as Markdown."""
    rows = (f"| {', '.join(f'`{flag}`' for flag in row.flags)} | {row.source} | {row.here} |" for row in OLD_FLAGS)
    return "\n".join(("| flag | of | here |", "|---|---|---|", *rows))
