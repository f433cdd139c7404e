"""Data: where it comes from, how it is split, and how batches are made of it."""

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw
from supernet.data.characters import Alphabet, Characters, Prose
from supernet.data.data_loaders import DataLoaders
from supernet.data.digits import Digits
from supernet.data.folder import ImageFolder
from supernet.data.huggingface import HuggingFace
from supernet.data.idx import Idx
from supernet.data.loader import Loader, chunks, whole_batch
from supernet.data.mixing import Mixing
from supernet.data.named_dataset import NamedDataset
from supernet.data.normalise import Normalise, Preprocess, PreprocessSeveral
from supernet.data.resolve import SOURCES, as_source
from supernet.data.several import Several
from supernet.data.splits import Sealed, Splits, split_data
from supernet.data.stored import Items, Stored
from supernet.data.table import Table
from supernet.data.table_encoding import TableEncoding
from supernet.data.tensors import Datasets, Tensors
from supernet.data.text import Text
from supernet.data.text_docstrings import Docstrings
from supernet.data.text_tokens import Vocabulary

__all__ = [
    "SOURCES",
    "Alphabet",
    "Augment",
    "Characters",
    "DataLoaders",
    "DataSource",
    "Datasets",
    "Digits",
    "Docstrings",
    "Examples",
    "HuggingFace",
    "Idx",
    "ImageFolder",
    "Items",
    "Loader",
    "Mixing",
    "NamedDataset",
    "Normalise",
    "Preprocess",
    "PreprocessSeveral",
    "Prose",
    "Raw",
    "Sealed",
    "Several",
    "Splits",
    "Stored",
    "Table",
    "TableEncoding",
    "Tensors",
    "Text",
    "Vocabulary",
    "as_source",
    "chunks",
    "split_data",
    "whole_batch",
]
