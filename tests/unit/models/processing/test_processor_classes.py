"""Processor classes that transformers hides where torchvision is absent."""

import sys

import transformers

from shiftlens.models.processing.processor_classes import unhidden


def test_a_class_that_is_there_stays_itself() -> None:
    assert unhidden(transformers.LlavaProcessor) is transformers.LlavaProcessor


def test_a_class_behind_a_placeholder_is_found() -> None:
    placeholder = transformers.PixtralProcessor
    assert placeholder.is_dummy  # or nothing is shown: torchvision is here
    found = unhidden(placeholder)
    assert found.__name__ == "PixtralProcessor"
    assert issubclass(found, transformers.ProcessorMixin)


def test_nothing_is_left_under_a_borrowed_name() -> None:
    unhidden(transformers.PixtralProcessor)
    assert "transformers.models.pixtral.image_processing_pixtral" not in sys.modules
