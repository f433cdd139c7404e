"""Networks of Hugging Face's transformers as such again: with a configuration that says their sizes.

A network that is derived of a `transformers` model is of its class, but what it keeps as `config` is
that of the largest network. `as_pretrained` finds the configuration by which the class itself makes
tensors of the network's sizes (`supernet.net.configuration_search`); what it makes is loaded and run
beside the network. No architecture is known by name.
"""

from __future__ import annotations

import shutil
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import nn

from supernet.errors import ConfigError
from supernet.failures import check_memory, first_line
from supernet.files import read_json
from supernet.modules.calls import called
from supernet.modules.modes import evaluating
from supernet.modules.nested import tensors
from supernet.net.configuration_search import ConfigurationSearch, changes_text
from supernet.net.export import ExportError
from supernet.reading import shown

__all__ = [
    "PretrainedModel",
    "as_pretrained",
    "is_pretrained",
    "read_pretrained",
    "write_pretrained",
]

BESIDE = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "*processor_config.json",
    "LICENSE*",
    "NOTICE*",
)
"""Names of files that come along, if they lie beside the weights that a model was read from."""


@runtime_checkable
class PretrainedModel(Protocol):
    """What is used of `transformers.PreTrainedModel`, which need not be installed.

    Attributes:
        config: configuration, by which the class makes the model.
    """

    config: Any

    def save_pretrained(self, save_directory: str, **options: Any) -> Any:
        """Write configuration and weights into a folder."""


def is_pretrained(model: nn.Module) -> bool:
    """Return whether a model is one of Hugging Face's transformers, or as they are."""
    return isinstance(model, PretrainedModel) and hasattr(model.config, "to_dict")


def as_pretrained(network: nn.Module, *example: Any) -> PretrainedModel:
    """Return a network of Hugging Face's transformers as its class makes it from a configuration.

    What `save_pretrained` writes of it is read by `from_pretrained` without this library.

    Args:
        network: network that was derived of a converted model of transformers; it is not changed.
        example: inputs, as `supernet.convert` takes them, on which both must compute the same.

    Returns:
        A model of the same class in evaluation mode, with the weights of the network, on its device.

    Raises:
        ExportError: it is no model of transformers, or the class makes no such network from any
            configuration, for instance since layers that it makes alike have different sizes.
    """
    if not is_pretrained(network):
        raise ExportError(
            f"{type(network).__name__} is no model of Hugging Face's transformers: it lacks a "
            "configuration or `save_pretrained`; of a model around one, give the one within"
        )
    search = ConfigurationSearch(network)
    why = ""
    with torch.no_grad(), evaluating(network):
        expected = list(tensors(called(network, example)))
        for changes in search.fitting():
            made = search.loaded(changes)
            try:
                found = list(tensors(called(made, example)))
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
            except Exception as error:  # numbers that are not right may fit the tensors too
                check_memory(error)
                why = why or f"with {changes_text(changes)}: {str(error).strip().splitlines()[0]}"
                continue
            return cast(PretrainedModel, made)
    raise ExportError(search.refusal(why))


def read_pretrained(folder: Path) -> nn.Module:
    """Return the model of a folder that `save_pretrained` wrote, in evaluation mode.

    Nothing is downloaded, and no code of the folder is run.

    Raises:
        ConfigError: the folder holds no such model, or one of a class that transformers lacks.
    """
    if find_spec("transformers") is None:
        raise ConfigError(
            f"{folder} is read by Hugging Face's transformers, which is not installed: "
            "pip install 'supernet[huggingface]'"
        )
    import transformers

    file = folder / "config.json"
    if not file.is_file():
        raise ConfigError(
            f"{folder} holds no config.json, so it is no folder of a model of Hugging Face's "
            "transformers"
        )
    content: object = read_json(file, remedy="Write the model again with save_pretrained.")
    named = content.get("architectures") if isinstance(content, dict) else None
    name = named[0] if isinstance(named, list) and named else None
    kind = getattr(transformers, name, None) if isinstance(name, str) else None
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise ConfigError(
            f"{file} says the architecture {shown(name)}, which is no class of "
            f"transformers {transformers.__version__}; a model of a class of one's own is given by the "
            "import path of a function that returns it"
        )
    try:
        model: nn.Module = kind.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{folder} cannot be read as {name}: {first_line(error)}") from error
    return model.eval()


def write_pretrained(network: nn.Module, folder: Path, *example: Any) -> None:
    """Write a network as a folder that `from_pretrained` reads, without this library.

    What lies beside the model that the network was made of, if that was read from a folder, comes along:
    tokenizer, preprocessor and licence.

    Args:
        network: network that was derived of a converted model of transformers; it is not changed.
        folder: folder to be made.
        example: inputs on which both must compute the same.

    Raises:
        ExportError: as of `as_pretrained`.
    """
    made = as_pretrained(network, *example)
    made.save_pretrained(str(folder))
    origin = Path(getattr(made.config, "_name_or_path", "") or folder)
    for path in sorted(origin.iterdir()) if origin.is_dir() and origin != folder else ():
        if path.is_file() and any(fnmatchcase(path.name, one) for one in BESIDE):
            shutil.copyfile(path, folder / path.name)
