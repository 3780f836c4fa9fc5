"""The two parsers of PyYAML."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml


@pytest.fixture(params=["C", "pure"], scope="module")
def parser(request: pytest.FixtureRequest) -> Iterator[str]:
    """The C parser, and the one that is there on every machine."""
    if request.param == "C" and not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "pure":
            patch.delattr(yaml, "CSafeLoader", raising=False)
        yield str(request.param)
