"""What can go wrong with one HTTP request; Client makes a SourceError of it once trying again is of no use."""


class PassingError(Exception):
    """Trouble that may be over the next time; `wait_s` is how long the server asks us to wait, None if it does not say."""

    def __init__(self, message: str, wait_s: float | None = None, *, overloaded: bool = False) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        self.overloaded = overloaded  # we asked for too much, so wait longer than after a mere hiccup


class LastingError(Exception):
    """Trouble that another attempt would meet again."""
