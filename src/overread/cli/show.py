"""`overread show`: the layers of a network, with true counts."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from overread.cli.flags import whole_number

if TYPE_CHECKING:
    from overread.model.table import LayerTable

ABOUT = """\
Output shape, parameters and description of each layer, with true counts: the
paper's Table 1 for any network that timm or overread knows."""
EXAMPLE = "overread show resnet18 --classes 3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `overread show`."""
    parser.add_argument("backbone", metavar="BACKBONE", help="a network's name: any of timm's, or alexnet")
    parser.add_argument(
        "--classes",
        type=whole_number,
        metavar="N",
        help="classes of the last layer (default: its published weights')",
    )
    parser.add_argument(
        "--size-px", type=whole_number, default=224, metavar="PX", help="side of the square image (default: 224)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the table of one network."""
    from overread.model.table import layer_table

    table = layer_table(args.backbone, args.classes, size_px=args.size_px)
    if args.json:
        print(json.dumps(dataclasses.asdict(table), indent=2))
    else:
        print_table(table)
    return 0


def print_table(table: LayerTable) -> None:
    """Print a table of layers that fits the terminal."""
    from rich import box
    from rich.table import Table

    from overread.cli.terminal import Terminal

    console = Terminal()
    drawn = Table(
        title=f"{table.backbone}, {table.n_classes} classes, images of {table.size_px} x {table.size_px}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_footer=True,
        pad_edge=False,
    )
    drawn.add_column("Layer", "Total", no_wrap=True, style="cyan")
    drawn.add_column("Output shape", no_wrap=True)
    drawn.add_column("Parameters", f"{table.parameters:,}", justify="right", no_wrap=True)
    drawn.add_column("Description")
    for layer in table.layers:
        shape = " x ".join(str(side) for side in layer.output_shape)
        drawn.add_row(layer.name, shape, f"{layer.parameters:,}", _unbroken(layer.description))
    console.print(drawn)
    console.print(f"Stages, as --freeze counts them: {', '.join(table.stages)}.", style="dim")


def _unbroken(text: str) -> str:
    """Keep the sides of a kernel on one line: 7 x 7 as 7x7."""
    return text.replace(" x ", "x")
