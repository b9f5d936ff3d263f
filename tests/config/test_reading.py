"""Settings are read from file, environment and secrets; every mistake is listed with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from config.mistakes import ConfigError
from config.reading import Read, read_settings
from config.toml_lines import Path as Place


class Strict(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Strict):
    """One of several."""

    name: str = "main"
    host: str
    port: int = Field(default=5038, ge=1, le=65535)
    secret: SecretStr
    second: SecretStr | None = None
    security: Literal["tls", "starttls", "none"] = "tls"
    numbers: tuple[str, ...] = ()
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _no_root(self) -> Server:
        if self.secret.get_secret_value() == "password":
            raise ValueError(f"{self.secret.get_secret_value()} is too easy")
        return self


class Web(Strict):
    """One table."""

    port: int = Field(default=8080, le=65535)
    open: bool = False
    wait_s: float = 1.0


class Toy(Strict):
    """The whole."""

    region: str = "TR"
    server: tuple[Server, ...] = ()
    web: Web = Web()


Given = Callable[..., Read[Toy]]


@pytest.fixture
def given(tmp_path: Path) -> Given:
    def read(text: str = "", **environ: str) -> Read[Toy]:
        path = tmp_path / "toy.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return read_settings(Toy, path, environ)

    return read


def mistakes_of(read: Given, text: str = "", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    return [str(mistake).rpartition("/")[2] for mistake in caught.value.mistakes]


def test_without_a_file_and_environment_the_defaults_apply() -> None:
    assert read_settings(Toy, None, {}) == Read(settings=Toy())


def test_a_file_that_is_right(given: Given) -> None:
    read = given('region = "DE"\n[[server]]\nhost = "a"\nsecret = "s3cret"\n[web]\nport = 1\n')
    assert read.settings.server[0].secret.get_secret_value() == "s3cret"
    assert read.settings.web.port == 1
    assert read.warnings == ()


def test_every_mistake_is_listed_with_its_line(given: Given) -> None:
    text = """\
regoin = "TR"

[[server]]
name = "istanbul"
host = 5
hots = "pbx"
port = 70000
secret = "s3cret"
security = "tsl"
numbers = "0212"

[[server]]
port = "many"

[web]
open = "perhaps"
wait_s = "long"
"""
    assert mistakes_of(given, text) == [
        "toy.toml:1: regoin: there is no such setting; did you mean 'region'?",
        "toy.toml:5: server[istanbul].host: must be a text in quotes, not 5",
        "toy.toml:6: server[istanbul].hots: there is no such setting; did you mean 'host'?",
        "toy.toml:7: server[istanbul].port: must be at most 65535, not 70000",
        (
            "toy.toml:9: server[istanbul].security: "
            "must be 'tls', 'starttls' or 'none', not \"tsl\"; did you mean 'tls'?"
        ),
        'toy.toml:10: server[istanbul].numbers: must be a list: numbers = ["…"]',
        "toy.toml:12: server[2].host: is missing",
        "toy.toml:12: server[2].secret: is missing",
        'toy.toml:13: server[2].port: must be a whole number, not "many"',
        'toy.toml:16: web.open: must be true or false, not "perhaps"',
        'toy.toml:17: web.wait_s: must be a number, not "long"',
    ]


def test_tables_written_in_the_wrong_way(given: Given) -> None:
    assert mistakes_of(given, '[server]\nhost = "a"\n') == [
        "toy.toml:1: server: must be written as tables: [[server]]"
    ]
    assert mistakes_of(given, "web = 3\n") == ["toy.toml:1: web: must be a table: [web]"]
    assert mistakes_of(given, "[[web]]\n") == ["toy.toml:1: web: must be a table: [web]"]
    assert mistakes_of(given, "server = [1]\n") == ["toy.toml:1: server[1]: must be a table"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a = 1\nb = = 2\n", "toy.toml:2: is not TOML: invalid value"),
        ('[web]\nport = 1\nname = "open\n', "toy.toml:3: is not TOML: illegal character '\\n'"),
        (
            "[web]\n[web]\n",
            "toy.toml:2: is not TOML: [web] is there already, on line 1: put its settings together",
        ),
        (
            "[server]\n\n[[server]]\n",
            (
                "toy.toml:3: is not TOML: [[server]] here, but [server] on line 1: "
                "write [[server]] in both places"
            ),
        ),
        (
            "[[server]]\n[ server ] # again\n",
            (
                "toy.toml:2: is not TOML: [server] here, but [[server]] on line 1: "
                "write [[server]] in both places"
            ),
        ),
        (
            "web = 1\n[web]\n",
            "toy.toml:2: is not TOML: web is there already, further up, as something else",
        ),
        ("a = 1\na = 2\n", "toy.toml:2: is not TOML: a is given twice"),
        ("name = main\n", 'toy.toml:1: is not TOML: text needs quotes: name = "…"'),
        ("secret = 4hunter2\n", 'toy.toml:1: is not TOML: text needs quotes: secret = "…"'),
        (
            "open = yes\n",
            (
                "toy.toml:1: is not TOML: open must be true or false, "
                "in small letters and without quotes"
            ),
        ),
        ('x = """\n\n', "toy.toml:2: is not TOML: unterminated string"),
    ],
)
def test_a_file_that_is_not_toml(given: Given, text: str, mistake: str) -> None:
    assert mistakes_of(given, text) == [mistake]


