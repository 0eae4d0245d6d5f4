"""A process that decodes pictures for another one: what is said over its two pipes.

The parent writes one line of JSON a picture and reads one answer: width and height, then pixels.
Nothing but numbers, texts and bytes of pixels is exchanged: no pickle. The process ends when its
input does, which happens in whatever way the parent ends, and loads Pillow and nothing heavier; it
does not run the parent's program again, as those of ``multiprocessing`` do.
"""

import json
import os
import struct
import sys
from dataclasses import asdict
from typing import IO

from PIL import Image

from shiftlens.core.errors import DataError
from shiftlens.data.images import Opening, open_image

_HEAD = struct.Struct("<II")  # width and height of the pixels that follow; 0 where there are none
READY = b"+"


def command() -> list[str]:
    """The command line of such a process: this interpreter, which finds what this one finds."""
    program = "import sys; sys.path[:] = sys.argv[1:]; from shiftlens.data import decoding as d"
    return [sys.executable, "-c", f"{program}; d.serve()", *sys.path]


def environment() -> dict[str, str]:
    """Its environment: this one's, and memory that is kept between pictures.

    By default the C library gives the memory of every picture back and gets it anew, page by page,
    which can take as long as decoding. Settings that are there already stay.
    """
    kept = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
    return {**kept, **os.environ}


def serve() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up between the answers
    try:
        answers.write(READY)
        answers.flush()
        for line in sys.stdin.buffer:
            asked = json.loads(line)
            answer(answers, asked["ref"], Opening(**asked["opening"]))
    except BrokenPipeError:
        os._exit(0)  # the parent has gone: there is nobody to tell


def ask(requests: IO[bytes], ref: str, opening: Opening) -> None:
    """Ask for one picture."""
    requests.write(json.dumps({"ref": ref, "opening": asdict(opening)}).encode() + b"\n")
    requests.flush()


def answer(answers: IO[bytes], ref: str, opening: Opening) -> None:
    """Open a picture and write what came of it."""
    try:
        image = open_image(ref, opening)
    except DataError:
        answers.write(_HEAD.pack(0, 0))
    else:
        answers.write(_HEAD.pack(*image.size))
        answers.write(image.tobytes())
    answers.flush()


def receive(answers: IO[bytes]) -> Image.Image | None:
    """Read one answer: the picture, or nothing where it was refused.

    Raises:
        EOFError: the process ended before it had answered.
    """
    width, height = _HEAD.unpack(_exactly(answers, _HEAD.size))
    if not width * height:
        return None
    return Image.frombytes("RGB", (width, height), _exactly(answers, width * height * 3))


def _exactly(stream: IO[bytes], n: int) -> bytes:
    found = stream.read(n)
    if len(found) < n:
        raise EOFError
    return found
