"""The page where one asks, steers, compares, looks into a word, and keeps the setting."""

import logging
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

import shiftlens as sl
from shiftlens.playground.desk import Moment
from shiftlens.playground.explained import explanation
from shiftlens.playground.lines import Line
from shiftlens.playground.list_part import ListPart
from shiftlens.playground.markup import (
    answer,
    counted,
    download,
    failed,
    notice,
    receipt,
    refused,
    tiles,
)
from shiftlens.playground.options import Options, chosen, layer_choice, options
from shiftlens.playground.setting import Setting
from shiftlens.playground.shelves import changed
from shiftlens.playground.shown import Shown
from shiftlens.playground.strips import CHOOSE, directions_strip, examples_strip
from shiftlens.steering.affine import AffineEdit

METHODS = (
    ("hide places, see what is lost (slow, says what counts)", "occlusion"),
    ("read the picture's own tokens (fast, a hint only)", "projection"),
)
ONE_AT_A_TIME = "model"  # all events with this name wait for each other
_MOST_TYPED = 100_000  # what is longer than the limit is refused, and not cut off unseen
_LOG = logging.getLogger(__name__)
_NOTHING = ("", "", "", "")  # both answers, lines of Python, the link that saves the setting
_SHOW_ANSWERS = """(...given) => {
  const answers = document.querySelector('.answers-row'), seen = answers.getBoundingClientRect();
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (seen.top < 0 || seen.bottom > innerHeight)
    answers.scrollIntoView({block: 'start', behavior: calm ? 'auto' : 'smooth'});
  return given;
}"""
_FIRST = "# Press Answer first."
_WORD = re.compile(r"\w[\w'’-]*")


@dataclass
class Given:
    """The components that say what is asked, in the order in which handlers take them."""

    picture: Any
    example: Any
    prompt: Any
    direction: Any
    layer: Any
    layer_of: Any
    strength: Any
    tokens: Any
    lines: Any
    listed: Any
    times: Any
    options: Options

    def every(self) -> list[Any]:
        """In order; the options last, in theirs."""
        own = [getattr(self, one.name) for one in fields(self)[:-1]]
        return [*own, *(getattr(self.options, one.name) for one in fields(Options))]


