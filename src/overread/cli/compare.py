"""`overread compare`: several networks on the same images and the same split, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from overread.cli.train import add_audit, add_settings, add_workers, check_workers, make_job, new_folder
from overread.errors import SettingsError
from overread.settings import RECIPES

ABOUT = """\
Every network is trained with the same settings on the same split, in a folder
of its own, and a table sets them side by side. After Ctrl-C or a crash the
same command keeps what has ended and does what is left."""
EXAMPLE = "overread compare scans/ --backbones resnet18,resnet50,alexnet,vgg16"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags: those of train, with several networks for one."""
    parser.add_argument("source", type=Path, metavar="DATA", help="images, as for overread train")
    parser.add_argument("--backbones", required=True, metavar="A,B,...", help="networks to compare")
    parser.add_argument("--out", type=Path, help="the folder to write; each network gets a folder in it")
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="default", help="settings to start from")
    parser.add_argument(
        "--skip-bad", action="store_true", help="go on without unusable images, listed in skipped.csv"
    )
    add_audit(parser)
    add_workers(parser)
    add_settings(parser, omit=("backbone",))


def run(args: argparse.Namespace) -> int:
    """Train each network, and print a table of them."""
    names = [name.strip() for name in args.backbones.split(",") if name.strip()]
    if len(names) < 2 or len(set(names)) < len(names):
        raise SettingsError(
            f"--backbones {args.backbones} must name two networks or more, each once, with commas between."
        )
    check_workers(args)
    job = make_job(args, out=args.out or new_folder(args.source))
    from overread.cli.console import ConsoleWatcher, loading_torch
    from overread.cli.outcome import print_several, told_to_repeat

    with loading_torch():
        from overread.run import many

    jobs = many.by_backbone(job, names)
    many.check_weights(jobs)
    with ConsoleWatcher() as watch:
        with told_to_repeat(job.out):
            outcomes = many.run_all(jobs, out=job.out, watch=watch)
        print_several(outcomes, table_file=job.out / many.TABLE, console=watch.console, spread=False)
        watch.console.print(many.compare_all(outcomes, out=job.out), style="bold", markup=False)
    return 0
