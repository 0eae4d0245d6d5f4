"""A fresh adapter in a model's modules, to be trained, and the model given back bit for bit."""

import dataclasses
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.adapters import is_adapter
from shiftlens.models.files import locate
from shiftlens.models.model import Model
from shiftlens.models.quiet import quiet_loading

# Beginnings that change the base's own weights, or do not begin as the base does.
_PLAIN_BEGINNINGS = (True, "gaussian")
# Options that reach into the base itself, with the value that leaves it alone.
_HARMLESS: dict[str, Any] = {"bias": "none", "layer_replication": None}
# Fields about where files lie and who wrote them.
_ABOUT_FILES = {
    "auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision",
}  # fmt: skip
_EXAMPLE = '{"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}'


@dataclass(frozen=True)
class AdapterRecipe:
    """What PEFT needs to make an adapter of the same kind, size and places.

    Attributes:
        name: what the user called the adapter that it was read from; "fields" where there is none.
        fields: of ``adapter_config.json``, as JSON values.
        replaced: fields of the original that a fresh adapter cannot have, with the original value.
        shapes: of the original's tensors by name; empty where there is no original.
    """

    name: str
    fields: dict[str, Any]
    replaced: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]

    def config(self, base: str) -> Any:
        """A new configuration of PEFT for a model of the given name."""
        fields = {**self.fields, "base_model_name_or_path": base, "inference_mode": False}
        return _config(self.name, fields)


def recipe_from(like: str | Path | Mapping[str, Any]) -> AdapterRecipe:
    """Read how an adapter is made: its type, rank, scale, dropout, places, saved modules.

    Steps, learning rate and data do not stand in an adapter: they are the caller's to know.

    Args:
        like: an adapter, named as in ``load_model``, or the fields of an ``adapter_config.json``.

    Raises:
        DataError: it is not an adapter, PEFT cannot read its fields, peft is not installed, or the
            adapter changes the base's own tensors.
    """
    if isinstance(like, Mapping):
        return _recipe("fields", like)
    where, _ = locate(str(like), None)
    if not is_adapter(where):
        raise DataError(
            f"{like} is not an adapter",
            allowed="a directory with an adapter_config.json and no config.json",
            remedy=f"a full fine-tune has no recipe that can be read: give one, as in {_EXAMPLE}",
        )
    text = (where / "adapter_config.json").read_text(encoding="utf-8")
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"adapter_config.json of {like} is not valid JSON ({error})") from error
    return _recipe(str(like), fields, where)


@contextmanager
def fresh_adapter(base: Model, recipe: AdapterRecipe) -> Generator[Any]:
    """Put an untrained adapter into a model's modules; take it out again, whatever happens.

    Its weights are drawn from torch's global random state. Everything else in the model is frozen
    and in evaluation mode, so that neither dropout nor running statistics of the base take part.

    Yields:
        the ``PeftModel`` around ``base.hf``; its trainable tensors are those of the adapter,
        in float32.

    Raises:
        DataError: the model carries an adapter already.
        MismatchError: the recipe matches no module of the model, or tensors of other shapes.
    """
    import peft

    _refuse_adapted(base)
    before = _Before(base.hf)
    own = set(base.hf.state_dict())
    try:
        with quiet_loading():
            try:
                wrapped = peft.PeftModel(base.hf, recipe.config(base.name), "default")
            except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
                raise _foreign(recipe, base, str(error).strip().splitlines()[0]) from error
        _prepare(wrapped, own, recipe, base)
        yield wrapped
    finally:
        before.restore()


def trainable(hf: nn.Module) -> list[nn.Parameter]:
    """The parameters that training may change."""
    return [parameter for parameter in hf.parameters() if parameter.requires_grad]


def _recipe(name: str, given: Mapping[str, Any], original: Path | None = None) -> AdapterRecipe:
    """The fields that a fresh adapter can have, and those of the original that it cannot."""
    kind = _kind(name, given)
    fields = {key: value for key, value in given.items() if key not in _ABOUT_FILES}
    known = {field.name for field in dataclasses.fields(kind)}
    # A file may hold fields of a later PEFT: those that say something are named in the result.
    dropped = {key: value for key, value in fields.items() if key not in known}
    if dropped and original is None:
        raise DataError(
            f"PEFT knows no field {sorted(dropped)[0]!r} of {fields['peft_type']}",
            allowed=", ".join(sorted(known - _ABOUT_FILES)),
        )
    fields = {key: value for key, value in fields.items() if key in known}
    replaced = {key: value for key, value in dropped.items() if value}
    if fields.get("init_lora_weights", True) not in _PLAIN_BEGINNINGS:
        replaced["init_lora_weights"] = fields["init_lora_weights"]
        fields["init_lora_weights"] = True
    for option, harmless in _HARMLESS.items():
        if fields.get(option) not in (harmless, None):
            raise DataError(
                f"{name} has {option} = {fields[option]!r}, which changes tensors of the base",
                allowed=f"{option} = {harmless!r}",
                remedy="a placebo must leave the base as it is, so that both can be run",
            )
    config = _config(name, fields)
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise DataError(
            f"{name} is an adapter of type {config.peft_type.value}, which adds positions",
            allowed="adapters that live in the modules: LoRA and its kin",
        )
    shapes = _shapes(original) if original else {}
    return AdapterRecipe(name, _plain(config.to_dict()), replaced, shapes)


