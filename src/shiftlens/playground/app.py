"""The pages put together: a header, and a tab for each thing to do."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio import themes
from markupsafe import Markup

from shiftlens.playground import shelves
from shiftlens.playground.markup import notice, text
from shiftlens.playground.shown import Shown
from shiftlens.playground.steering_page import SteeringPage, number_of
from shiftlens.playground.strips import CHOOSE

_FONTS = ["system-ui", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif"]
_MONO = ["ui-monospace", "DejaVu Sans Mono", "monospace"]
_KEPT = (300, 3600)  # uploaded pictures: seconds between two looks, and how long one may stay

_SESSIONS = 500  # open pages that are remembered; the oldest are forgotten first


def build(shown: Shown) -> "gr.Blocks":
    """The whole app; what it looks like is given where it is mounted (``looks``)."""
    with gr.Blocks(
        title="shiftlens playground", analytics_enabled=False, delete_cache=_KEPT
    ) as app:
        gr.HTML(_head(shown), elem_classes="sl")
        news = gr.HTML("", elem_classes="sl", elem_id="changed")
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        app.load(lambda: shelves.changed(shown.library), None, news, **quiet)
        if shown.library.empty:
            gr.HTML(shelves.empty(shown.library), elem_classes="sl")
        else:
            with gr.Tabs(elem_id="main") as tabs:
                with gr.Tab("Steer", id="steer"):
                    direction = _steer(shown, news)
                with gr.Tab("Concepts", id="concepts"):
                    _concepts(shown, direction, tabs)
                with gr.Tab("This run"):
                    gr.HTML(_contents(shown), elem_classes="sl")
            tabs.change(lambda: shelves.changed(shown.library), None, news, **quiet)
    app.state_session_capacity = _SESSIONS
    # Everything from here is on this machine: no queue of anybody else, no open back door.
    app.queue(max_size=shown.limits.waiting, api_open=False)
    return app


def looks() -> dict[str, Any]:
    """Colours, fonts and styles: all from this machine."""
    theme = themes.Base(
        primary_hue="blue", neutral_hue="slate", font=_FONTS, font_mono=_MONO,
        radius_size="md",
    ).set(
        body_background_fill="#fafaf8", body_background_fill_dark="#14171b",
        block_background_fill="#ffffff", block_background_fill_dark="#1c2026",
        button_primary_background_fill="#005b96", button_primary_background_fill_dark="#1f6aa5",
        button_primary_background_fill_hover="#004a7a",
        button_primary_background_fill_hover_dark="#2a7ab8", button_primary_text_color="#ffffff",
        slider_color="#005b96", slider_color_dark="#74bdf0",
        body_text_color_subdued="#555c64", body_text_color_subdued_dark="#adb5be",
        block_info_text_color="#555c64", block_info_text_color_dark="#adb5be",
        block_label_text_color="#3a4149", block_label_text_color_dark="#d0d6dc",
    )  # fmt: skip
    return {"theme": theme, "css_paths": [Path(__file__).with_name("style.css")]}


def _head(shown: Shown) -> Markup:
    adapter = f" + {shown.adapter}" if shown.adapter else ""
    model = text(shown.model + adapter) if shown.desk is not None else "no model"
    return Markup(
        '<a class="sl-skip" href="#main">Skip to content</a>'
        '<header class="sl-head"><h1>shiftlens playground</h1>'
        "<p>run <b>{}</b> · model <b>{}</b></p></header>"
    ).format(text(shown.library.root.name), model)


def _steer(shown: Shown, news: Any) -> Any:
    """The page to steer on, or why there is none; its choice of a direction, if there is one."""
    if shown.desk is None:
        said = notice(
            "No model is loaded, so nothing can be steered.",
            "Start again with a model: shiftlens serve RUN --model world:base",
        )
    elif not shown.directions:
        said = notice(
            "Nothing in this run can steer this model.",
            "Vectors come from shiftlens run, diff, search and discover; a vector steers the model "
            "that it was found in and no other.",
        )
    else:
        return SteeringPage(shown).build(news)
    gr.HTML(said, elem_classes="sl")
    return None


def _concepts(shown: Shown, direction: Any, tabs: Any) -> None:
    library, offered = shown.library, list(shown.directions)
    titles = [*library.found.shifts, *library.found.concepts]
    if not titles:
        gr.HTML(notice("No concepts in this run:", "run shiftlens learn, or shiftlens diff."))
        return
    chosen = gr.Dropdown(
        titles, value=titles[0], label="Set of concepts", elem_id="set",
        info="Saved concepts, and comparisons of two models",
    )  # fmt: skip

    def cards(title: str) -> Markup:
        return shelves.concepts(library, str(title), shown.thumbnails, offered)

    def steer_with(event: gr.EventData) -> tuple[Any, Any]:
        at = number_of(event, len(offered))
        if at is None:
            return gr.skip(), gr.skip()
        return offered[at], gr.update(selected="steer")

    page = gr.HTML(cards(titles[0]), elem_classes="sl", elem_id="cards", js_on_load=CHOOSE)
    chosen.change(cards, chosen, page, api_visibility="private")
    if direction is not None:
        page.click(steer_with, None, [direction, tabs], api_visibility="private")


def _contents(shown: Shown) -> Markup:
    each = [
        Markup("<li><b>{}</b>: {}</li>").format(text(title), text(why))
        for title, why in shown.misfits
    ]
    body = Markup("<ul>{}</ul>").format(Markup("").join(each))
    misfits = notice("Found in another model, and so not offered for steering:", body)
    return Markup('<p class="lead">{}</p>{}{}').format(
        shown.library.root, misfits if each else "", shelves.contents(shown.library)
    )
