"""The two ways in which mapmpi can end early, and nothing else."""


class UserError(Exception):
    """The input is wrong and the user can mend it.

    The message is one sentence: the key or file, what was found, what was expected, what to do.
    Every entry point prints it without a traceback and leaves with exit code 2.
    """


class EngineError(Exception):
    """A simulation step failed: lost atoms, charges that did not converge, energies that are not numbers.

    The episode (or image) that met it is marked as failed, and the engine is made anew.
    """


class EngineLost(EngineError):
    """One rank of a group failed alone; the others of its group cannot be reached any more."""
