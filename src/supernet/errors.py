"""Errors: each says what was given, what is possible and what to do.

Every error that a user's input can cause derives from `SupernetError` and from the builtin that
fits best. `exit_code` is what the command line returns for it: 2 where the input is wrong, 1 where
the world failed (a full disk, a loss that is no longer a number).
"""

from __future__ import annotations

__all__ = [
    "CodeError",
    "ConfigError",
    "ConstraintError",
    "ConversionError",
    "DamagedFileError",
    "DataError",
    "DeviceError",
    "DivergedError",
    "MeasureError",
    "NoNetworkError",
    "RanksError",
    "ReadingError",
    "RoutingError",
    "RunFolderError",
    "SpaceError",
    "StorageError",
    "SupernetError",
    "TooLittleMemoryError",
]


class SupernetError(Exception):
    """Base of all errors that supernet raises on purpose."""

    exit_code = 2


class CodeError(SupernetError, RuntimeError):
    """Code of the user, or of a library that the user chose, raised what is its `__cause__`."""


class ConfigError(SupernetError, ValueError):
    """A configuration value is unknown, of the wrong type or out of range."""


class ConstraintError(SupernetError, ValueError):
    """A constraint cannot be read or no architecture of the space satisfies it."""


class ConversionError(SupernetError, ValueError):
    """A model cannot become a search space, or a rule does not apply to it."""


class DataError(SupernetError, ValueError):
    """A data set is missing, empty, damaged or unusable for the task."""


class ReadingError(DataError):
    """An example cannot be read now that it is needed: a run that reads its data as it goes ends."""

    exit_code = 1


class RoutingError(SupernetError, RuntimeError):
    """A choice was called without a routing, or a routing does not fit the space."""


class RunFolderError(SupernetError, RuntimeError):
    """A run folder belongs to another configuration or lacks what a step needs."""


class SpaceError(SupernetError, ValueError):
    """A decision, architecture or space contradicts itself or another."""


class DamagedFileError(SupernetError, RuntimeError):
    """A file exists but does not hold what was written, or cannot be read."""


class DivergedError(SupernetError, ArithmeticError):
    """A loss or a weight is not a finite number any more."""

    exit_code = 1


class MeasureError(DivergedError):
    """A measure is no finite number where the loss is one: it may be wrong, rather than the network."""


class NoNetworkError(SupernetError, RuntimeError):
    """Every network that a step needs failed, each for a reason that is named."""

    exit_code = 1


class TooLittleMemoryError(SupernetError, MemoryError):
    """Memory, of the machine or of its accelerator, does not suffice for what was asked."""

    exit_code = 1


class DeviceError(SupernetError, RuntimeError):
    """The accelerator failed, and can compute nothing more in this process."""

    exit_code = 1


class RanksError(SupernetError, RuntimeError):
    """Another of several processes that compute together ended, hangs, or differs."""

    exit_code = 1


class StorageError(SupernetError, OSError):
    """The disk is full or failed while a file was written."""

    exit_code = 1
