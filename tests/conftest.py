"""Nothing that a test caches lands in the user's own cache folder."""

import pytest

from tests.helpers.browser import browser as browser


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIAO_CACHE", str(tmp_path_factory.mktemp("user_cache")))
        yield
