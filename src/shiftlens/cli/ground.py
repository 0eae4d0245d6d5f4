"""``shiftlens ground``: the words and pictures of concepts."""

from pathlib import Path
from typing import Annotated

import typer

from shiftlens.cli.no_images import NoImages
from shiftlens.cli.terminal import print_json
from shiftlens.cli.word_options import ALL


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("ground")(ground)


def ground(
    concepts: Annotated[Path, typer.Argument(help="Concepts that learn saved, or its directory.")],
    store: Annotated[Path, typer.Argument(help="The states that they were learned from.")],
    model: Annotated[str, typer.Option(help="The states' own model: its head gives the words.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Save there; in place otherwise.")
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="The adapter that was harvested.")] = None,
    n_words: Annotated[int, typer.Option("--n-words", help="Words of a concept.")] = 15,
    n_images: Annotated[int, typer.Option("--n-images", help="Pictures of a concept.")] = 5,
    stop_words: Annotated[
        str, typer.Option(help="Words of grammar to leave out: all, none, en,de or a file.")
    ] = ALL,
    words: Annotated[
        str, typer.Option(help="List only these: a file of one a line, or surfer,cook.")
    ] = "",
    against: Annotated[
        str, typer.Option(help="What contrastive words are told from: concepts or samples.")
    ] = "concepts",
    sheets: Annotated[
        Path | None, typer.Option(help="Draw a sheet of each concept's pictures into this folder.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16, float16.")
    ] = None,
    no_images: NoImages = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the concepts instead of the table.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Give concepts their words, read through the model's own head, and their pictures.

    Three lists of words: the likeliest, those that a concept says more than the others do, and the
    words that are said in the states nearest to it.

    Example: shiftlens ground runs/concepts runs/people --model world:base --sheets runs/sheets
    """
    if against not in ("concepts", "samples"):
        raise typer.BadParameter(
            f"words cannot be told from {against!r}: concepts or samples", param_hint="--against"
        )
    if no_images and sheets is not None:
        raise typer.BadParameter("sheets are pictures", param_hint="--no-images, --sheets")
    from shiftlens.activations.store import ActivationStore
    from shiftlens.cli.concept_files import concepts_at
    from shiftlens.cli.ground_page import document_of, draw_sheets, print_grounded
    from shiftlens.cli.stored_model import model_of, require_own_store
    from shiftlens.cli.word_options import stop_words_from, words_from
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.concepts.grounding.ground import ground as give_words

    # What is on the disk is read first: a mistake there is found before a model is loaded.
    path = concepts_at(concepts)
    learned, states = Concepts.load(path), ActivationStore.open(store)
    require_own_store(learned, states)
    stops, only = stop_words_from(stop_words), words_from(words)
    grounded = give_words(
        learned,
        states,
        model_of(states, model, adapter, device=device, dtype=dtype).readout,
        n_words=n_words,
        n_images=0 if no_images else n_images,
        stop_words=stops,
        words=only,
        against=against,  # pyright: ignore[reportArgumentType]
    )
    target = path if out is None else out
    grounded.save(target)
    drawn = [] if sheets is None else draw_sheets(grounded, states, sheets)
    if as_json:
        print_json(document_of(grounded, target, drawn))
    elif not quiet:
        print_grounded(grounded, states, target, drawn, model=model, adapter=adapter, store=store)
