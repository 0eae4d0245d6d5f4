"""``shiftlens learn``: concepts from states, with as many concepts as the data can carry."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.no_images import NoImages
from shiftlens.cli.steering_options import listed, setting
from shiftlens.cli.terminal import print_json, progress
from shiftlens.cli.word_options import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.choice import Choice
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.concepts.learners.learner import ConceptLearner
    from shiftlens.concepts.trying import WordsOf
    from shiftlens.core.progress import Progress
    from shiftlens.models.readout import Readout

UNDECIDED = 4
_LEARNER = "kmeans"  # unless another one is named


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("learn")(learn)


def learn(
    store: Annotated[Path, typer.Argument(help="States that harvest kept.")],
    k: Annotated[
        str, typer.Option("--k", help="How many concepts; of several one is chosen: 5,10,20,40.")
    ] = "20",
    learner: Annotated[
        str, typer.Option(help="kmeans, sparse-coding, semi-nmf, pca, ...")
    ] = _LEARNER,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the concepts go.")] = Path(
        "runs/concepts"
    ),
    layer: Annotated[
        int | None, typer.Option(help="Which of the store's blocks; -1 is its last one.")
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="Coordinates: raw, centred, unit, standard, white.")
    ] = None,
    n_starts: Annotated[int | None, typer.Option(help="Starts; the best of them is kept.")] = None,
    penalty: Annotated[
        float | None, typer.Option(help="Price of a code, for learners that have one.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another option of the learner, name=value; repeatable."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The states' own model: concepts get words and pictures.")
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="The adapter that was harvested.")] = None,
    n_words: Annotated[int, typer.Option("--n-words", help="Words of a concept.")] = 15,
    n_images: Annotated[int, typer.Option("--n-images", help="Pictures of a concept.")] = 5,
    stop_words: Annotated[
        str, typer.Option(help="Words of grammar to leave out: all, none, en,de or a file.")
    ] = ALL,
    seed: Annotated[int, typer.Option(help="Of the learner, the halves and the resampling.")] = 0,
    seeds: Annotated[int, typer.Option(help="Seeds for each half and k.")] = 5,
    most_rows: Annotated[
        int, typer.Option("--most-rows", help="States that several k are tried on, at most.")
    ] = 20_000,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    no_images: NoImages = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was learned instead of the tables.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")
    ] = False,
) -> None:
    """Learn concepts from a store; with several k, choose one by a stated rule.

    Each k is learned on two halves of the pictures with several seeds. A k must explain the other
    half, and both halves must find the same concepts. Exit code 4 says that no k does.

    Example: shiftlens learn runs/people --k 5,10,20,40 --model world:base -o runs/concepts
    """
    counts = _counts(k)
    given = dict(setting(one) for one in settings or ())
    named = {"space": space, "n_starts": n_starts, "penalty": penalty}
    given |= {key: value for key, value in named.items() if value is not None}
    if adapter and not model:
        raise typer.BadParameter("an adapter is of a model: name it", param_hint="--model")
    from shiftlens.activations.store import ActivationStore
    from shiftlens.cli.learner_options import learner_with

    states, kind = ActivationStore.open(store), learner_with(learner, counts[0], seed, given)
    at = _layer(states, layer)
    if dry_run:
        from shiftlens.cli.learn_page import print_cost

        print_cost(len(states), counts, seeds, most_rows, as_json=as_json)
        return
    readout, stops = _readout(states, model, adapter, device, stop_words)
    listener = progress(quiet=quiet or as_json)
    choice: Choice | None = None
    if len(counts) > 1:
        from shiftlens.concepts.choosing import choose_k

        choice = choose_k(
            states,
            kind,
            counts,
            layer=at,
            n_seeds=seeds,
            seed=seed,
            words_of=_words_of(readout, states, at, n_words, stops),
            most_rows=most_rows,
            device=device,
            progress=listener,
        )
        _save_choice(choice, out)
    concepts: Concepts | None = None
    if choice is None or choice.chosen is not None:
        k_found = counts[0] if choice is None or choice.chosen is None else choice.chosen
        concepts = _learned(states, kind, k_found, at, device, listener)
        if readout is not None:
            pictures = 0 if no_images else n_images
            concepts = _grounded(concepts, states, readout, n_words, pictures, stops)
        concepts.save(out / "concepts")
    from shiftlens.cli.learn_page import document_of, print_learned

    if as_json:
        print_json(document_of(concepts, choice, out))
    elif not quiet:
        print_learned(
            concepts,
            choice,
            out,
            store=store,
            harvested=states.about,
            model=model,
            adapter=adapter,
            same=_same(learner, at if layer is not None else None, given),
        )
    if concepts is None:
        raise typer.Exit(UNDECIDED)


def _counts(text: str) -> list[int]:
    """The k that were named, ascending, each once."""
    try:
        found = sorted({int(one) for one in listed(text)})
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no list of whole numbers: 5,10,20,40", param_hint="--k"
        ) from error
    if not found or found[0] < 1:
        raise typer.BadParameter(f"{text!r}: at least one concept", param_hint="--k")
    return found


def _layer(states: "ActivationStore", layer: int | None) -> int:
    """The block; negative ones count from the end of the store's blocks."""
    held = states.layers
    if layer is None and len(held) > 1:
        raise typer.BadParameter(
            f"{states.path} holds blocks {', '.join(map(str, held))}: name one of them, "
            "or -1 for the last",
            param_hint="--layer",
        )
    if layer is not None and -len(held) <= layer < 0:
        return held[layer]
    return int(states.site_at(layer).layers[0])


