"""What tests of the studio begin with."""

from tests.repository.conftest import empty as empty  # a fixture
