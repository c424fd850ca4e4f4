"""Flags that the contrastive models share."""

from models import CONTRASTIVE_DEFAULTS, CONTRASTIVE_TRAINING
from models.tables import SAMPLERS
from util.flags import SWITCH, Float, Int, words


def add_family_options(parser, is_train, nce_layers, **defaults):
    """The family's flags; `defaults` are what one model changes in them or in the base's."""
    flag = parser.add_argument
    flag("--lambda_GAN", type=Float(low=0), default=1.0, help="weight of the adversarial loss")
    flag("--lambda_NCE", type=Float(low=0), default=1.0, help="weight of the contrastive loss")
    flag("--nce_idt", **SWITCH, default=True, help="also map images of the target domain to themselves")
    flag("--nce_layers", default=nce_layers, help="layers of the generator whose features are compared, ascending")
    every = "take negatives from all images of the batch, not only from the patch's own"
    flag("--nce_includes_all_negatives_from_minibatch", **SWITCH, default=False, help=every)
    flag("--netF", default="mlp_sample", help=words(SAMPLERS))
    flag("--netF_nc", type=Int(1), default=256, help="length of the vectors that are compared")
    flag("--nce_T", type=Float(above=0), default=0.07, help="temperature of the contrastive loss")
    flag("--num_patches", type=Int(1), default=256, help="patches per image and layer")
    flag("--flip_equivariance", **SWITCH, default=False, help="translate half of the batches mirrored")
    flag("--lr_F", type=Float(above=0), help="learning rate of the projectors (none given: as released)")
    training = {**CONTRASTIVE_TRAINING, "pool_size": 0} if is_train else {}
    parser.set_defaults(**{**CONTRASTIVE_DEFAULTS, **training, **defaults})
    return parser