def test_files_that_cannot_be_read(given: Given, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file"):
        read_settings(Toy, tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        read_settings(Toy, tmp_path, {})
    (tmp_path / "latin.toml").write_bytes("a = 1\n# Zoë".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.toml:2: is not UTF-8 text"):
        read_settings(Toy, tmp_path / "latin.toml", {})
    assert given("\ufeffregion = 'DE'\n").settings.region == "DE", "a byte order mark is fine"
    assert mistakes_of(given, "a = " + "[" * 9999) == ["toy.toml: it is nested too deeply"]


SERVER = '[[server]]\nname = "Istanbul 1"\nhost = "a"\nsecret = "in-file"\n'


def test_the_environment_goes_over_the_file(given: Given) -> None:
    read = given(
        SERVER + "[web]\nport = 1\n",
        SANTRAL_REGION="DE",
        SANTRAL_WEB__PORT="2",
        SANTRAL_WEB__OPEN="true",
        SANTRAL_SERVER__0__HOST="b",
        SANTRAL_SERVER__ISTANBUL_1__NUMBERS="0212, 0216,",
        SANTRAL_SERVER__1__HOST="c",
        SANTRAL_SERVER__1__NAME="second",
        SANTRAL_SERVER__1__SECRET="env",
        SANTRAL_SERVER__1__NUMBERS='["1", "2"]',
        OTHER="x",
    )
    settings = read.settings
    assert (settings.region, settings.web.port, settings.web.open) == ("DE", 2, True)
    assert [(server.host, server.numbers) for server in settings.server] == [
        ("b", ("0212", "0216")),
        ("c", ("1", "2")),
    ]


def test_mistakes_in_the_environment_name_the_variable(given: Given) -> None:
    assert mistakes_of(
        given,
        SERVER,
        SANTRAL_WEB__PROT="1",
        SANTRAL_WEB__PORT="x",
        SANTRAL_WEB="1",
        SANTRAL_WEB__PORT__DEEP="1",
        SANTRAL_SERVER="1",
        SANTRAL_SERVER__ANKARA__HOST="1",
        SANTRAL_SERVER__9__HOST="1",
    ) == [
        "environment variable SANTRAL_SERVER: is a table; set its keys, as SANTRAL_SERVER__0__NAME",
        (
            "environment variable SANTRAL_SERVER__9__HOST: there is no [[server]] '9': "
            "use one of 0, 1, istanbul_1"
        ),
        (
            "environment variable SANTRAL_SERVER__ANKARA__HOST: there is no [[server]] 'ankara': "
            "use one of 0, 1, istanbul_1"
        ),
        "environment variable SANTRAL_WEB: is a table; set its keys, as SANTRAL_WEB__PORT",
        "environment variable SANTRAL_WEB__PORT__DEEP: 'port' has no settings inside it",
        "environment variable SANTRAL_WEB__PROT: there is no such setting; did you mean 'port'?",
        'environment variable SANTRAL_WEB__PORT: web.port: must be a whole number, not "x"',
    ]


def test_variables_that_a_container_platform_sets_only_warn(given: Given) -> None:
    read = given("", SANTRAL_PORT="tcp://10.0.0.1:80", SANTRAL_REGOIN="DE", SANTRAL_CONFIG="x")
    assert read.warnings == (
        "SANTRAL_PORT: there is no such setting",
        "SANTRAL_REGOIN: there is no such setting; did you mean 'region'?",
    )


def test_secrets_from_a_file_beside_the_settings_and_from_the_environment(
    given: Given, tmp_path: Path
) -> None:
    secret = tmp_path / "ami.secret"
    secret.write_text("şifre with blanks \n", encoding="utf-8")
    secret.chmod(0o600)
    read = given(
        '[[server]]\nhost = "a"\nsecret_file = "ami.secret"\nsecond_env = "SECOND"\n',
        SECOND="two",
    )
    server = read.settings.server[0]
    assert server.secret.get_secret_value() == "şifre with blanks "
    assert server.second is not None
    assert server.second.get_secret_value() == "two"
    assert read.warnings == ()


def test_a_secret_in_the_environment_replaces_every_other_way(given: Given) -> None:
    text = '[[server]]\nhost = "a"\nsecret_file = "not there"\n'
    read = given(text, SANTRAL_SERVER__MAIN__SECRET="no", SANTRAL_SERVER__0__SECRET="yes")
    assert read.settings.server[0].secret.get_secret_value() in {"yes", "no"}
    read = given(SERVER, SANTRAL_SERVER__0__SECRET_ENV="ELSEWHERE", ELSEWHERE="here")
    assert read.settings.server[0].secret.get_secret_value() == "here"


def test_mistakes_about_secrets(given: Given, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    text = """\
[[server]]
host = "a"
secret_file = "nowhere"
[[server]]
name = "b"
host = "a"
secret_env = "UNSET"
[[server]]
name = "c"
host = "a"
secret = "x"
secret_file = "empty"
[[server]]
name = "d"
host = "a"
secret_file = "empty"
second_file = "binary"
[[server]]
name = "e"
host = "a"
secret = 5
"""
    with pytest.raises(ConfigError) as caught:
        given(text)
    assert [str(mistake).replace(f"{tmp_path}/", "") for mistake in caught.value.mistakes] == [
        "toy.toml:3: server[1].secret_file: nowhere cannot be read: No such file or directory",
        "toy.toml:7: server[b].secret_env: the environment variable UNSET is not set",
        "toy.toml:12: server[c].secret_file: give only one of secret and secret_file",
        "toy.toml:16: server[d].secret_file: empty holds no secret",
        "toy.toml:17: server[d].second_file: binary holds no secret",
        "toy.toml:21: server[e].secret: must be a text in quotes",
    ]


def test_no_mistake_shows_a_secret(given: Given) -> None:
    text = '[[server]]\nhost = "a"\nsecret = "password"\nport = "password"\n[web]\nport = 0.5\n'
    assert "password" not in "".join(mistakes_of(given, text))
    text = '[[server]]\nhost = "a"\nsecret = "password"\n'
    assert mistakes_of(given, text) == ["toy.toml:1: server[1]: ******** is too easy"]


def test_secrets_that_everybody_can_read_are_warned_of(given: Given, tmp_path: Path) -> None:
    secret = tmp_path / "ami.secret"
    secret.write_text("x-secret", encoding="utf-8")
    secret.chmod(0o644)
    read = given('[[server]]\nhost = "a"\nsecret_file = "ami.secret"\n')
    assert read.warnings == (
        f"{secret} holds a secret and every user of this machine can read it (chmod o-r)",
    )
    path = tmp_path / "open.toml"
    path.write_text(SERVER, encoding="utf-8")
    path.chmod(0o644)
    assert read_settings(Toy, path, {}).warnings == (
        f"{path} holds secrets and every user of this machine can read it (chmod o-r)",
    )


def test_paths_are_relative_to_the_file_that_names_them(given: Given, tmp_path: Path) -> None:
    text = SERVER + 'ca_file = "certs/ca.pem"\n'
    assert given(text).settings.server[0].ca_file == tmp_path / "certs" / "ca.pem"
    text = SERVER + 'ca_file = "/etc/ca.pem"\n'
    assert given(text).settings.server[0].ca_file == Path("/etc/ca.pem")
    read = given(SERVER, SANTRAL_SERVER__0__CA_FILE="ca.pem")
    assert read.settings.server[0].ca_file == Path("ca.pem"), "that of a shell is its own"


def test_checks_across_settings_are_listed_with_the_rest(tmp_path: Path) -> None:
    def no_two(values: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
        if len(values.get("server", ())) > 1:
            yield ("server", 1, "name"), "one is enough"

    path = tmp_path / "toy.toml"
    path.write_text(SERVER * 2 + "[web]\nport = true\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_settings(Toy, path, {}, checks=[no_two])
    assert str(caught.value).splitlines()[0] == (
        f"{path}:6: server[Istanbul 1].name: one is enough"
    )
