"""Flite's library: what is said where it is not there."""

import pytest

from likeness.common.errors import LikenessError
from models.flite import say


def test_a_folder_without_the_library_is_named_in_one_line(tmp_path):
    with pytest.raises(LikenessError, match=r"no libflite\.so\.1"):
        say("Good morning.", "slt", 1.0, tmp_path)