def _same(learner: str, layer: int | None, given: "Mapping[str, Any]") -> list[str]:
    """The options that another run of the verb needs to learn in the same way."""
    words = [] if layer is None else ["--layer", str(layer)]
    words += [] if learner == _LEARNER else ["--learner", learner]
    for name, value in given.items():
        words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    return words


def _readout(
    states: "ActivationStore",
    model: str | None,
    adapter: str | None,
    device: str | None,
    stop_words: str,
) -> "tuple[Readout | None, frozenset[str]]":
    """The head of the states' own model and the words of grammar, where words are wanted."""
    from shiftlens.cli.word_options import stop_words_from

    stops = stop_words_from(stop_words)
    if model is None:
        return None, stops
    from shiftlens.cli.stored_model import model_of

    return model_of(states, model, adapter, device=device).readout, stops


def _words_of(
    readout: "Readout | None",
    states: "ActivationStore",
    layer: int,
    n: int,
    stops: frozenset[str],
) -> "WordsOf | None":
    if readout is None:
        return None
    from shiftlens.cli.learn_words import plain_words

    return plain_words(readout, states, layer, n=n, stop_words=stops)


def _learned(
    states: "ActivationStore",
    kind: "ConceptLearner",
    k: int,
    layer: int,
    device: str | None,
    listener: "Progress",
) -> "Concepts":
    """Concepts of all rows; what the learner warns of is said by the page, once."""
    import warnings
    from dataclasses import replace

    from shiftlens.concepts.learning import DominantDimensions, FlatDirections
    from shiftlens.concepts.learning import learn as learn_all

    with warnings.catch_warnings():
        for said in (DominantDimensions, FlatDirections):
            warnings.simplefilter("ignore", said)
        one: ConceptLearner = replace(kind, k=k)  # pyright: ignore
        return learn_all(states, one, layer=layer, device=device, progress=listener)


def _grounded(
    concepts: "Concepts",
    states: "ActivationStore",
    readout: "Readout",
    n_words: int,
    n_images: int,
    stops: frozenset[str],
) -> "Concepts":
    from shiftlens.concepts.grounding.ground import ground

    return ground(concepts, states, readout, n_words=n_words, n_images=n_images, stop_words=stops)


def _save_choice(choice: "Choice", out: Path) -> None:
    from shiftlens.core.manifest import write_json
    from shiftlens.reporting.choice_page import write_choice_page

    document = choice.to_dict()
    write_json(out / "choice.json", document)
    write_choice_page(document, out / "choice.html")
