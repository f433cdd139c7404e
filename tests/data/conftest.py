import pytest
from data_cases import CASES


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.__name__.strip("_"))
def case(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("data"))
