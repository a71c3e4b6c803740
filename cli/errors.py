"""What ends a command with exit code 1."""


class CommandFailed(Exception):
    """The command cannot do what was asked; the message tells a person why and what to do."""
