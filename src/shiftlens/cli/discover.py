"""``shiftlens discover``: which directions between concepts mean something."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.data_options import ColumnsOption, WhereOption, rows_option
from shiftlens.cli.no_images import NoImages, as_named
from shiftlens.cli.terminal import console, print_json, progress, table

if TYPE_CHECKING:
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.core.progress import Progress
    from shiftlens.data.sample import Samples
    from shiftlens.models.model import Model
    from shiftlens.steering.discovering import Discovery

PAGE = "report.html"
_SHOWN = 15


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("discover")(discover)


def discover(
    model: Annotated[str, typer.Argument(help="Who is steered: a directory or an id.")],
    data: Annotated[
        str, typer.Argument(help="Short questions: a folder, a .jsonl file, or world:other.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where results go.")] = Path(
        "runs/discover"
    ),
    concepts: Annotated[
        str | None,
        typer.Option(
            help="Saved concepts, or their directory; learned from half the data otherwise."
        ),
    ] = None,
    layer: Annotated[int, typer.Option(help="Where concepts are learned; -1 is the last.")] = -1,
    k: Annotated[int, typer.Option("--k", help="How many concepts are learned.")] = 6,
    strength: Annotated[float, typer.Option(help="How much of each direction.")] = 1.0,
    scope: Annotated[str, typer.Option(help="Positions: response, all, image, ...")] = "response",
    top: Annotated[int, typer.Option(help="Answers that are looked at for each direction.")] = 5,
    controls: Annotated[int, typer.Option(help="Random directions to compare with.")] = 20,
    prompt: Annotated[str | None, typer.Option(help="Asked about every picture.")] = None,
    n: Annotated[int, typer.Option("--n", "-n", help="Samples that are asked, at most.")] = 100,
    where: WhereOption = None,
    columns: ColumnsOption = "",
    seed: Annotated[int, typer.Option(help="Of samples, learner and random directions.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(help="Where an answer is cut off.")] = 8,
    batch_size: Annotated[int, typer.Option(help="Samples at once.")] = 32,
    adapter: Annotated[str | None, typer.Option(help="Steer the model with this adapter.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16, float16.")
    ] = None,
    no_images: NoImages = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print discovery.json instead of the table.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")
    ] = False,
) -> None:
    """Steer with the direction between every two concepts; rank directions by what they mean.

    A direction means something if a few answers gain far more than all others. Random directions
    of the same lengths are scored beside them.

    Example: shiftlens discover world:base world:other --layer 4 --k 6 -o runs/directions
    """
    if n < 1 or k < 2:
        raise typer.BadParameter("at least one sample and two concepts", param_hint="--n, --k")
    if dry_run:
        _print_cost(_cost(concepts, k, controls, n, max_new_tokens, batch_size), as_json=as_json)
        return
    from shiftlens.cli.concept_files import concepts_at
    from shiftlens.cli.diff_inputs import samples_of
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.models.loading import load_model
    from shiftlens.steering.discovering import discover as run

    # What is on the disk is read first: a mistake there is found before a model is loaded.
    given = Concepts.load(concepts_at(concepts)) if concepts else None
    listener = progress(quiet=quiet or as_json)
    rows = rows_option(where, columns)
    samples = samples_of(data, out, n if concepts else 2 * n, seed, prompt, rows)
    samples = as_named(samples, no_images)
    loaded = load_model(model, adapter=adapter, device=device, dtype=dtype)
    if given is not None:
        learned = given
    else:
        fit, samples = samples.split(0.5, 0.5, seed=seed)
        learned = _learn(loaded, fit, layer, k, seed, out, max_new_tokens, batch_size, listener)
        learned.save(out / "concepts")
    found = run(
        loaded,
        learned,
        samples,
        strength=strength,
        scope=scope,
        top=top,
        n_random=controls,
        max_new_tokens=max_new_tokens,
        seed=seed,
        batch_size=batch_size,
        out=out,
        progress=listener,
    )
    if found.meaningful:
        found.vector(0, learned).save(out / "best")
    from shiftlens.reporting.discovery_page import write_discovery_page

    write_discovery_page(found.to_dict(), out / PAGE)
    if as_json:
        print_json(found.to_dict())
    elif not quiet:
        _print(found, out)


def _learn(
    model: "Model",
    samples: "Samples",
    layer: int,
    k: int,
    seed: int,
    out: Path,
    max_new_tokens: int,
    batch_size: int,
    listener: "Progress",
) -> "Concepts":
    """Concepts of the states that emit the answer, with the words that they say."""
    from shiftlens.activations.harvesting import harvest
    from shiftlens.activations.site import Site
    from shiftlens.activations.tokens import last_prompt
    from shiftlens.concepts.grounding.ground import ground
    from shiftlens.concepts.learners.kmeans import KMeans
    from shiftlens.concepts.learning import learn
    from shiftlens.core.manifest import digest

    site = Site(model.address.layer(layer, model.name), last_prompt())
    asked = [model.identity, samples.fingerprint, site.describe(), max_new_tokens, batch_size]
    store = harvest(
        model,
        samples,
        site,
        out / "fit" / digest(asked)[:12],
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        progress=listener,
    )
    return ground(learn(store, KMeans(k=k, seed=seed)), store, model.readout)


def _cost(
    concepts: str | None, k: int, controls: int, n: int, max_new_tokens: int, batch_size: int
) -> dict[str, Any]:
    if concepts:
        from shiftlens.concepts.concepts import Concepts

        k = Concepts.load(concepts.removesuffix(".safetensors")).k
    directions = k * (k - 1)
    answers = n * (directions + controls + 1)
    return {
        "directions": directions,
        "random": controls,
        "samples": n,
        "answers": answers,
        "passes": -(-answers // batch_size) * max_new_tokens,
    }


def _print_cost(cost: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(cost)
        return
    console().print(
        f"{cost['directions']} directions and {cost['random']} random ones, "
        f"{cost['samples']} samples for each\n"
        f"at most {cost['answers']} answers to generate\n"
        f"at most {cost['passes']} forward passes",
        markup=False,
    )


def _print(found: "Discovery", out: Path) -> None:
    from rich.markup import escape

    page = console()
    page.print(
        f"{len(found.meaningful)} of {len(found.directions)} directions score above all "
        f"{len(found.null)} random ones, which reach {max(found.null)} of {found.n} answers",
        markup=False,
    )
    lines = [
        (
            escape(one.name.partition(":")[0].removeprefix("concept ")),
            escape(", ".join(gain.answer for gain in one.result.primary)),
            escape(one.result.lost[0] if one.result.lost else ""),
            str(one.result.score),
            f"{one.beaten_by} of {len(found.null)}",
            f"{one.dose:.2f}",
        )
        for one in found.directions[:_SHOWN]
    ]
    page.print(table("", ("concepts", "more", "fewer", "score", "random above", "dose"), lines))
    page.print(f"  page     {out / PAGE}", markup=False, soft_wrap=True)
    page.print(f"  numbers  {out / 'discovery.json'}", markup=False, soft_wrap=True)
    if found.meaningful:
        page.print(f"  vector   {out / 'best.safetensors'}", markup=False, soft_wrap=True)
