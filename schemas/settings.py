"""``meterbeam.yaml``: the options of a backfill, written down once. A flag on the command line wins."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from schemas.timezones import known_timezone
from schemas.yaml_model import MisfitError, read_yaml

__all__ = ["Settings", "load_settings"]


class ObjectStore(BaseModel):
    """Where ``s3://`` is. A variable that the environment has wins; none of it is ever shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str | None = Field(None, description="Address of an S3-compatible server; AWS without it.")
    region: str | None = Field(None, description="Region of the bucket.")
    access_key_id: SecretStr | None = Field(None, description="Key.")
    secret_access_key: SecretStr | None = Field(None, description="Its secret.")

    @model_validator(mode="before")
    @classmethod
    def _texts(cls, stated: Any) -> Any:
        """Refuse a wrong value without showing it: it may be a key."""
        if not isinstance(stated, dict):
            raise MisfitError((), "one value", "endpoint, region, access_key_id, secret_access_key")
        for name, value in stated.items():
            if not isinstance(value, str):
                raise MisfitError((name,), "another kind of value", "text")
        return stated

    def environment(self) -> dict[str, str]:
        """The same as variables that S3 clients read."""
        stated = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        return {
            name: value if isinstance(value, str) else value.get_secret_value()
            for name, value in stated.items()
            if value is not None
        }


class Settings(BaseModel):
    """Settings of one lake. A key that is not given leaves the option at its default.

    Relative paths are meant from the folder of the file, so that it works from anywhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    lake: Path | None = Field(None, description="Folder of the lake, or s3://BUCKET/PREFIX.")
    customers: Path | None = Field(None, description="Table of customers, a file on disk.")
    s3: ObjectStore | None = Field(None, description="Where object storage is, for a lake at s3://….")
    timezone: Annotated[str, AfterValidator(known_timezone)] | None = Field(
        None, description="The one zone whose midnights end a local day; IANA name."
    )
    inputs: list[str] | None = Field(
        None, description="Avro files and folders to read, or a kafka:// address.", min_length=1
    )
    shards: int = Field(64, ge=1, le=4096, description="Shards of a new lake; fixed once it is made.")
    history_from: dt.date | None = Field(None, description="First local day that a new lake expects.")
    rules: Path | str | None = Field(
        None, description="Rule pack: a YAML file or the name of a built-in one."
    )
    tariffs: Path | None = Field(None, description="Folder of tariff YAML files.")
    mapping: Path | None = Field(None, description="Field mapping for Avro files of a foreign schema.")
    from_: dt.date | None = Field(
        None, alias="from", description="First local day to process now, inclusive."
    )
    to: dt.date | None = Field(None, description="Last local day to process now, inclusive.")
    through: dt.date | None = Field(None, description="Last local day taken as closed.")
    dirty: bool = Field(False, description="Process the days that lie dirty, without new input.")
    follow: bool = Field(False, description="Keep watching the input folders for new files.")
    on_error: Literal["stop", "dead-letter"] = Field("stop", description="What damaged input does.")
    workers: int = Field(1, ge=1, le=256, description="Processes on this machine.")
    runner: str = Field(
        "FnApiRunner", min_length=1, description="Beam runner; FnApiRunner is pinned for one machine."
    )
    plugin: list[str] | None = Field(None, alias="plugins", description="Modules or files with own code.")

    @model_validator(mode="after")
    def _days_in_order(self) -> Settings:
        if self.from_ and self.to and self.from_ > self.to:
            raise MisfitError(("from",), f"{self.from_}, after to {self.to}", "from <= to")
        return self

    def given(self) -> dict[str, Any]:
        """What the file states, by option name, in the form a command line would give it."""
        return {
            name.rstrip("_"): _as_option(getattr(self, name))
            for name in sorted(self.model_fields_set - {"s3"})
            if getattr(self, name) is not None
        }


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Args:
        path: YAML file with the keys of :class:`Settings`; an empty one is valid.

    Raises:
        MeterbeamError: No such file, no YAML, an unknown key or a value that does not fit; the
            message names file, key and expectation.
    """
    return _from_folder(read_yaml(path, Settings, "settings"), path.resolve().parent)


def _from_folder(settings: Settings, folder: Path) -> Settings:
    """Settings with relative paths resolved; a built-in rule pack's name is left alone."""
    moved: dict[str, Any] = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if name == "rules":
            moved[name] = folder / value if (folder / str(value)).exists() else value
        elif name == "plugin" and value is not None:
            moved[name] = [str(folder / item) if item.endswith(".py") else item for item in value]
        elif isinstance(value, Path) and not str(value).startswith("s3:/"):
            moved[name] = folder / value
        elif name == "inputs" and value is not None:
            moved[name] = [item if "://" in item else str(folder / item) for item in value]
    return settings.model_copy(update=moved)


def _as_option(value: Any) -> Any:
    if isinstance(value, (dt.date, Path)):
        return str(value)
    if isinstance(value, list):
        return [_as_option(item) for item in value]
    return value
