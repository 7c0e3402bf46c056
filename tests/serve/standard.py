"""PS3.3 for dicom-validator, which otherwise fetches it: made of the tables that highdicom comes with.

They tell of each module's attributes and their types. They do not tell when an attribute of type 1C or 2C has to be
there; for content items of a report, whose attributes go with their value type (PS3.3 C.17.3), that is added here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydicom import config
from pydicom.datadict import tag_for_keyword

Json = dict[str, Any]
_BY_VALUE_TYPE = {
    "TextValue": ["TEXT"],
    "ConceptCodeSequence": ["CODE"],
    "MeasuredValueSequence": ["NUM"],
    "UID": ["UIDREF"],
    "PersonName": ["PNAME"],
    "DateTime": ["DATETIME"],
    "Date": ["DATE"],
    "Time": ["TIME"],
    "ContinuityOfContent": ["CONTAINER"],
    "ReferencedSOPSequence": ["IMAGE", "COMPOSITE", "WAVEFORM"],
    "GraphicType": ["SCOORD", "SCOORD3D"],
    "GraphicData": ["SCOORD", "SCOORD3D"],
    "ReferencedFrameOfReferenceUID": ["SCOORD3D"],
    "TemporalRangeType": ["TCOORD"],
    "TabulatedValuesSequence": ["TABLE"],
}
_CONTENT, _ITEM = "sr-document-content", "content-item"


def faults_of(path: Path) -> list[str]:
    """What dicom-validator objects to in a file: module, attribute, and what is wrong with it."""
    pytest.importorskip("dicom_validator", reason="dicom-validator is not installed")
    from dicom_validator.validator.dicom_file_validator import DicomFileValidator
    from dicom_validator.validator.error_handler import NullValidationResultHandler
    from dicom_validator.validator.validation_result import Status

    validator = DicomFileValidator(_standard(), error_handler=NullValidationResultHandler())
    before = config.settings.reading_validation_mode
    try:
        (result,) = validator.validate_file(str(path)).values()
    finally:  # it changes how all others of this process read
        config.settings.reading_validation_mode = before
    assert result.status in (Status.Passed, Status.Failed)
    return [
        f"{module}: {tag}: {fault.code.name}"
        for module, faults in (result.module_errors or {}).items()
        for tag, fault in faults.items()
    ]


@cache
def _standard() -> Any:
    from dicom_validator.validator.dicom_info import DicomInfo
    from highdicom import _standard_utils as tables

    modules: Json = {name: _tree(rows) for name, rows in tables.get_module_attribute_map().items()}
    content = modules[_CONTENT]
    item = content[_tag("ContentSequence")]["items"]
    for level in (content, item):
        for keyword, kinds in _BY_VALUE_TYPE.items():
            condition = {"type": "MN", "tag": "(0040,A040)", "op": "=", "values": kinds, "index": 0}
            level[_tag(keyword)] |= {"type": "1C", "cond": condition}
    modules[_ITEM] = {**item, _tag("ContentSequence"): {"type": "1C", "items": {"include": [{"ref": _ITEM}]}}}
    content[_tag("ContentSequence")]["items"] = {"include": [{"ref": _ITEM}]}
    iods = {
        uid: {
            "title": name,
            "modules": {
                one["key"]: {"ref": one["key"], "use": one["usage"]} for one in tables.get_iod_module_map()[name]
            },
            "group_macros": {},
        }
        for uid, name in tables.get_sop_class_iod_map().items()
        if name in tables.get_iod_module_map()
    }
    return DicomInfo(dictionary={}, iods=iods, modules=modules)


def _tree(rows: list[Json]) -> Json:
    """Attributes by tag, those of items within their sequence."""
    found: Json = {}
    for row in rows:
        level = found
        for above in row["path"]:
            level = level.setdefault(_tag(above), {"type": "3"}).setdefault("items", {})
        level.setdefault(_tag(row["keyword"]), {})["type"] = row["type"]
    return found


def _tag(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    return f"({(tag or 0) >> 16:04X},{(tag or 0) & 0xFFFF:04X})"
