"""``shiftlens harvest``: ask a model about pictures, and keep the states at some of its tokens."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.data_options import ColumnsOption, Rows, WhereOption, rows_option
from shiftlens.cli.harvest_workers import Workers
from shiftlens.cli.no_images import NoImages, as_named
from shiftlens.cli.steering_options import layer_numbers, layers_of
from shiftlens.cli.terminal import print_json
from shiftlens.cli.token_choice import NAMES, token_choice

if TYPE_CHECKING:
    from shiftlens.activations.manifest import Manifest
    from shiftlens.activations.selections.selection import Selection
    from shiftlens.data.sample import Samples
    from shiftlens.models.model import Model

_PART = 256  # samples in one part, as in ``shiftlens.harvest``
_DRAWN = 600  # samples of a package's collection, unless another number is named


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("harvest")(harvest)


def harvest(
    model: Annotated[str, typer.Argument(help="Who is asked: a directory, an id, or world:base.")],
    data: Annotated[
        str, typer.Argument(help="What it is asked: a folder, a .jsonl, or world:captions.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The store's directory.")] = Path(
        "runs/states"
    ),
    words: Annotated[str, typer.Option(help="Where one of these is said: person,man,woman.")] = "",
    tokens: Annotated[
        str, typer.Option(help=f"Or where: {', '.join(NAMES)}. last-prompt by default.")
    ] = "",
    layers: Annotated[str, typer.Option(help="After which blocks: -1, or 3,4,-1, or all.")] = "-1",
    alignment: Annotated[
        str, typer.Option(help="predict: the state that says the token; read: that has read it.")
    ] = "",
    every: Annotated[
        bool, typer.Option("--every", help="Every time a word is said, not only the first.")
    ] = False,
    samples: Annotated[
        int | None,
        typer.Option("--samples", "-n", help=f"How many; all, or {_DRAWN} of the world."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Asked about every picture.")] = None,
    adapter: Annotated[
        str | None, typer.Option(help="Ask the model with this adapter instead.")
    ] = None,
    tuned: Annotated[
        str | None, typer.Option(help="Its fine-tune: two stores, OUT/base and OUT/tuned.")
    ] = None,
    response: Annotated[
        str, typer.Option(help="Whose text: own, base (both models on the base's), given.")
    ] = "own",
    where: WhereOption = None,
    columns: ColumnsOption = "",
    seed: Annotated[int, typer.Option(help="Which samples.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(help="Where an answer is cut off.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Samples at once.")] = 32,
    part: Annotated[
        str, typer.Option(help="2/8: the second of eight shares; any order, any machine.")
    ] = "",
    part_size: Annotated[
        int, typer.Option(help="Samples in one part: what a share takes, and a kill loses.")
    ] = _PART,
    decoders: Annotated[
        int, typer.Option(help="Processes that decode pictures ahead; 0: this one in between.")
    ] = 0,
    remote_images: Annotated[
        bool, typer.Option("--remote-images", help="Fetch pictures named by https:// addresses.")
    ] = False,
    ray: Annotated[
        str, typer.Option(help="Parts on workers of Ray: local, auto, or its address.")
    ] = "",
    workers: Annotated[
        int | None, typer.Option(help="How many workers; all there is room for.")
    ] = None,
    gpus_per_worker: Annotated[
        float | None, typer.Option(help="0.5 for two workers on one GPU.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16, float16.")
    ] = None,
    no_images: NoImages = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and where.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")
    ] = False,
) -> None:
    """Ask a model about pictures and keep its states, in a store that learn reads.

    A run that was interrupted goes on where it stopped; a finished one is not run again.

    Example: shiftlens harvest world:base world:people --words person,man,woman -o runs/people
    """
    chosen = _checked(words, tokens, alignment, every, response, adapter, tuned, samples)
    if part_size < 1:
        raise typer.BadParameter("at least one sample in a part", param_hint="--part-size")
    layer_numbers(layers)  # finds a mistake before anything is loaded
    share = _share(part)
    crew = Workers(ray, workers, gpus_per_worker, quiet=quiet or as_json)
    asked = _samples(data, out, samples, seed, prompt, rows_option(where, columns))
    if dry_run:
        from shiftlens.cli.harvest_page import cost, print_cost

        print_cost(
            cost(
                model,
                len(asked),
                chosen,
                layers,
                models=2 if tuned else 1,
                generates=response != "given",
                max_new_tokens=max_new_tokens,
                batch_size=batch_size,
                dtype=dtype,
            ),
            as_json=as_json,
        )
        return
    asked = as_named(asked, no_images)
    from shiftlens.activations.recognising import finished, note_request, request_key

    options: dict[str, Any] = {
        "response": response,
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
        # Named only where it is asked for: requests of before stay what they are.
        **({"part_size": part_size} if part_size != _PART else {}),
        **({"remote": True} if remote_images else {}),
    }
    site = None if chosen is None else chosen.describe()
    asked_for = {**options, "site": site, "layers": layers, "device": device, "dtype": dtype}
    key = request_key((model, adapter, tuned), asked, asked_for)
    found = finished(out, key)
    if found is None:
        found = _run(
            _models(model, adapter, tuned, device=device, dtype=dtype),
            asked,
            chosen,
            layers,
            out,
            part=share,
            decoders=decoders,
            **crew.options(),
            **options,
        )
        note_request(out, key, found)
    from shiftlens.cli.harvest_page import described, print_stores, print_unfinished

    if as_json:
        documents = [described(one) for one in found]
        stores = {"stores": documents} if tuned else documents[0]
        print_json({**stores, **crew.documents()})
    if as_json or quiet:
        return
    crew.print_summary()
    if all(one.complete for one in found):
        print_stores(found, model=None if adapter or tuned else model)
    else:
        print_unfinished(found, part, len(asked))


def _share(part: str) -> tuple[int, int] | None:
    """``2/8`` as numbers; nothing where it is not given."""
    if not part:
        return None
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", part.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise typer.BadParameter(
            f"{part!r} is not a share of a run: 1/8 to 8/8 are", param_hint="--part"
        )
    return int(found[1]), int(found[2])


def _checked(
    words: str,
    tokens: str,
    alignment: str,
    every: bool,
    response: str,
    adapter: str | None,
    tuned: str | None,
    samples: int | None,
) -> "Selection | None":
    """The selection, once nothing contradicts anything."""
    if response not in ("own", "base", "given"):
        raise typer.BadParameter(
            f"there is no text {response!r}: own, base, given", param_hint="--response"
        )
    if response == "base" and not tuned:
        raise typer.BadParameter(
            "the base's text is for its fine-tune: name it", param_hint="--tuned"
        )
    if adapter and tuned:
        raise typer.BadParameter(
            "an adapter and a fine-tune are two ways to ask: give one of them",
            param_hint="--adapter, --tuned",
        )
    if samples is not None and samples < 1:
        raise typer.BadParameter("at least one sample", param_hint="--samples")
    return token_choice(words, tokens, alignment, every=every)


def _samples(
    data: str, out: Path, n: int | None, seed: int, prompt: str | None, rows: Rows
) -> "Samples":
    from shiftlens.cli.diff_inputs import samples_of
    from shiftlens.core.places import Remote, place_of
    from shiftlens.data.sources import is_provided

    place = place_of(out)  # pictures that are drawn stay on this machine
    here = place.workshop if isinstance(place, Remote) else place
    return samples_of(data, here, n or _DRAWN if is_provided(data) else n, seed, prompt, rows)


def _models(name: str, adapter: str | None, tuned: str | None, **place: Any) -> "tuple[Model, ...]":
    from shiftlens.models.loading import load_model, load_pair

    if tuned is not None:
        return load_pair(name, tuned, **place)
    return (load_model(name, adapter=adapter, **place),)


def _run(
    models: "tuple[Model, ...]",
    asked: "Samples",
    chosen: "Selection | None",
    layers: str,
    out: Path,
    **options: Any,
) -> "list[Manifest]":
    import warnings

    from shiftlens.activations.finite import NotFinite
    from shiftlens.activations.harvesting import harvest as keep_states
    from shiftlens.activations.manifest import read_manifest
    from shiftlens.activations.site import Site

    found = layers_of(layers, models[0]) or [-1]
    layer = found[0] if len(found) == 1 else tuple(found)
    site = Site(layer) if chosen is None else Site(layer, chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotFinite)  # the page says so
        if len(models) == 1:
            stores = [keep_states(models[0], asked, site, out, **options)]
        else:
            stores = keep_states(models, asked, site, out, **options)
    return [read_manifest(store.path) for store in stores]
