"""``shiftlens import``: feature files of xl-vlms become stores, control vectors steerings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.steering_options import listed
from shiftlens.cli.terminal import console, print_json, progress

if TYPE_CHECKING:
    from shiftlens.activations.importing.plan import Plan


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("import")(bring_in)


def bring_in(
    file: Annotated[
        Path, typer.Argument(help="What xl-vlms saved (.pth), or a control vector (.gguf).")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The directory of the store, or of the steering.")
    ] = Path("runs/imported"),
    model: Annotated[
        str | None, typer.Option(help="Whose states they are, on your word: a directory or an id.")
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="An adapter that was on in it.")] = None,
    words: Annotated[
        str | None, typer.Option(help="The token of interest; the file hides it: dog.")
    ] = None,
    module: Annotated[
        str | None, typer.Option(help="The module whose states are kept; all blocks otherwise.")
    ] = None,
    positions: Annotated[
        str | None,
        typer.Option(
            help="Of several tokens a sample: each (unless given) a state, or their mean."
        ),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="What was asked.")] = None,
    response: Annotated[
        str | None, typer.Option(help="Whose text it was: own (unless given), or given.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="The folder that holds the pictures on this machine.")
    ] = None,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Keep names of pictures out of the store.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and where.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would write, and stop.")
    ] = False,
) -> None:
    """Take over states of xl-vlms, or a control vector of llama.cpp: as a store, or a steering.

    Nothing in the file is run. With --model, where its weights are at hand, the store is as good as
    a harvested one, and the vectors steer. Without, concepts can be learned from it and compared
    with those of other imported files, and vectors be exported again.

    Example: shiftlens import features/save_hidden_states_dog.pth --words dog -o runs/dog
    """
    for name, value, known in (
        ("--positions", positions, ("each", "mean")),
        ("--response", response, ("own", "given")),
    ):
        if value is not None and value not in known:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}", param_hint=name)
    if adapter and not model:
        raise typer.BadParameter("an adapter is of a model: name it", param_hint="--model")
    from shiftlens.cli.import_vectors import import_vectors, is_gguf

    if is_gguf(file):
        _require_no_settings_of_stores(words, module, positions, prompt, response, images)
        told = {"as_json": as_json, "quiet": quiet, "dry_run": dry_run}
        import_vectors(file, out, model, adapter, **told)
        return
    from shiftlens.activations.importing.importing import import_features, planned_import

    chosen: dict[str, Any] = {
        "module": module,
        "positions": positions or "each",
        "words": tuple(listed(words or "")),
    }
    if dry_run:
        _print_cost(planned_import(file, **chosen), as_json=as_json)
        return
    import_features(
        file,
        out,
        **chosen,
        model=model,
        adapter=adapter,
        prompt=prompt,
        response=response or "own",
        images=images,
        keep_names=not no_images,
        progress=progress(quiet=quiet or as_json),
    )
    from shiftlens.activations.manifest import read_manifest
    from shiftlens.cli.harvest_page import described, print_stores

    store = read_manifest(out)
    if as_json:
        print_json(described(store))
    elif not quiet:
        print_stores([store], model=None if adapter else model)


def _require_no_settings_of_stores(*given: object) -> None:
    """Refuse options that say something about states: a control vector has none."""
    names = ("--words", "--module", "--positions", "--prompt", "--response", "--images")
    for name, value in zip(names, given, strict=True):
        if value is not None:
            raise typer.BadParameter("a control vector has no states", param_hint=name)


def _print_cost(planned: "Plan", *, as_json: bool) -> None:
    found: dict[str, Any] = {
        "samples": len(planned.features),
        "rows": planned.rows,
        "d": planned.d,
        "dtype": str(planned.dtype).removeprefix("torch."),
        "modules": [one.name for one in planned.blocks],
        "bytes": planned.bytes,
    }
    if as_json:
        print_json(found)
        return
    from shiftlens.cli.harvest_page import size_text

    console().print(
        f"{found['rows']} states of width {found['d']} ({found['dtype']}) from "
        f"{found['samples']} samples\nof {', '.join(found['modules'])}\n"
        f"{size_text(planned.bytes)} of states",
        markup=False,
    )
