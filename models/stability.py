"""What --lr_G, --lr_D and the options for stable discriminators ask of a model."""

from typing import Any

# Flag -> its value when it is off, of flags that a model reads where it is built.
READ_IN_BUILDING = {"lr_G": None, "lr_D": None}


def report_unread(model: Any) -> None:
    """Print which of these flags are set although the model was built without reading them by BaseModel's builders."""
    for name, off in READ_IN_BUILDING.items():
        if getattr(model.opt, name, off) != off and name not in model._flags_read:
            print(
                f"--{name}: {type(model).__name__} is built without it, so it has no effect unless the model reads it"
            )
