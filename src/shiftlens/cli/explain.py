"""``shiftlens explain``: which concepts are active at which word of one answer."""

from pathlib import Path
from typing import Annotated

import typer

from shiftlens.cli.no_images import NoImages
from shiftlens.cli.terminal import print_json


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("explain")(explain)


def explain(
    model: Annotated[str, typer.Argument(help="Who answers: a directory, an id, or world:base.")],
    prompt: Annotated[str, typer.Option(help="What is asked.")],
    concepts: Annotated[str, typer.Option(help="Saved concepts with words, or their directory.")],
    image: Annotated[
        Path | None, typer.Argument(help="The picture, of the data or one's own.")
    ] = None,
    own: Annotated[
        Path | None, typer.Option("--image", "-i", help="The picture, named as in steer.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="States to measure activity against: the concepts' own, or others."),
    ] = None,
    words: Annotated[
        str, typer.Option(help="Words of the answer to look at: dog,cat; all of them otherwise.")
    ] = "",
    response: Annotated[
        str | None, typer.Option(help="The answer that it is given, in place of its own.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where results go.")] = Path(
        "runs/explain"
    ),
    maps: Annotated[int, typer.Option(help="Concepts that get heat maps, at most.")] = 4,
    by: Annotated[
        str, typer.Option(help="How: occlusion, or projection, cosine, readout (one reading).")
    ] = "occlusion",
    check: Annotated[
        bool, typer.Option(help="Hide each map's hottest patches, and random ones.")
    ] = True,
    adapter: Annotated[str | None, typer.Option(help="An adapter of the model.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Where the answer is cut off.")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16, float16.")
    ] = None,
    no_images: NoImages = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print explanation.json instead of the page.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Say which concepts are active at which word of the answer, with words and heat maps.

    Without --store concepts are ranked, and none of them is called active.

    Example: shiftlens explain world:base dog.png --prompt "Describe it." --concepts runs/concepts
    """
    from shiftlens.activations.store import ActivationStore
    from shiftlens.cli.concept_files import concepts_at
    from shiftlens.cli.explain_page import print_explanation
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.concepts.grounding.explaining import explain as run
    from shiftlens.data.images import open_image
    from shiftlens.data.sample import Sample, Samples
    from shiftlens.models.loading import load_model
    from shiftlens.reporting.explaining_page import write_explanation_page

    # What is on the disk is read first: a mistake there is found before a model is loaded.
    learned = Concepts.load(concepts_at(concepts))
    measured = None if store is None else ActivationStore.open(store)
    picture = _one_picture(image, own)
    open_image(picture).close()
    chosen = [one.strip() for one in words.split(",") if one.strip()]
    asked = Sample("picture", prompt, (picture,))
    if no_images:
        from shiftlens.data.privacy import hide

        (asked,) = hide(Samples([asked]))
    found = run(
        load_model(model, adapter=adapter, device=device, dtype=dtype),
        asked,
        None,
        learned,
        response=response,
        store=measured,
        words=chosen,
        n_maps=maps,
        method=by,
        check=check,
        max_new_tokens=max_new_tokens,
    )
    found.save(out)
    document = found.to_dict()
    page = write_explanation_page(document, out / "explanation.html")
    if as_json:
        print_json(document)
    elif not quiet:
        print_explanation(document, page, chosen)


def _one_picture(*given: Path | None) -> str:
    """The picture, which is named in one of two ways.

    Raises:
        DataError: it is named in both ways, or not at all.
    """
    from shiftlens.core.errors import DataError

    named = [str(one) for one in given if one is not None]
    if len(named) != 1:
        raise DataError(
            f"two pictures: {named[0]} and {named[1]}" if named else "no picture to explain",
            allowed="one picture: behind the model, or with --image",
        )
    return named[0]
