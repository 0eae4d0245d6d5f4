"""``shiftlens export``: a steering in the format of another engine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.steering_options import LayersOption, OperatorOption, typed_layers
from shiftlens.cli.terminal import console, print_json

if TYPE_CHECKING:
    from shiftlens.steering.exporting import Plan


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("export")(export)


def export(
    vector: Annotated[
        list[Path],
        typer.Argument(help="A saved steering, vector or affine edit; several are put together."),
    ],
    to: Annotated[
        str, typer.Option("--to", help="baked, gguf, transformers, vllm-lens, or a plugin's.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the files.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="The model it is for: a directory, an id, or world:base; baked needs it."
        ),
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="An adapter of the model.")] = None,
    strength: Annotated[
        float, typer.Option(help="How much of it; multiplies the strengths of a steering.")
    ] = 1.0,
    scope: Annotated[
        str | None,
        typer.Option(help="Positions of bare vectors: all (unless given), which engines know."),
    ] = None,
    operator: OperatorOption = None,
    layers: LayersOption = None,
    everywhere: Annotated[
        bool,
        typer.Option(
            "--everywhere",
            help="Bake an ablation as weights do it, which is more than hooks after blocks do.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print files and notes.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would write, and stop.")
    ] = False,
) -> None:
    """Write a steering for another engine; what the engine cannot express is refused.

    A bare vector is exported for every position. A saved steering brings its own settings.

    Example: shiftlens export demo/steering/answer/vector --to gguf -o out --model world:base
    """
    if adapter and not model:
        raise typer.BadParameter("an adapter is of a model: name it", param_hint="--model")
    chosen = typed_layers(layers)
    from shiftlens.steering.exporting import Subject
    from shiftlens.steering.exporting.export import carry_out, plan_export
    from shiftlens.steering.reading import read_steering

    subject = None if model is None else Subject(model, adapter)
    steering = read_steering(
        vector,
        strength=strength,
        scope=scope,
        operator=operator,
        layers=chosen,
        count=None if subject is None else subject.count,
    )
    target, plan = plan_export(steering, to, model=subject, everywhere=everywhere, out=out)
    files = plan.files if dry_run else carry_out(target, plan, out).files
    if as_json:
        _print_json(target.name, out, plan, written=not dry_run)
    elif not quiet:
        _print(out, plan, [Path(one) for one in files], written=not dry_run)


def _print_json(target: str, out: Path, plan: "Plan", *, written: bool) -> None:
    told: dict[str, Any] = {
        "target": target,
        "folder": str(out),
        "files": [{"name": name, "bytes": size} for name, size in plan.files.items()],
        "notes": list(plan.notes),
        "written": written,
    }
    print_json(told)


def _print(out: Path, plan: "Plan", files: list[Path], *, written: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from shiftlens.cli.harvest_page import size_text

    screen = console()
    screen.print("wrote" if written else "would write", markup=False)
    for file, size in zip(files, plan.files.values(), strict=True):
        screen.print(f"  {out / file.name}  {size_text(size)}", markup=False, soft_wrap=True)
    for note in plan.notes:
        # A grid sets what goes on in a second line below the first, not below the dash.
        line = Table.grid(padding=(0, 1))
        line.add_row(Text("-", "dim"), Text(note, "dim"))
        screen.print(line)
