"""The versions of Label Studio that tests run against: `python -m tests.label_studios` installs them."""

from labelloop.demo.servers import LABEL_STUDIO_VERSION, install_label_studio

LABEL_STUDIOS = {"label_studio": LABEL_STUDIO_VERSION, "older_label_studio": "1.20.0"}
"""Each by the fixture that provides it."""

if __name__ == "__main__":
    for version in LABEL_STUDIOS.values():
        install_label_studio(version)
