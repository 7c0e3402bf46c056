"""Every way in which overread can fail, in one tree.

OverreadError
├── SettingsError      two settings contradict each other, or one has an impossible value
├── ImageError         a file cannot be used as an image
├── CohortError        a list of images and labels does not hold together
│   ├── BadInputsError some images or rows cannot be used, each with its reason
│   └── SplitError     the cohort cannot be divided as asked
├── ModelError         a network or a model folder cannot be used
│   └── WeightsError   pretrained weights cannot be found, or do not fit
├── RunError           a training run cannot start, go on, or be written
│   └── LostWorkerError another worker of the same training has stopped
└── ServiceError       the service refuses, or cannot do now, what it was asked

A message says what, where, what was found, and what to do. It never holds a patient's name or
identifier: patients are named by `patient_hash`.
"""


class OverreadError(Exception):
    """Something that its user can mend: printed as one line, without a traceback."""


class SettingsError(OverreadError):
    """Two settings contradict each other, or one has an impossible value."""


class ImageError(OverreadError):
    """A file cannot be used as an image.

    `kind` is a short stable word for the fault (`truncated`, `empty`, `not-an-image`, ...), so that
    a table of many such files can be sorted by it.
    """

    def __init__(self, message: str, *, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


class CohortError(OverreadError):
    """A list of images and labels does not hold together."""


class BadInputsError(CohortError):
    """Some images or rows cannot be used; the file named in the message lists every one."""


class SplitError(CohortError):
    """The cohort cannot be divided as asked."""


class ModelError(OverreadError):
    """A network or a model folder cannot be used."""


class WeightsError(ModelError):
    """Pretrained weights cannot be found, or do not fit the network."""


class RunError(OverreadError):
    """A training run cannot start, go on, or be written."""


class LostWorkerError(RunError):
    """Another worker of the same training has stopped."""


class ServiceError(OverreadError):
    """The service refuses, or cannot do now, what it was asked.

    `kind` is a short stable word for the reason; `status` is the HTTP status that says the same.
    """

    def __init__(self, message: str, *, kind: str = "refused", status: int = 400) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
