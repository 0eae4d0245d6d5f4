"""``python -m docsite.notebooks``: make a notebook of every tutorial, beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import v4

from docsite.pages import Block, parse
from docsite.tutorials import pages

_FIRST = (
    "Made from the tutorial `{name}.md` by `python -m docsite.notebooks`. "
    "Run it in an empty directory, in an environment with shiftlens."
)


def notebook(page: Path) -> str:
    """The notebook of a tutorial as JSON; the same page gives the same bytes."""
    cells = [v4.new_markdown_cell(_FIRST.format(name=page.stem))]
    for block in parse(page.read_text(encoding="utf-8")):
        if block.printed:
            if block.text.strip():
                cells[-1]["outputs"] = [v4.new_output("stream", name="stdout", text=block.text)]
        else:
            cells.extend(_cells(block))
    for number, cell in enumerate(cells):
        cell["id"] = f"{page.stem}-{number:02}"
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    made = v4.new_notebook(cells=cells, metadata=about)
    nbformat.validate(made)
    return nbformat.writes(made, indent=1, ensure_ascii=False) + "\n"


def _cells(block: Block) -> Iterator[Any]:
    text = block.text.strip("\n")
    if block.kind == "prose":
        if text:
            yield v4.new_markdown_cell(text)
    elif block.kind == "python":
        yield v4.new_code_cell(text)
    elif block.kind == "sh":
        yield v4.new_code_cell("\n".join(f"!{line}" for line in text.splitlines()))
    elif block.title:
        yield v4.new_code_cell(f"%%writefile {block.title}\n{text}")
    else:
        yield v4.new_markdown_cell(block.markdown().strip("\n"))


def main() -> None:
    """Write every notebook."""
    for page in pages():
        page.with_suffix(".ipynb").write_text(notebook(page), encoding="utf-8")


if __name__ == "__main__":
    main()
