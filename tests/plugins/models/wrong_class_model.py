"""A plug-in whose class has another name, beside an attribute that only sounds right."""

from models.base_model import BaseModel

wrongclassmodel = "not a class"


class SomethingElse(BaseModel):
    pass
