"""The DICOM JSON Model (PS3.18 F): attributes as web clients take them."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

from fastapi import Response
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword

from overread.data.dicom import load
from overread.data.dicom_bounds import is_sequence, raw_elements
from overread.data.guard import guarded
from overread.errors import ImageError
from overread.serve.holdings import Held

JSON = "application/dicom+json"
_MOST_INLINE_BYTES = 1 << 18
"""of one attribute's value in a header that is told as JSON"""


def as_json(values: dict[str, Any]) -> dict[str, Any]:
    """Attributes by keyword in the DICOM JSON Model (PS3.18 F); a value that is none of its kind is left out."""
    found: dict[str, Any] = {}
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        if tag is None or value in (None, ""):
            continue
        dataset = Dataset()
        with suppress(ValueError, TypeError, OverflowError):
            # without validation: it would print the value
            dataset.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))
            found.update(dataset.to_json_dict())
    return found


def to_text(content: Any) -> str:
    """JSON as text. It knows no NaN and no infinity: they become null."""
    try:
        return json.dumps(content, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(content))


def as_response(content: Any, status: int = 200) -> Response:
    """The answer that holds this; that nothing fits is told by its status alone."""
    if content == [] and status == 200:
        return Response(status_code=204)
    return Response(to_text(content), status_code=status, media_type=JSON)


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_nan(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def header_as_json(held: Held) -> dict[str, Any]:
    """An object's header; of one that cannot be told, its UIDs. The value of a very long attribute is left out."""
    with suppress(ImageError), guarded(held.path):
        dataset = load(held.path, pixels=False)
        for element in raw_elements(dataset):
            if len(element.value or b"") > _MOST_INLINE_BYTES and not is_sequence(element):
                dataset[element.tag] = element._replace(value=b"", length=0)
        found: dict[str, Any] = dataset.to_json_dict(suppress_invalid_tags=True)
        return found
    return as_json(
        {"StudyInstanceUID": held.study, "SeriesInstanceUID": held.series, "SOPInstanceUID": held.instance}
    )
