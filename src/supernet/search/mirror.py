"""A study of Optuna mirrored into an SQLite file, where optuna-dashboard reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from supernet.errors import StorageError

# Optuna takes a fifth of a second to import: it is imported where it is used.
if TYPE_CHECKING:
    from optuna import Study

__all__ = ["StudyMirror"]


class StudyMirror:
    """What a study was told, once more in an SQLite file.

    Args:
        path: the file; others' studies in it stay.
        study: study in memory whose trials are written.
        name: name of the study in the file.
        objectives: names of the numbers that a trial is told.
    """

    def __init__(self, path: Path, study: Study, name: str, objectives: Sequence[str]) -> None:
        self._path, self._study, self._name, self._objectives = path, study, name, objectives
        self._begun = False

    def write(self, numbers: Iterable[int]) -> None:
        """Add the trials with these numbers; the first time to a study that replaces an older one.

        Raises:
            StorageError: the file cannot be written, or holds a study of this name of somebody else.
        """
        trials = self._study.get_trials(deepcopy=False)
        with self._opened() as copy:
            copy.add_trials(trials[number] for number in numbers)

    @contextmanager
    def _opened(self) -> Iterator[Study]:
        import optuna
        from sqlalchemy.engine import URL
        from sqlalchemy.exc import SQLAlchemyError

        name, directions = self._name, self._study.directions
        url = URL.create("sqlite", database=str(self._path)).render_as_string()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            storage = optuna.storages.RDBStorage(url)
            try:
                if not self._begun:
                    with suppress(KeyError):
                        old = optuna.load_study(study_name=name, storage=storage).trials
                        if not all("architecture" in trial.user_attrs for trial in old):
                            raise RuntimeError(f"a study {name!r} of somebody else is there")
                        optuna.delete_study(study_name=name, storage=storage)
                study = optuna.create_study(
                    study_name=name, storage=storage, directions=directions, load_if_exists=True
                )
                study.set_metric_names(list(self._objectives))
                self._begun = True
                yield study
            finally:
                storage.remove_session()
                storage.engine.dispose()
        # Optuna raises a RuntimeError for a file of an incompatible version.
        except (SQLAlchemyError, optuna.exceptions.OptunaError, OSError, RuntimeError) as error:
            why = str(error).splitlines()[0]
            raise StorageError(
                f"the study could not be written into {self._path}: {why}. Choose another file as "
                "storage, or none, or free some space; the candidates already scored are kept"
            ) from error
