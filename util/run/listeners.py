"""What watches a training from beside: each listener is called where the loop steps, shows images, or prints losses."""


class Listener:
    """Subclass it and override what the listener needs; append an object to the list in util/run/running.py."""

    def step(self, data) -> None:
        """After each step; `data` is the batch that the model was given."""

    def images(self, visuals: dict, data) -> None:
        """Where images are shown: {name: tensor or array}."""

    def losses(self, losses: dict) -> None:
        """Where losses are printed: {name: float}, means since the last printed point."""


class Listeners(Listener):
    """Calls each listener of a list in turn."""

    def __init__(self, listeners):
        self.listeners = list(listeners)

    def step(self, data):
        for listener in self.listeners:
            listener.step(data)

    def images(self, visuals, data):
        for listener in self.listeners:
            listener.images(visuals, data)

    def losses(self, losses):
        for listener in self.listeners:
            listener.losses(losses)
