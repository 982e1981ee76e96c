"""The one exception for mistakes a user can mend."""


class UserError(ValueError):
    """A mistake in data, configuration or a file, told in words.

    The text says what was expected, what came, where, and the way out. Commands print it without a
    traceback and exit with 1; in Python it is an ordinary `ValueError`.
    """
