"""Image processors that transformers has for torchvision alone, run on torch.

Some families (Llama 4, LFM2-VL, Molmo 2, ...) have no second image processor for machines without
torchvision. What they take from it are five functions on tensors, which stand here in torch. The
family's own file is read once more with these under the name it knows, so that sizes, tiles and
numbers stay the family's business. ``tests/architectures/with_torchvision.py`` compares the two.
"""

import importlib
import importlib.util
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from shiftlens.core.errors import DataError

# The name under which files of transformers know the functions, and where they take them from.
_PACKAGE = "torchvision"
_NAME, _WHERE = "tvF", f"{_PACKAGE}.transforms.v2.functional"


class InterpolationMode(Enum):
    """How pixels between pixels are made, by the names that ``torch`` has for it."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# In the names of files that are read once more.
_MARK = "shiftlens_"
# By the numbers of Pillow, which are those in preprocessor_config.json.
_BY_NUMBER = dict(zip((0, 1, 2, 3, 4, 5), [InterpolationMode(name) for name in (
    "nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")], strict=True))  # fmt: skip
_SMOOTH = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)


def resize(
    image: Tensor,
    size: Sequence[Any],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool = True,
) -> Tensor:
    """Pictures (..., c, h, w) at another size (h, w); bytes stay bytes.

    Raises:
        DataError: torch has no such interpolation.
    """
    height, width = (int(side) for side in size)  # some families count in tensors
    if image.shape[-2:] == (height, width):
        return image
    smooth = interpolation in _SMOOTH
    if not smooth and not interpolation.value.startswith("nearest"):
        raise DataError(
            f"this image processor resizes by {interpolation.value}, which needs torchvision",
            allowed="nearest, bilinear and bicubic",
        )
    flat = image.reshape(-1, *image.shape[-3:])
    exact = flat.is_floating_point() or (flat.dtype == torch.uint8 and flat.device.type == "cpu")
    options: dict[str, Any] = {"align_corners": False, "antialias": antialias} if smooth else {}
    resized = interpolate(
        flat if exact else flat.float(), (height, width), mode=interpolation.value, **options
    )
    if not exact:
        resized = resized.round().clamp(0, torch.iinfo(image.dtype).max).to(image.dtype)
    return resized.reshape(*image.shape[:-2], height, width)


def pad(
    image: Tensor,
    padding: Sequence[Any],
    fill: float | Sequence[float] | None = 0,
    padding_mode: str | None = "constant",
) -> Tensor:
    """Pictures (..., c, h, w) with borders: left, top, right, bottom.

    Args:
        image: what to frame.
        padding: widths of the borders in pixels.
        fill: their colour: one number, or one for each channel.
        padding_mode: "constant", or as in ``torch.nn.functional.pad``.
    """
    left, top, right, bottom = (int(width) for width in padding)
    if padding_mode not in (None, "constant"):
        return torch.nn.functional.pad(image, (left, right, top, bottom), mode=padding_mode)
    *front, height, width = image.shape
    colour = torch.as_tensor(fill or 0, dtype=image.dtype, device=image.device)
    shape = (*front, height + top + bottom, width + left + right)
    framed = colour.reshape(-1, 1, 1).expand(shape).clone()
    framed[..., top : top + height, left : left + width] = image
    return framed


def normalize(
    image: Tensor,
    mean: Tensor | float | Sequence[float],
    std: Tensor | float | Sequence[float],
    inplace: bool = False,
) -> Tensor:
    """Pictures (..., c, h, w) less the mean of each channel, divided by its deviation."""
    centre, scale = (
        torch.as_tensor(one, dtype=image.dtype, device=image.device).reshape(-1, 1, 1)
        for one in (mean, std)
    )
    return image.sub_(centre).div_(scale) if inplace else image.sub(centre).div_(scale)


def crop(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """A part of pictures (..., c, h, w) that lies within them."""
    return image[..., top : top + height, left : left + width]


def grayscale_to_rgb(image: Tensor) -> Tensor:
    """Pictures (..., c, h, w) with three channels where there was one."""
    return image.expand(*image.shape[:-3], 3, *image.shape[-2:]) if image.shape[-3] == 1 else image


_FUNCTIONS = (InterpolationMode, resize, pad, normalize, crop, grayscale_to_rgb)


def require_sound_torchvision() -> None:
    """Refuse a torchvision that is there and cannot be imported.

    transformers takes it for a good one, and then fails wherever it is first used, with errors that
    do not name it. The usual cause is a build for another torch than the installed one.

    Raises:
        DataError: it cannot be imported; without it, or with a good one, there is no objection.
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        return
    try:
        importlib.import_module(_PACKAGE)
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"{_PACKAGE} is installed and cannot be imported ({lines[0]})",
            allowed=f"no {_PACKAGE}, which nothing here needs, or one that fits torch "
            f"{torch.__version__}",
            remedy=f"pip uninstall {_PACKAGE}",
        ) from error


