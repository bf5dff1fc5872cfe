"""``meterbeam.yaml``: the options of a backfill, written down once. A flag on the command line wins."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from schemas.errors import MeterbeamError

__all__ = ["Settings", "load_settings"]


class _DaysAsText(yaml.SafeLoader):
    """YAML in which a day stays text, so that 2024-02-30 is refused with its key and not by the parser."""


_DaysAsText.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("a time zone of the IANA database, such as Europe/Zurich") from error
    return name


class ObjectStore(BaseModel):
    """Where ``s3://`` is. A variable that the environment has wins; none of it is ever shown."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    endpoint: str | None = Field(None, description="Address of an S3-compatible server; AWS without it.")
    region: str | None = Field(None, description="Region of the bucket.")
    access_key_id: SecretStr | None = Field(None, description="Key.")
    secret_access_key: SecretStr | None = Field(None, description="Its secret.")

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
    s3: ObjectStore | None = Field(None, description="Where object storage is, for a lake at s3://….")
    timezone: Annotated[str, AfterValidator(_known_timezone)] | None = Field(
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
            raise ValueError(f"from <= to, not {self.from_} > {self.to}")
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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MeterbeamError(str(path), f"no readable file ({error})", "a settings file in YAML") from error
    try:
        content = yaml.load(text, Loader=_DaysAsText)  # noqa: S506 a SafeLoader with less in it
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise MeterbeamError(f"{path}{line}", str(getattr(error, "problem", error)), "valid YAML") from error
    if content is None:
        return Settings()
    if not isinstance(content, dict):
        raise MeterbeamError(
            str(path), f"a {type(content).__name__}", "keys and values, such as `workers: 2`"
        )
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise _first_error(path, error) from error
    return _from_folder(settings, path.resolve().parent)


def _first_error(path: Path, error: ValidationError) -> MeterbeamError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "as a whole"
    if first["type"] == "extra_forbidden":
        known = sorted(field.alias or name for name, field in Settings.model_fields.items())
        return MeterbeamError(f"{path}, key {key}", "an unknown key", f"one of: {', '.join(known)}")
    found = "these values" if not first["loc"] else repr(first["input"])
    if "s3" in first["loc"]:
        found = "another kind of value"  # it may be a key
    expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return MeterbeamError(f"{path}, key {key}", found, expected)


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
