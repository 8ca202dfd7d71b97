"""What holds for all Python tests."""


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures times or fills the machine, so nothing else may run beside it")
