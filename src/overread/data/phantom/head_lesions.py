"""The three diseases of the phantom head: aneurysm, cancer and tumor.

All three are drawn at the same heights, on both sides, in sizes that overlap, so that neither where the slice
lies nor how bright it is tells the class.
"""

from __future__ import annotations

import numpy as np

from overread.data.phantom.brain import CSF_HU
from overread.data.phantom.head import FIELD_MM, Head, towards_wall
from overread.data.phantom.head_arteries import point_on_artery
from overread.data.phantom.head_slice import HeadSlice
from overread.data.phantom.lesions import Lesion, make_lesion
from overread.data.phantom.shapes import Field, Point, inside, paint, rise

HEIGHTS_MM = (-1.0, 27.0)


def make_head_lesions(rng: np.random.Generator, head: Head, kind: str) -> tuple[Lesion, ...]:
    """The lesions of one patient; the first is the one that the slices are taken through."""
    # Aneurysms sit on arteries, so the other two take their heights from arteries too.
    site = point_on_artery(rng, low_mm=HEIGHTS_MM[0], high_mm=HEIGHTS_MM[1])
    if kind == "aneurysm":
        return (_aneurysm(rng, head, site),)
    if kind == "tumor":
        return (_meningioma(rng, head, site[2]),)
    return _metastases(rng, head, site[2])


def draw_head_lesion(lesion: Lesion, picture: HeadSlice) -> Field:
    """Draw one lesion into a slice, in place; gives the share of each pixel that is lesion."""
    draw = {"aneurysm": _draw_aneurysm, "tumor": _draw_meningioma, "cancer": _draw_metastasis}[lesion.kind]
    return draw(lesion, picture)


def _aneurysm(rng: np.random.Generator, head: Head, site: Point) -> Lesion:
    """A sac that touches its artery."""
    giant = rng.uniform() < 0.35
    radius = rng.uniform(10, 13) if giant else rng.uniform(5.5, 9.5)
    away = rng.standard_normal(3) * (1, 1, 0.3)
    away *= 0.75 * radius / np.linalg.norm(away)
    return make_lesion(
        rng,
        kind="aneurysm",
        centre=(site[0] + float(away[0]), site[1] + float(away[1]), site[2] + float(away[2])),
        radius_mm=radius,
        field_mm=FIELD_MM,
        rough=0.05,
        hu=head.vessel_hu * rng.uniform(0.85, 1.0),
        core_hu=rng.uniform(46, 60) if giant else 0.0,
    )


def _meningioma(rng: np.random.Generator, head: Head, z: float) -> Lesion:
    """A mass on the dura: of the convexity, the falx, or the base of the skull."""
    radius, side = rng.uniform(10, 18), float(rng.choice((-1, 1)))
    place = rng.uniform() * (1.0 if z < 9 else 0.85)
    if place < 0.58:
        turns = rng.uniform(0.04, 0.46) * side
        x, y = towards_wall(head, turns, z, inwards_mm=radius * rng.uniform(0.1, 0.55))
    elif place < 0.85:
        x, y = side * radius * 0.8, rng.uniform(-64, -38) if z < 16 else rng.choice((-1, 1)) * rng.uniform(40, 62)
    else:
        share = rng.uniform()
        x, y = side * (4 + 42 * share) + rng.normal(0, 3), -16 - 5 * share + rng.normal(0, 4)
    return make_lesion(
        rng,
        kind="tumor",
        centre=(x, float(y), z),
        radius_mm=radius,
        field_mm=FIELD_MM,
        rough=0.05,
        hu=head.grey_hu + rng.uniform(15, 34),
        core_hu=180.0 if rng.uniform() < 0.35 else 0.0,
        halo_mm=rng.uniform(4, 12) if rng.uniform() < 0.6 else 0.0,
    )


def _metastases(rng: np.random.Generator, head: Head, z: float) -> tuple[Lesion, ...]:
    """One to three masses within the brain; the smallest are solid, the others dead at the core."""
    found: list[Lesion] = []
    for _ in range(rng.choice((1, 2, 3), p=(0.4, 0.3, 0.3))):
        first = not found
        turns, share = rng.uniform(0, 1), np.sqrt(rng.uniform(0.01, 0.72))
        radius = rng.uniform(10, 17) if first else rng.uniform(5, 11)
        x, y = towards_wall(head, turns, z, inwards_mm=radius, share=share)
        found.append(
            make_lesion(
                rng,
                kind="cancer",
                centre=(x, y, z if first else z + rng.normal(0, 4)),
                radius_mm=radius,
                field_mm=FIELD_MM,
                rough=0.13,
                hu=head.grey_hu + rng.uniform(22, 48),
                core_hu=rng.uniform(14, 26) if radius > 5 else 0.0,
                halo_mm=rng.uniform(3, 9),
                uneven=0.25,
            )
        )
    return tuple(found)


