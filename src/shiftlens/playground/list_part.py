"""The part of the page with the list: several directions at a time, and kept ones again."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup

import shiftlens as sl
from shiftlens.playground.lines import Line, Steers
from shiftlens.playground.listing import LISTED, listed, opened_notice
from shiftlens.playground.markup import refused
from shiftlens.playground.opening import Opened, open_beside, open_files
from shiftlens.playground.options import Options, layer_choice
from shiftlens.playground.shown import Shown
from shiftlens.playground.strips import examples_strip

if TYPE_CHECKING:
    from shiftlens.playground.steering_page import Given

_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_ENDINGS = [".zip", ".json", ".safetensors"]
_ABOUT = (
    "The zip that this page saves (Keep this setting), or both files of a steering that "
    "<code>search</code>, <code>export</code> or Python wrote, at once."
)

Lines = tuple[Steers, ...]


class ListPart:
    """Places the list and what fills it; keeps nothing of any visitor.

    Args:
        shown: the run and the model.
        read: the line that is chosen above the list.
    """

    def __init__(self, shown: Shown, read: Callable[..., Line]) -> None:
        if shown.desk is None:
            raise ValueError("a list to steer with needs a model")
        self._shown, self._read, self._desk = shown, read, shown.desk
        self._kept = shown.library.found.steerings

    def place(self) -> tuple[Any, Any, Any]:
        """Place everything.

        Returns:
            the lines, how many of them the page shows, and how many times as strong they are.
        """
        self._lines = gr.State((), time_to_live=None)
        # What the server remembers is held against what the visitor sees.
        self._shows = gr.Number(0, visible="hidden", precision=0, elem_id="listed")
        self._add = gr.Button("Add to the list", size="sm", elem_id="add")
        self._told = gr.HTML("", elem_classes="sl", elem_id="list_told")
        self._list = gr.HTML(listed(()), js_on_load=LISTED, elem_classes="sl", elem_id="list")
        most = self._shown.limits.strength
        self._times = gr.Slider(
            -most, most, value=1.0, step=0.05, visible=False, elem_id="times",
            label="Strength of the whole list, times",
            info="1 is as the list says, 0 nothing, a negative number its opposite",
        )  # fmt: skip
        with gr.Accordion("Open a kept setting", open=False, elem_id="open"):
            self._place_opening()
        return self._lines, self._shows, self._times

    def _place_opening(self) -> None:
        names = sorted(self._kept)
        with gr.Row(equal_height=True, visible=bool(names)):
            self._name = gr.Dropdown(
                names, value=names[0] if names else None, label="Kept in this run", elem_id="kept",
                scale=3, min_width=160,
            )  # fmt: skip
            self._open = gr.Button("Open", elem_id="open_kept", scale=1, min_width=80)
        gr.HTML(Markup('<p class="soft">{}</p>').format(Markup(_ABOUT)), elem_classes="sl")
        self._files = gr.File(
            label="A setting of your own", file_count="multiple", file_types=_ENDINGS, height=150,
            elem_id="setting_file",
        )  # fmt: skip
        self._files.preprocess = _paths_of  # the paths alone, as for pictures
        self._said = gr.HTML("", elem_classes="sl", elem_id="opened")

    def connect(self, given: "Given", strip: Any) -> None:
        """Say what happens; the question's parts are there by now.

        Args:
            given: everything that is asked.
            strip: the pictures of the run.
        """
        shows = [self._lines, self._list, self._shows, self._times]
        options = [getattr(given.options, one.name) for one in fields(Options)]
        chosen = [given.direction, given.layer, given.layer_of, given.strength, *options]
        self._add.click(self.add, [self._lines, *chosen], [*shows, self._told], **_QUIET)
        self._list.click(self.press, self._lines, [*shows, self._told, *chosen], **_QUIET)
        asked = [given.picture, given.example, given.prompt, given.tokens, strip]
        # Opening asks the model whether it fits: it waits its turn, as answers do.
        turn: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model"}
        for event, handler, source in (
            (self._open.click, self.open_kept, self._name),
            (self._files.upload, self.open_own, self._files),
        ):
            event(
                handler, source, [*shows, self._told, *asked, self._said, self._files],
                show_progress="minimal", api_visibility="private", **turn,
            )  # fmt: skip

    # What events do. Each gets all that it needs, and returns all that it has found.

    def add(self, lines: Lines, *chosen: Any) -> tuple[Any, ...]:
        """What is chosen above, as one more line."""
        most = self._shown.limits.lines
        try:
            if len(lines) >= most:
                raise sl.ShiftLensError("the list is full", allowed=f"up to {most} directions")
            return *_seen((*lines, self._read(*chosen))), ""
        except sl.ShiftLensError as error:
            return *(gr.skip(),) * 4, refused(error)

    def press(self, lines: Lines, event: gr.EventData) -> tuple[Any, ...]:
        """Take a line off the list; what is to be changed goes back where it was chosen."""
        at, does = getattr(event, "at", None), getattr(event, "does", None)
        still = (gr.skip(),) * (4 + len(fields(Options)))
        if not isinstance(at, int) or not 0 <= at < len(lines):
            said = refused(sl.ShiftLensError("this line is gone", remedy="load the page again"))
            return *(gr.skip(),) * 4, said, *still
        one, left = lines[at], (*lines[:at], *lines[at + 1 :])
        if does != "change" or not isinstance(one, Line):
            return *_seen(left), "", *still
        # The slider with its ends: a place beyond those that it has would be refused.
        key, layer = one.direction.key, gr.update(**layer_choice(one.direction, one.layer))
        back = (key, layer, key, one.strength, *one.how)
        return *_seen(left), "", *back

    def open_kept(self, name: Any) -> tuple[Any, ...]:
        """A steering of the run."""
        steering = self._kept.get(str(name))
        if steering is None:
            return self._refused(sl.ShiftLensError("this setting is not in the run"))
        library, limits = self._shown.library, self._shown.limits
        return self._opening(lambda: open_beside(steering, str(name), library.root, limits))

    def open_own(self, paths: Any) -> tuple[Any, ...]:
        """A setting that a visitor has."""
        if not paths:
            return self._refused(sl.ShiftLensError("no file has arrived", remedy="drop it again"))
        return self._opening(lambda: open_files(paths, self._shown.limits))

    def _opening(self, read: Callable[[], Opened]) -> tuple[Any, ...]:
        try:
            opened = read()
            why = self._desk.fits(opened.steering)
            if why:
                raise sl.ShiftLensError(why, remedy="serve the model that it was kept with")
        except sl.ShiftLensError as error:
            return self._refused(error)
        asked: list[Any] = [gr.skip()] * 5
        if opened.prompt is not None:
            asked = [
                opened.picture,
                None,
                opened.prompt,
                opened.tokens,
                examples_strip(self._shown),
            ]
        said = opened_notice(opened, self._shown.model)
        return *_seen(opened.lines), "", *asked, said, None

    def _refused(self, error: sl.ShiftLensError) -> tuple[Any, ...]:
        """One sentence; the page stays as it is."""
        return *(gr.skip(),) * 10, refused(error), None


def _seen(lines: Sequence[Steers]) -> tuple[Any, ...]:
    """The lines, the list, how many it shows, and the strength of all, which begins anew."""
    return (
        tuple(lines),
        listed(lines),
        len(lines),
        gr.update(visible=bool(lines)) if lines else gr.update(visible=False, value=1.0),
    )


def _paths_of(payload: Any) -> list[str]:
    """Paths of uploaded files; the framework has checked that they are uploads."""
    files = getattr(payload, "root", None) or ([payload] if payload is not None else [])
    return [one.path for one in files if one.path]
