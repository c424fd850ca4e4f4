"""FastCUT: CUT without the identity term, with a heavier contrastive weight and half of the batches mirrored.

Park, Efros, Zhang, Zhu, ECCV 2020. The same as ``--model cut --CUT_mode FastCUT``.
"""

from models import flags
from models.cut_model import CUTModel


class FastCUTModel(CUTModel):
    captures = CUTModel.captures  # see BaseModel

    modify_commandline_options = staticmethod(flags.fastcut)


FASTCUTModel = FastCUTModel  # the name in the original program
