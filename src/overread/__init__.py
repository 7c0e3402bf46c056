"""overread: train a disease classifier from medical images, and read its result a second time."""

__version__ = "0.1.0"