def _draw_aneurysm(lesion: Lesion, picture: HeadSlice) -> Field:
    """A sac as bright as the artery that it sits on; a giant one is partly filled with clot."""
    hu, edge = picture.hu, 1.8
    distance = np.maximum(lesion.distance(picture.grid), picture.inner_mm + 0.5)
    share = inside(distance, edge)
    if not lesion.core_hu:
        paint(hu, share, lesion.hu)
        return share
    paint(hu, share, lesion.core_hu)
    rim = np.abs(distance + 0.8) - 0.7
    angle = np.arctan2(picture.grid.y - np.float32(lesion.centre[1]), picture.grid.x - np.float32(lesion.centre[0]))
    chalk = rise(np.cos(angle - np.float32(2 * np.pi * lesion.variant)), 0.2, 0.7)
    paint(hu, inside(rim, edge) * chalk * 0.6, 320)
    shift = 0.3 * lesion.radius_mm
    turn = 2 * np.pi * lesion.variant
    x, y = picture.grid.x + np.float32(shift * np.cos(turn)), picture.grid.y + np.float32(shift * np.sin(turn))
    lumen = lesion.distance(picture.grid.moved(x=x, y=y, z=picture.grid.z)) + 0.38 * lesion.radius_mm
    paint(hu, inside(np.maximum(lumen, distance + 1), edge), lesion.hu)
    return share


def _draw_meningioma(lesion: Lesion, picture: HeadSlice) -> Field:
    """A smooth, evenly enhancing mass outside the brain, with a tail, a cleft of fluid and sometimes chalk."""
    hu = picture.hu
    distance = np.maximum(lesion.distance(picture.grid), picture.inner_mm + 0.6)
    _swell(hu, picture, distance, lesion, deepest=9)
    cleft = np.abs(distance - 0.9) - 0.7
    paint(hu, inside(cleft, 1.6) * inside(picture.inner_mm + 2, 1.5) * 0.7, CSF_HU + 4)
    share = inside(distance, 1.8)
    uneven = lesion.texture.at(picture.grid.z_mm, hu.shape[0])
    paint(hu, share, lesion.hu + 2 * uneven)
    tail = np.abs(picture.inner_mm + 1.2) - 0.8
    paint(hu, inside(tail, 1.6) * rise(distance, 9, 1) * 0.8, lesion.hu)
    if lesion.core_hu:
        paint(hu, inside(distance + 0.45 * lesion.radius_mm, 3) * rise(uneven, 0.1, 1.2), lesion.core_hu)
    return share


def _draw_metastasis(lesion: Lesion, picture: HeadSlice) -> Field:
    """An uneven ring that enhances around a dead core, with oedema that spreads along the white matter."""
    hu = picture.hu
    distance = np.maximum(lesion.distance(picture.grid), picture.inner_mm + 3)
    _swell(hu, picture, distance, lesion, deepest=11)
    share = inside(distance, 1.8)
    uneven = lesion.texture.at(picture.grid.z_mm, hu.shape[0])
    paint(hu, share, lesion.hu + 5 * uneven)
    if lesion.core_hu:
        thick = (1.4 + 0.16 * lesion.radius_mm) * (1 + 0.35 * uneven)
        paint(hu, inside(distance + thick, 2.0), lesion.core_hu + 2 * uneven)
    return share


def _swell(hu: Field, picture: HeadSlice, distance: Field, lesion: Lesion, *, deepest: float) -> None:
    """Vasogenic oedema: white matter grows darker, grey matter hardly."""
    if lesion.halo_mm:
        uneven = lesion.texture.at(picture.grid.z_mm + 30, hu.shape[0])
        reach = np.float32(lesion.halo_mm) * (1 + 0.5 * uneven)
        where = rise(distance, 0, 1) * inside(distance - reach, 5) * inside(picture.inner_mm, 1.5)
        hu -= deepest * where * (0.12 + 0.88 * picture.white)
