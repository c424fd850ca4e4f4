"""A plug-in whose class has another name, beside an attribute with a similar name."""

from models.base_model import BaseModel

wrongclassmodel = "not a class"


class SomethingElse(BaseModel):
    pass
