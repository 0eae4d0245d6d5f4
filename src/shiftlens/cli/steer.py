"""``shiftlens steer``: one question, answered without and with steering, and the receipt."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shiftlens.cli.steering_options import (
    LayersOption,
    OperatorOption,
    ScopeOption,
    typed_layers,
)
from shiftlens.cli.terminal import console, print_json


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("steer")(steer)


def steer(
    model: Annotated[str, typer.Argument(help="The model: a directory, an id, or world:base.")],
    prompt: Annotated[str, typer.Argument(help="What is asked.")],
    vector: Annotated[
        list[Path],
        typer.Option("--vector", "-v", help="A saved steering, vector or affine edit; repeat it."),
    ],
    image: Annotated[Path | None, typer.Option("--image", "-i", help="The picture.")] = None,
    strength: Annotated[float, typer.Option(help="How much of it; 1 is the whole vector.")] = 1.0,
    scope: ScopeOption = None,
    operator: OperatorOption = None,
    layers: LayersOption = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(help="says:WORDS, end, prompt:WORDS, probe:FILE, not:...; all must be open."),
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="An adapter of the model.")] = None,
    kl: Annotated[
        bool, typer.Option("--kl", help="Measure how far the first token is moved.")
    ] = False,
    max_new_tokens: Annotated[int, typer.Option(help="Where an answer is cut off.")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print answers and receipt.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Answer one question without and with steering, and say what was touched.

    Example: shiftlens steer world:base "Is there a dog?" -i dog.png -v demo/steering/answer/vector
    """
    given: dict[str, Any] = {
        "strength": strength,
        "scope": scope,
        "operator": operator,
        "layers": typed_layers(layers),
        "gates": gate or (),
    }
    from shiftlens.data.images import open_image
    from shiftlens.models.loading import load_model
    from shiftlens.steering.applying import steer as steering
    from shiftlens.steering.reading import read_interventions, require_files

    # These find mistakes before anything is loaded.
    require_files(vector, **given)
    if image is not None:
        open_image(str(image)).close()
    asked = load_model(model, adapter=adapter, device=device, dtype=dtype)
    wanted = read_interventions(asked, vector, **given)
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens}
    before = asked.generate(image, prompt, **options)
    with steering(asked, wanted, first_token_kl=kl) as receipt:
        after = asked.generate(image, prompt, **options)
    if as_json:
        print_json({"unsteered": before, "steered": after, "receipt": receipt.to_dict()})
    if as_json or quiet:
        return
    screen = console()
    screen.print(f"unsteered  {before}", markup=False, soft_wrap=True)
    screen.print(f"steered    {after}", markup=False, soft_wrap=True)
    screen.print(receipt.summary(), markup=False, soft_wrap=True, style="dim")