def image_processor_for(directory: Path) -> Any:
    """The image processor of a model directory whose class transformers has for torchvision alone.

    Raises:
        DataError: the directory names no such class.
    """
    from transformers.image_processing_base import ImageProcessingMixin

    settings, _ = ImageProcessingMixin.get_image_processor_dict(directory, local_files_only=True)
    name = str(settings.get("image_processor_type", "")).removesuffix("Fast")
    kind = _class_named(name)
    if kind is None:
        raise DataError(
            f"the image processor {name!r} needs a package that is not installed",
            remedy="install torchvision in a version that fits torch",
        )
    return kind.from_pretrained(directory, local_files_only=True)


def with_working_pictures(processor: Any, directory: Path) -> Any:
    """A processor as it is, or with its image processor replaced where that fails on any picture.

    transformers' image processors for Pillow are the second choice there, and one of them (Fuyu's
    in 5.23) cannot prepare a picture at all, by an error in its own code.

    Args:
        processor: as it was loaded.
        directory: the model's files.
    """
    first = processor.image_processor
    if not type(first).__name__.endswith("Pil") or not _is_broken(processor):
        return processor
    try:
        processor.image_processor = image_processor_for(directory)
    except (DataError, ImportError, OSError, ValueError):
        return processor
    if _is_broken(processor):
        processor.image_processor = first
    return processor


def _is_broken(processor: Any) -> bool:
    """Whether a plain picture ends in an error of the code, whatever text goes with it."""
    from PIL import Image

    broken = False
    for text in (str(getattr(processor, "image_token", None) or "<image>"), ""):
        try:
            processor(images=[[Image.new("RGB", (32, 32))]], text=[text], return_tensors="pt")
        except (TypeError, AttributeError, NameError):
            broken = True
        except (ValueError, RuntimeError, LookupError, ArithmeticError):
            continue  # an objection to this text or picture, not an error of the code
        else:
            return False
    return broken


def _class_named(name: str) -> Any:
    """The class of a name in transformers' files, on our functions; ``None`` if there is none."""
    import transformers
    from transformers.image_processing_backends import TorchvisionBackend
    from transformers.models.auto import image_processing_auto

    folder = Path(str(transformers.__file__)).parent / "models"
    known: Any = vars(image_processing_auto)["IMAGE_PROCESSOR_MAPPING_NAMES"]
    for family, classes in known.items():
        file = folder / family / f"image_processing_{family}.py"
        if name in classes.values() and file.is_file():
            own = getattr(_read(file, family), name, None)
            if own is not None:
                # The family calls the backend by super(), so ours must come between the two.
                return type(name, (own, _on_torch(TorchvisionBackend)), {})
    return None


def _read(file: Path, family: str) -> ModuleType:
    """Read a file of transformers under a name of our own, with our functions for torchvision."""
    name = f"transformers.models.{family}.{_MARK}{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be read")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # transformers asks where its classes come from
    try:
        with _standing_in():
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _standing_in() -> Generator[None]:
    """Our functions under torchvision's name, for the imports inside the context alone."""
    names = [".".join(_WHERE.split(".")[: depth + 1]) for depth in range(_WHERE.count(".") + 1)]
    modules = {name: ModuleType(name) for name in names}
    for function in _FUNCTIONS:
        setattr(modules[_WHERE], function.__name__, function)
    for name in names[1:]:
        above, _, last = name.rpartition(".")
        setattr(modules[above], last, modules[name])
    before = set(sys.modules)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
        # Files that were read on the way must not be taken for real ones later.
        for name in set(sys.modules) - before:
            if vars(sys.modules[name]).get(_NAME) is modules[_WHERE] and _MARK not in name:
                del sys.modules[name]


def _on_torch(backend: Any) -> Any:
    """The backend with our functions: its methods, word by word, find other ones by that name."""
    functions = ModuleType(_WHERE)
    for function in _FUNCTIONS:
        setattr(functions, function.__name__, function)
    scope = {_NAME: functions, "pil_torch_interpolation_mapping": _BY_NUMBER}
    methods: dict[str, Any] = {}
    for name, method in vars(backend).items():
        if isinstance(method, FunctionType) and _NAME in method.__code__.co_names:
            own = FunctionType(
                method.__code__,
                {**method.__globals__, **scope},
                name,
                method.__defaults__,
                method.__closure__,
            )
            own.__kwdefaults__ = method.__kwdefaults__
            methods[name] = own
    return type("OnTorch", (backend,), methods)