class SteeringPage:
    """Builds the page and answers its events; keeps nothing of any visitor.

    Args:
        shown: the run and the model.
    """

    def __init__(self, shown: Shown) -> None:
        if shown.desk is None or not shown.directions:
            raise ValueError("a steering page needs a model and a direction that fits it")
        self._shown = shown
        self._desk = shown.desk
        self._first = next(iter(shown.directions.values()))

    def build(self, news: Any) -> Any:
        """Place everything, inside the tab that is open.

        Args:
            news: where it is said that the directory has changed.

        Returns:
            the choice of a direction.
        """
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                given = self._question()
                with gr.Row(elem_classes="actions"):
                    ask = gr.Button("Answer", variant="primary", elem_id="ask", scale=3)
                    stop = gr.Button("Stop", variant="secondary", elem_id="stop", scale=1)
            with gr.Column(scale=7, min_width=320, elem_classes="beside"):
                seen = self._answers()
        self._asking(given, ask, stop, {**seen, "news": news})
        return given.direction

    def _question(self) -> Given:
        start, shown, asked = self._start()
        picture = gr.Image(
            shown, label="Picture", type="filepath", image_mode=None, format="png", height=210,
            sources=["upload", "clipboard"], elem_id="picture", buttons=[],
        )  # fmt: skip
        # The framework would decode it before our limits are asked: the path alone is taken.
        picture.preprocess = _path_of
        # Held by the page and not by the server, which forgets: what is seen is what is asked.
        example = gr.Number(start, visible="hidden", precision=0, elem_id="example")
        strip = gr.HTML(examples_strip(self._shown, start), js_on_load=CHOOSE, elem_classes="sl")
        prompt = gr.Textbox(
            value=asked, label="Prompt", lines=2, max_lines=6,
            max_length=_MOST_TYPED, elem_id="prompt",
        )  # fmt: skip
        direction, layer, layer_of = self._direction()
        strength = gr.Slider(
            -self._shown.limits.strength, self._shown.limits.strength, value=1.0, step=0.05,
            label="Strength", elem_id="strength",
            info="1 adds the direction as it was found, 0 nothing, a negative number its opposite",
        )  # fmt: skip
        with gr.Accordion("How, where, when", open=False, elem_id="options"):
            placed = options(self._shown.library.found.gates, self._shown.limits)
            tokens = gr.Slider(
                1, self._shown.limits.new_tokens, value=min(40, self._shown.limits.new_tokens),
                step=1, label="Longest answer, in tokens", elem_id="tokens",
            )  # fmt: skip
        part = ListPart(self._shown, self._line)
        given = Given(
            picture, example, prompt, direction, layer, layer_of, strength, tokens,
            *part.place(), placed,
        )  # fmt: skip
        part.connect(given, strip)
        strip.click(
            self.choose_example, None, [picture, example, prompt, strip], show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        for event in (picture.upload, picture.clear):
            # At once and in the page itself: who is quick asks about the picture that is seen.
            event(None, None, example, js="() => null", show_progress="hidden",
                  api_visibility="private")  # fmt: skip
            event(lambda: examples_strip(self._shown), None, strip, show_progress="hidden",
                  api_visibility="private")  # fmt: skip
        return given

    def _start(self) -> tuple[int | None, Any, str]:
        """What the page opens with: a picture that the first direction is about, if there is one.

        Returns:
            its number, the picture, and what the run asked about it.
        """
        examples = self._shown.library.examples
        about = [at for at, one in enumerate(examples) if one.path in self._first.examples]
        for at in (*about, *range(len(examples))):
            try:
                return at, self._shown.limits.picture(examples[at].path), examples[at].prompt
            except sl.ShiftLensError:  # the strip leaves it out as well
                continue
        return None, None, "Describe the picture."

    def _direction(self) -> tuple[Any, Any, Any]:
        choices = [(_short(one.title), key) for key, one in self._shown.directions.items()]
        direction = gr.Dropdown(
            choices, value=self._first.key, label="Direction", elem_id="direction",
            info=f"{counted(len(choices), 'direction')}: choose by name here, or by picture below",
        )  # fmt: skip
        strip = gr.HTML(
            directions_strip(self._shown, self._first.key), js_on_load=CHOOSE, elem_classes="sl"
        )
        about = gr.HTML(self._about(self._first.key), elem_classes="sl", elem_id="about")
        layer = gr.Slider(label="Layer", elem_id="layer", **layer_choice(self._first))
        # Who is quick asks before the slider has followed: it says whose layer it shows.
        layer_of = gr.Textbox(self._first.key, visible="hidden", elem_id="layer_of")
        strip.click(self.choose_direction, None, direction, show_progress="hidden",
                    api_visibility="private")  # fmt: skip
        direction.change(
            self.show_direction, [direction, layer, layer_of], [about, layer, layer_of, strip],
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        return direction, layer, layer_of

    def _answers(self) -> dict[str, Any]:
        with gr.Row(elem_classes="answers-row"):
            unsteered = gr.HTML(answer("Unsteered", None), elem_classes="sl", elem_id="unsteered")
            steered = gr.HTML(
                answer("Steered", None), elem_classes=["sl", "is-steered"], elem_id="steered"
            )
        told = gr.HTML(
            notice("Choose a picture, a direction and a strength, then press Answer.",
                   "Both answers are written one after the other by the same model."),
            elem_classes="sl", elem_id="receipt",
        )  # fmt: skip
        said = gr.State(_NOTHING, time_to_live=3600)
        with gr.Accordion("Look into a word", open=False, elem_id="look"):
            word = self._word()
        with gr.Accordion("Keep this setting", open=False, elem_id="keep"):
            saved = gr.HTML(elem_classes="sl", elem_id="download")
            code = gr.Code(
                _FIRST, language="python", label="As lines of Python",
                elem_id="python", interactive=False, wrap_lines=True,
                show_line_numbers=False,
            )  # fmt: skip
        return {"unsteered": unsteered, "steered": steered, "told": told, "said": said,
                "saved": saved, "code": code, **word}  # fmt: skip

    def _word(self) -> dict[str, Any]:
        sets = list(self._shown.library.grounded)
        if not sets:
            gr.HTML(notice("No concepts with words in this run:", "run shiftlens learn first."))
        concepts = gr.Dropdown(
            sets, value=sets[0] if sets else None, label="Concepts", elem_id="concepts"
        )
        with gr.Row():
            which = gr.Radio(["Unsteered", "Steered"], value="Unsteered", label="Answer")
            word = gr.Dropdown([], label="Word", elem_id="word")
        method = gr.Radio([*METHODS], value="occlusion", label="Heat map")
        look = gr.Button("Explain this word", elem_id="explain", interactive=bool(sets))
        found = gr.HTML(elem_classes="sl", elem_id="explained")
        return {"concepts": concepts, "which": which, "word": word, "method": method,
                "look": look, "found": found}  # fmt: skip

    def _asking(self, given: Given, ask: Any, stop: Any, seen: dict[str, Any]) -> None:
        outputs = [seen[name] for name in ("unsteered", "steered", "told", "said")]
        one: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": ONE_AT_A_TIME}
        sets = [seen["said"], seen["which"], seen["concepts"]]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        running = gr.on(
            [ask.click, given.prompt.submit], self.answer, given.every(), outputs,
            show_progress="minimal", js=_SHOW_ANSWERS, api_name="answer", **one,
        )  # fmt: skip
        running.then(self.keep, seen["said"], [seen["code"], seen["saved"]], **quiet)
        running.then(self.words, sets, seen["word"], **quiet)
        running.then(lambda: changed(self._shown.library), None, seen["news"], **quiet)
        stop.click(None, None, None, cancels=[running], **quiet).then(
            self.stopped, None, outputs[:3], **quiet
        )
        for one_of_them in (seen["which"], seen["concepts"]):
            one_of_them.change(self.words, sets, seen["word"], **quiet)
        seen["look"].click(
            self.explain,
            [*given.every(), seen["said"], seen["which"], seen["word"], seen["concepts"],
             seen["method"]],
            seen["found"], api_name="explain", **one,
        )  # fmt: skip

    # What events do. Each gets all that it needs, and returns all that it has found.

    def choose_example(self, event: gr.EventData) -> tuple[Any, ...]:
        """A picture of the run, and what the run asked about it."""
        at = number_of(event, len(self._shown.library.examples))
        if at is None:
            return (gr.skip(),) * 4
        one = self._shown.library.examples[at]
        try:
            picture = self._shown.limits.picture(one.path)
        except sl.ShiftLensError as error:
            raise gr.Error(error.given, print_exception=False) from error
        return picture, at, one.prompt, examples_strip(self._shown, at)

    def choose_direction(self, event: gr.EventData) -> Any:
        """A direction by its picture."""
        at = number_of(event, len(self._shown.directions))
        return gr.skip() if at is None else list(self._shown.directions)[at]

    def show_direction(self, key: str, layer: Any = None, layer_of: Any = None) -> tuple[Any, ...]:
        """What it is, the layers that it can be applied at, and its place in the strip."""
        if key not in self._shown.directions:
            return (gr.skip(),) * 4
        # A line that is taken back from the list brings its layer.
        brought = layer if layer_of == key else None
        layers = gr.update(**layer_choice(self._shown.directions[key], brought))
        return self._about(key), layers, key, directions_strip(self._shown, key)

    def answer(self, *given: Any) -> Generator[tuple[Any, ...]]:
        """Both answers as they are written, then the receipt and what is kept."""
        # Whatever is shown is given whole: the framework builds a component anew, and keeps the
        # old one, for each that is left as it is.
        try:
            setting, picture = self._setting(*given)
            last = Moment()
            yield answer("Unsteered", "", going=True), answer("Steered", None), "", _NOTHING
            for moment in self._desk.answers(setting, picture):
                last, done = moment, moment.steered is not None
                yield (
                    answer("Unsteered", moment.unsteered.strip(), going=not done),
                    answer("Steered", moment.steered, going=done and moment.receipt is None),
                    "",
                    _NOTHING,
                )
            before, after = last.unsteered, last.steered or ""
            kept = setting.archive(picture, self._desk.model)
            saved = download("setting.zip", kept, "Download this setting (zip)")
            yield (
                answer("Unsteered", before, other=after),
                answer("Steered", after, other=before),
                receipt(last.receipt, same=before == after),
                (before, after, setting.to_python(), str(saved)),
            )
        except sl.ShiftLensError as error:
            yield answer("Unsteered", None), answer("Steered", None), refused(error), _NOTHING
        except Exception as error:  # no memory, a lost device, a fault: others are served on
            _LOG.exception("an answer failed")
            yield answer("Unsteered", None), answer("Steered", None), failed(error), _NOTHING

    def keep(self, said: tuple[str, ...]) -> tuple[str, str]:
        """The setting of the last answer, as lines of Python and as a file."""
        return said[2] or _FIRST, said[3]

    def stopped(self) -> tuple[Markup, ...]:
        """What is seen after an answer was stopped: nothing that looks like a whole one."""
        blank = answer("Unsteered", None), answer("Steered", None)
        return *blank, notice("Stopped.", "Press Answer to ask again.")

    def words(self, said: tuple[str, ...], which: str, name: str | None) -> Any:
        """The words of an answer to choose from; first one that the concepts were learned at."""
        each = list(dict.fromkeys(_WORD.findall(said[which == "Steered"])))
        found = self._shown.library.grounded.get(name or "")
        learned = found.site.describe()["tokens"].get("words", ()) if found is not None else ()
        first = next((one for one in each if one.lower() in learned), each[-1] if each else None)
        return gr.update(choices=each, value=first)

    def explain(self, *given: Any) -> Any:
        """One word of an answer in concepts."""
        *asked, said, which, word, name, method = given
        try:
            response = said[which == "Steered"]
            concepts = self._shown.library.grounded.get(name)
            if not response or not word:
                return notice("Press Answer first, then choose a word of it.")
            if concepts is None:
                return notice("Choose concepts first.")
            setting, picture = self._setting(*asked)
            kind = method if method in {value for _, value in METHODS} else "occlusion"
            found = self._desk.explain(concepts, setting, picture, response, word, kind)
            return explanation(found, word, lambda names: self._tiles(concepts, names))
        except sl.ShiftLensError as error:
            return refused(error)
        except Exception as error:
            _LOG.exception("an explanation failed")
            return failed(error)

    def _setting(
        self, path: Any, example: Any, prompt: Any, key: Any, layer: Any, layer_of: Any,
        strength: Any, tokens: Any, lines: Any, listed: Any, factor: Any, *how: Any,
    ) -> tuple[Setting, Any]:  # fmt: skip
        """What was asked for, checked: requests need not come from this page."""
        shown, limits = self._shown, self._shown.limits
        if len(lines or ()) != (listed or 0):
            raise sl.ShiftLensError(
                "the server has forgotten the list of this page", remedy="load the page again"
            )
        chosen_here = lines or (self._line(key, layer, layer_of, strength, *how),)
        examples = shown.library.examples
        known = isinstance(example, int) and 0 <= example < len(examples)
        example_of = examples[example] if known else None
        setting = Setting(
            model=shown.model,
            adapter=shown.adapter,
            prompt=limits.asked(str(prompt)),
            lines=tuple(chosen_here),
            picture=example_of and example_of.path,
            uploaded=bool(path) and example_of is None,
            times=self._strength(factor) if lines else 1.0,
            max_new_tokens=self._tokens(tokens),
        )
        return setting, limits.picture(example_of.path if example_of else path)

    def _tokens(self, given: Any) -> int:
        most = self._shown.limits.new_tokens
        if not isinstance(given, int | float) or not 1 <= given <= most:
            raise sl.ShiftLensError(f"an answer of {given} tokens", allowed=f"1 to {most}")
        return int(given)

    def _strength(self, given: Any) -> float:
        most = self._shown.limits.strength
        if not isinstance(given, int | float) or not abs(given) <= most:
            raise sl.ShiftLensError(f"a strength of {given}", allowed=f"-{most:g} to {most:g}")
        return round(float(given), 4)

    def _line(self, key: Any, layer: Any, layer_of: Any, strength: Any, *how: Any) -> Line:
        """What is chosen above the list, checked."""
        shown = self._shown
        direction = shown.directions.get(str(key))
        if direction is None:
            raise sl.ShiftLensError("this direction is not in the run", remedy="choose another")
        gates = shown.library.found.gates
        choices = dict(zip([one.name for one in fields(Options)], how, strict=True))
        told = chosen(choices, gates, shown.limits)
        return Line(
            direction,
            direction.nearest(layer if layer_of == key else None),
            shown.library.root,
            self._strength(strength),
            told.scope,
            told.operator,
            told.gate,
            gates[choices["probe"]] if choices["gate"] == "probe" else None,
            how,
        )

    def _tiles(self, concepts: "sl.Concepts", names: Sequence[str]) -> Markup:
        """Small pictures of samples that the concepts were learned from."""
        paths = self._shown.library.pictures(concepts.provenance, names)
        return tiles([(Path(one).name, self._shown.thumbnails.of(one)) for one in paths])

    def _about(self, key: str) -> Markup:
        one = self._shown.directions[key]
        vector = one.vectors[one.layers[-1]]
        where = f"after block {one.layers[0]}" if len(one.layers) == 1 else "after several blocks"
        return Markup(
            '<p class="soft"><span class="text" dir="auto">{}</span>. It acts {}; {}.</p>'
        ).format(one.about, where, _much(vector))


def _much(vector: Any) -> str:
    """What strength 1 is."""
    if isinstance(vector, AffineEdit):
        many = "one direction" if vector.rank == 1 else f"{vector.rank} directions"
        return f"at strength 1 its own map of {many} is applied whole, whatever else is chosen"
    share = vector.norm / vector.state_norm if vector.state_norm else 0.0
    return f"at strength 1 it is {share:.2f} times as long as a typical state"


def _path_of(payload: Any) -> str | None:
    """Path of an uploaded file; the framework has checked that it is one."""
    return payload.path if payload is not None and payload.path else None


def number_of(event: gr.EventData, below: int) -> int | None:
    """The number of what was clicked; ``None`` where there is no such thing."""
    at = getattr(event, "at", None)
    return at if isinstance(at, int) and 0 <= at < below else None


def _short(title: str) -> str:
    return title if len(title) <= 90 else f"{title[:89]}…"