def _kind(name: str, fields: Mapping[str, Any]) -> Any:
    """PEFT's class for the fields."""
    try:
        import peft
    except ImportError as error:
        raise DataError(
            "placebo adapters need the package peft", remedy="pip install 'shiftlens[peft]'"
        ) from error
    known = {str(kind.value): cls for kind, cls in peft.PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    wanted = str(fields.get("peft_type"))
    if wanted not in known:
        raise DataError(
            f"{name} has the unknown peft_type {fields.get('peft_type')!r}",
            allowed=", ".join(sorted(known)),
        )
    return known[wanted]


def _config(name: str, fields: Mapping[str, Any]) -> Any:
    kind = _kind(name, fields)
    try:
        return kind(**{key: value for key, value in fields.items() if key != "peft_type"})
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"the fields of {name} are not a recipe of PEFT ({error})") from error


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as JSON values, sets in order, those that say nothing left out."""

    def as_list(value: Any) -> Any:
        return sorted(value, key=str) if isinstance(value, set) else str(value)

    unsaid = {*_ABOUT_FILES, "runtime_config"}
    kept = {key: one for key, one in fields.items() if one is not None and key not in unsaid}
    return json.loads(json.dumps(kept, default=as_list, sort_keys=True))


def _shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import safe_open

    found: dict[str, tuple[int, ...]] = {}
    for file in directory.glob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118 - the file is not a mapping
                found[key] = tuple(opened.get_slice(key).get_shape())
    return found


def _refuse_adapted(base: Model) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    if any(isinstance(module, BaseTunerLayer) for module in base.hf.modules()):
        raise DataError(
            f"{base.name} carries an adapter already",
            allowed="a base that was loaded alone",
            remedy="load it once more with load_model, not as one of a pair",
        )


def _prepare(wrapped: Any, own: set[str], recipe: AdapterRecipe, base: Model) -> None:
    """Freeze the base, check what is left to train, and keep it in float32."""
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer

    base.hf.eval()
    modules: list[nn.Module] = list(base.hf.modules())
    for module in modules:
        if isinstance(module, BaseTunerLayer):
            nn.Module.train(module)  # the adapter's own dropout belongs to the recipe
    for name, parameter in base.hf.named_parameters():
        if parameter.requires_grad and name in own:
            raise _foreign(recipe, base, f"it trains {name}, a tensor of the base")
    tensors: Mapping[str, Tensor] = peft.get_peft_model_state_dict(
        wrapped, save_embedding_layers=False
    )
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    if recipe.shapes and shapes != recipe.shapes:
        odd = sorted(
            key for key in shapes.keys() | recipe.shapes.keys()
            if shapes.get(key) != recipe.shapes.get(key)
        )  # fmt: skip
        raise _foreign(
            recipe,
            base,
            f"{odd[0]} is {shapes.get(odd[0], 'absent')} here "
            f"and {recipe.shapes.get(odd[0], 'absent')} there",
        )
    for parameter in trainable(base.hf):
        parameter.data = parameter.data.float()


class _Before:
    """Modules, flags and modes of a model, to be put back."""

    def __init__(self, hf: nn.Module) -> None:
        self._hf = hf
        self._attributes = set(vars(hf))
        self._children = [(module, dict(module.named_children())) for module in hf.modules()]
        self._modes = [(module, module.training) for module in hf.modules()]
        self._flags = [(tensor, tensor.requires_grad) for tensor in hf.parameters()]

    def restore(self) -> None:
        for module, children in self._children:
            for name, child in children.items():
                if getattr(module, name) is not child:
                    setattr(module, name, child)
        for module, mode in self._modes:
            module.training = mode
        for tensor, flag in self._flags:
            tensor.requires_grad_(flag)
        for name in set(vars(self._hf)) - self._attributes:
            delattr(self._hf, name)


def _foreign(recipe: AdapterRecipe, base: Model, reason: str) -> MismatchError:
    return MismatchError(
        f"an adapter like {recipe.name} does not fit {base.name}: {reason}",
        allowed="the recipe of an adapter of this model",
        remedy="give the model that the adapter was trained on",
    )
