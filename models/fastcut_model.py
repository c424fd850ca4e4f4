"""FastCUT: CUT without the identity term, with a heavier contrastive weight and half of the batches mirrored.

Park, Efros, Zhang, Zhu, ECCV 2020. The same as ``--model cut --CUT_mode FastCUT``.
"""

from models.cut_model import FASTCUT, FASTCUT_SCHEDULE, CUTModel


class FastCUTModel(CUTModel):
    @staticmethod
    def modify_commandline_options(parser, is_train=True):
        parser = CUTModel.modify_commandline_options(parser, is_train)
        parser.set_defaults(CUT_mode="FastCUT", **FASTCUT, **(FASTCUT_SCHEDULE if is_train else {}))
        return parser
