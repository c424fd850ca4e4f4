"""The options of a program as a namespace that also serves model and data set files of the original programs."""

import argparse
from typing import Any

# Names of options in files written from 2017 to 2020 -> our names.
OLD_NAMES = {
    **{"niter": "n_epochs", "niter_decay": "n_epochs_decay", "batchSize": "batch_size", "nThreads": "num_threads"},
    **{"loadSize": "load_size", "fineSize": "crop_size", "resize_or_crop": "preprocess", "which_epoch": "epoch"},
    **{"which_direction": "direction", "which_model_netG": "netG", "which_model_netD": "netD"},
    **{"how_many": "num_test", "ntest": "num_test", "identity": "lambda_identity"},
    **{"display_single_pane_ncols": "display_ncols"},
}

# The flags of the original programs, and flags whose name has one meaning everywhere. A user's file that declares one
# of them changes the value for the framework, too. All other flags are ours: a user's file may declare flags of their
# names with other meanings.
SHARED = frozenset(
    (
        # pytorch-CycleGAN-and-pix2pix, CUT and DCLGAN: the run and the data
        "dataroot name easy_label gpu_ids checkpoints_dir model epoch load_iter verbose suffix phase pretrained_name "
        "continue_train dataset_mode direction serial_batches num_threads batch_size load_size crop_size "
        "max_dataset_size preprocess no_flip random_scale_max "
        # networks
        "input_nc output_nc ngf ndf netD netG netF netF_nc n_layers_D norm normG normD init_type init_gain no_dropout "
        "no_antialias no_antialias_up stylegan2_G_num_downsampling D_patch_size "
        # schedule, losses, saving
        "n_epochs n_epochs_decay epoch_count lr lr_policy lr_decay_iters beta1 beta2 gan_mode pool_size lambda_A "
        "lambda_B lambda_identity lambda_L1 lambda_regression lambda_GAN lambda_NCE lambda_IDT lambda_SIM lambda_R1 "
        "CUT_mode DCL_mode nce_idt nce_layers nce_includes_all_negatives_from_minibatch nce_T num_patches "
        "flip_equivariance save_latest_freq save_epoch_freq save_by_iter evaluation_freq new_dataset_option "
        # showing, testing
        "display_freq update_html_freq print_freq no_html display_ncols display_id display_server display_env "
        "display_port display_winsize use_wandb wandb_project_name results_dir aspect_ratio eval num_test model_suffix "
        # StarGAN
        "c_dim c2_dim celeba_crop_size rafd_crop_size image_size g_conv_dim d_conv_dim g_repeat_num d_repeat_num "
        "lambda_cls lambda_rec lambda_gp g_lr d_lr n_critic selected_attrs celeba_image_dir attr_path rafd_image_dir "
        "lr_update_step use_tensorboard "
        # flags of ours
        "config device seed"
    ).split()
)


class Options(argparse.Namespace):
    """The options of a program; old names such as ``opt.niter`` give the values of their counterparts.

    If a user's file declares a flag of ours with another meaning (see SHARED), there are two views of the options:
    framework() gives our values, for_users() those of the file. Both share one dictionary, so that an option which one
    part of the program sets exists in the other. `own` holds our values.
    """

    own: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name in OLD_NAMES:
            return getattr(self, OLD_NAMES[name])
        if name == "no_lsgan":
            return self.gan_mode != "lsgan"
        raise AttributeError(f"there is no option {name}")

    def with_own(self, values: dict[str, Any]) -> "Options":
        """The framework's view of these options, with our own `values` of the flags that a user's file declares."""
        if not values:
            return self
        held = dict(values)

        def option(name):
            return property(lambda _: held[name], lambda _, value: held.update({name: value}))

        ours = type("Options", (Options,), {"own": held, **{name: option(name) for name in held}})()
        theirs = type("Options", (Options,), {"own": held, "framework": ours})()
        ours.__dict__ = theirs.__dict__ = self.__dict__
        type(ours).for_users = theirs
        return ours

    def __reduce__(self):
        """For data workers that are started by spawning, and for copies: the classes of with_own() can't be pickled."""
        return _restored, (dict(vars(self)), dict(type(self).own), framework(self) is self)


def _restored(values, own, is_ours):
    ours = Options(**values).with_own(own)
    return ours if is_ours else for_users(ours)


def framework(opt: Any) -> Any:
    """The options with the framework's values of the flags that a user's file declares with other meanings."""
    return getattr(type(opt), "framework", opt)


def for_users(opt: Any) -> Any:
    """The options with the values of the flags that a user's file declares."""
    return getattr(type(opt), "for_users", opt)
