"""An SQL catalog that reads each version of a table once."""

import copy

import sqlalchemy as sa
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.typedef import Identifier

_LOCATION = sa.select(IcebergTables.metadata_location).where(
    IcebergTables.catalog_name == sa.bindparam("catalog"),
    IcebergTables.table_namespace == sa.bindparam("namespace"),
    IcebergTables.table_name == sa.bindparam("name"),
)


class SqlCatalogWithMemory(SqlCatalog):
    """A catalog that keeps the newest version it saw of each table.

    A version never changes: its description is a file of its own. So the database is asked which
    version is the newest, and the file is read only if that is another one than last time.
    """

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self._seen: dict[Identifier, Table] = {}

    def load_table(self, identifier: str | Identifier) -> Table:
        """The table as it stands now.

        Raises:
            NoSuchTableError: there is none.
        """
        key = Catalog.identifier_to_tuple(identifier)
        seen = self._seen.get(key)
        if seen is None or seen.metadata_location != self._location(key):
            seen = self._seen[key] = super().load_table(identifier)
        return copy.copy(seen)  # a table that commits is changed in place

    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        """Make a new version of a table, and keep it."""
        done = super().commit_table(table, requirements, updates)
        seen = copy.copy(table)
        seen.metadata, seen.metadata_location = done.metadata, done.metadata_location
        self._seen[table.name()] = seen
        return done

    def _location(self, key: Identifier) -> str | None:
        """Where the newest version of a table is described."""
        namespace = Catalog.namespace_to_string(Catalog.namespace_from(key))
        asked = {"catalog": self.name, "namespace": namespace, "name": Catalog.table_name_from(key)}
        with self.engine.connect() as connection:
            found: str | None = connection.execute(_LOCATION, asked).scalar_one_or_none()
        return found
