"""A catalog of Iceberg tables: its URI, or its name in pyiceberg's own settings."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

_SQLITE = "sqlite:///"


def is_sql(catalog: str) -> bool:
    """True if the catalog lies in a database, which lends nobody keys."""
    return catalog.startswith(("sqlite", "postgresql"))


def sqlite_file(catalog: str) -> Path | None:
    """The file of a catalog in SQLite; None for any other.

    >>> sqlite_file("sqlite:///a/catalog.db"), sqlite_file("postgresql://host/db")
    (PosixPath('a/catalog.db'), None)
    """
    return Path(catalog.removeprefix(_SQLITE)) if catalog.startswith(_SQLITE) else None


def is_absent(catalog: str) -> bool:
    """True if the catalog is a file of SQLite that isn't there: opening would make it."""
    file = sqlite_file(catalog)
    return file is not None and not file.exists()


def without_password(catalog: str) -> str:
    """A catalog's URI as it may be shown."""
    scheme, _, rest = catalog.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else catalog


def open_catalog(catalog: str, name: str, **settings: str) -> "Catalog":
    """The catalog, connected. An SQL or REST catalog files its tables under `name`."""
    from pyiceberg.catalog import load_catalog

    if is_sql(catalog):
        from labelloop.adapters.iceberg.sql_catalog import SqlCatalogWithMemory

        # the driver that labelloop brings, whichever name the URL has from elsewhere
        uri = catalog.replace("postgresql://", "postgresql+psycopg://", 1)
        return SqlCatalogWithMemory(name, uri=uri, **settings)
    if "://" in catalog:
        return load_catalog(name, uri=catalog, **settings)
    return load_catalog(catalog, **settings)
