"""Draw docs/images/phantoms.png: a phantom of each class on each scanner, and where its lesion is.

python scripts/phantom_sheet.py docs/images/phantoms.png
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from overread import read_image
from overread.data.phantom import PatientTruth, PhantomSettings, make_phantoms
from overread.data.phantom.scanner import SCANNERS

MARGIN_PX, HEADER_PX, GAP_PX = 92, 40, 4
OUTLINE = (255, 70, 60)
N_GREYS = 72


@dataclass(frozen=True, kw_only=True)
class View:
    """How a part of the body is shown: the window in Hounsfield units, and a tile's size."""

    body: str
    seed: int
    window_hu: tuple[float, float]
    tile_px: tuple[int, int]
    crop: tuple[float, float, float, float]
    """Left, top, right and bottom of the part that is shown, in shares of the slice."""


VIEWS = (
    View(body="head", seed=5, window_hu=(0, 85), tile_px=(196, 228), crop=(0.10, 0.03, 0.90, 0.96)),
    View(body="chest", seed=2, window_hu=(-1350, 150), tile_px=(196, 157), crop=(0.0, 0.06, 1.0, 0.86)),
)


def main(out: Path) -> None:
    """Draw the sheet and write it."""
    columns = [f"scanner {one.name}\n{one.kernel.name}, {one.table} table" for one in SCANNERS] + [
        "scanner A again,\nlesion outlined"
    ]
    width = MARGIN_PX + len(columns) * (VIEWS[0].tile_px[0] + GAP_PX)
    height = HEADER_PX + sum(3 * (view.tile_px[1] + GAP_PX) for view in VIEWS)
    sheet = Picture.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for place, text in enumerate(columns):
        middle = MARGIN_PX + (place + 0.5) * (VIEWS[0].tile_px[0] + GAP_PX)
        pen.multiline_text((middle, HEADER_PX / 2), text, fill="black", font=font, anchor="mm", align="center")
    top = HEADER_PX
    with tempfile.TemporaryDirectory() as folder:
        for view in VIEWS:
            for label, tiles in draw_rows(view, Path(folder) / view.body).items():
                text_at = (MARGIN_PX - 8, top + view.tile_px[1] / 2)
                pen.multiline_text(
                    text_at, f"{view.body}\n{label}", fill="black", font=font, anchor="rm", align="right"
                )
                for place, tile in enumerate(tiles):
                    sheet.paste(tile, (MARGIN_PX + place * (tile.width + GAP_PX), top))
                top += view.tile_px[1] + GAP_PX
    out.parent.mkdir(parents=True, exist_ok=True)
    few_colours(sheet).save(out, optimize=True)


def draw_rows(view: View, folder: Path) -> dict[str, list[Picture.Image]]:
    """For each class a tile of each scanner, and the first scanner's once more with the lesion outlined."""
    truth = make_phantoms(folder, PhantomSettings(body=view.body, patients=9, seed=view.seed))
    rows = {}
    for label in truth.classes:
        patients = sorted((p for p in truth.patients if p.true_label == label), key=lambda p: p.scanner)
        tiles = [draw_tile(view, folder, patient, outline=False) for patient in patients]
        rows[label] = [*tiles, draw_tile(view, folder, patients[0], outline=True)]
    return rows


def draw_tile(view: View, folder: Path, patient: PatientTruth, *, outline: bool) -> Picture.Image:
    """One slice through the view's window, cropped; with a red line around the lesion if asked."""
    one = patient.slices[len(patient.slices) // 2]
    low, high = view.window_hu
    shown = np.clip((read_image(folder / one.path).pixels - low) / (high - low), 0, 1)
    tile = fit(Picture.fromarray((255 * shown).astype(np.uint8)), view).convert("RGB")
    if not outline:
        return tile
    if one.mask is None:
        pen = ImageDraw.Draw(tile)
        font = ImageFont.load_default(size=13)
        pen.text((6, 4), "no lesion", fill="white", font=font)
        return tile
    inside = np.asarray(fit(Picture.open(folder / one.mask).convert("L"), view)) > 127
    wider = np.zeros_like(inside)
    for down in (-2, -1, 0, 1, 2):
        for across in (-2, -1, 0, 1, 2):
            wider |= np.roll(inside, (down, across), axis=(0, 1))
    pixels = np.asarray(tile).copy()
    pixels[wider & ~inside] = OUTLINE
    return Picture.fromarray(pixels)


def fit(slice_: Picture.Image, view: View) -> Picture.Image:
    """The part of a slice that the view shows, at the size of a tile."""
    left, top, right, bottom = (share * slice_.width for share in view.crop)
    return slice_.resize(view.tile_px, Picture.Resampling.LANCZOS, box=(left, top, right, bottom))


def few_colours(sheet: Picture.Image) -> Picture.Image:
    """The sheet in 72 greys and the outline's red, which makes a file of half the size."""
    pixels = np.asarray(sheet).astype(int)
    red = (pixels == OUTLINE).all(axis=-1)
    index = np.where(red, N_GREYS, np.rint(pixels[..., 0] / 255 * (N_GREYS - 1))).astype(np.uint8)
    greys = [round(level / (N_GREYS - 1) * 255) for level in range(N_GREYS) for _ in range(3)]
    picture = Picture.fromarray(index, mode="P")
    picture.putpalette([*greys, *OUTLINE])
    return picture


if __name__ == "__main__":
    main(Path(sys.argv[1]))
