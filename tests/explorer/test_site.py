"""The site's files, their export, the server and the command; no browser is needed."""

import hashlib
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from typer.testing import CliRunner

from starloom.cli import app
from starloom.errors import ConfigError
from starloom.explorer import facts
from starloom.explorer.server import Server
from starloom.explorer.site import MEDIA_TYPES, export, site
from starloom.labels import TABLE_1
from starloom.networks import weights
from starloom.networks.forward import linear
from starloom.networks.weights import Header, Model


def test_weights_are_the_models_own_file_and_their_hash_is_given(content):
    about = json.loads(content["facts.json"])["model"]
    own = weights.find("default-2026-lte").read_bytes()
    assert content[about["file"]] == own
    assert about["sha256"] == hashlib.sha256(own).hexdigest()
    assert about["sha256"][:12] in about["file"]
    assert about["bytes"] == len(own)


def test_all_that_is_transferred_is_small(content):
    assert sum(map(len, content.values())) < 15e6


def test_a_large_model_is_sent_smaller_and_names_its_source():
    content = site()
    about = json.loads(content["facts.json"])["model"]
    assert about["name"] == "default"
    assert len(content[about["file"]]) == about["bytes"] < 6e6
    assert about["source"] == hashlib.sha256(weights.find("default").read_bytes()).hexdigest()
    assert sum(map(len, content.values())) < 7e6


def test_nothing_is_asked_of_another_server(content):
    """Every address in the page is of its own files; those in the vendored library are comments."""
    for name, body in content.items():
        if name.endswith((".html", ".css", ".js", ".svg")) and not name.startswith("vendor/"):
            assert set(re.findall(r"https?://[^\s\"'`)]+", body.decode())) <= {"http://www.w3.org/2000/svg"}


def test_every_module_that_is_imported_is_there(content):
    for name, body in content.items():
        for target in re.findall(r"from \"(\.[^\"]+)\"", body.decode() if name.endswith(".js") else ""):
            folder = name.rpartition("/")[0].split("/") if "/" in name else []
            for part in target.split("/"):
                folder = folder[:-1] if part == ".." else folder if part == "." else [*folder, part]
            assert "/".join(folder) in content, f"{name} imports {target}"


def test_model_and_state_know_neither_document_nor_view(content):
    for name, body in content.items():
        if name.startswith(("model/", "state/")):
            assert not re.search(r"\b(document|location|localStorage|navigator)\.", body.decode()), name
            assert "../view/" not in body.decode(), name


def test_vendored_library_comes_with_its_licence(content):
    assert b"MIT License" in content["vendor/uPlot.LICENSE"]


def test_presets_lie_in_the_domain():
    for star in facts.PRESETS.values():
        TABLE_1.check(TABLE_1.array(**star))


def test_facts_give_the_labels_and_their_lines(content):
    told = json.loads(content["facts.json"])
    assert [label["name"] for label in told["labels"]] == list(TABLE_1.names)
    assert [label["high"] for label in told["labels"]] == TABLE_1.high.tolist()
    strongest = max(told["lines"]["atoms"], key=lambda line: line["log_strength"][2])
    assert strongest["species"] == "Ca II"
    assert abs(strongest["air_aa"] - 8542.09) < 0.05
    assert [line["species"] for line in told["lines"]["hydrogen"]][:2] == ["Pa 9", "Pa 10"]


def test_export_writes_every_file(tmp_path, content):
    size = export(tmp_path / "page", "default-2026-lte")
    written = {
        str(path.relative_to(tmp_path / "page")) for path in (tmp_path / "page").rglob("*") if path.is_file()
    }
    assert written == set(content)
    assert size == sum(map(len, content.values()))


def test_export_leaves_what_is_there_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError, match="not empty: --overwrite"):
        export(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    export(tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "kept"
    assert (tmp_path / "index.html").is_file()


def test_models_of_other_families_are_refused(tmp_path):
    network = linear([[0.0] * 4000] * 6, [1.0] * 4000)
    points = weights.load(weights.find("default-2026-lte")).header.points
    path = tmp_path / "pixels.safetensors"
    weights.save(path, Model(Header("generator", TABLE_1, points), {"generator": network}))
    with pytest.raises(ConfigError, match="family 'generator'"):
        site(path)


def test_server_answers_with_types_and_not_found():
    import threading

    with Server({"index.html": b"page", "a/b.js": b"script"}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            with urllib.request.urlopen(server.address) as answer:
                assert (answer.read(), answer.headers["Content-Type"]) == (b"page", MEDIA_TYPES[".html"])
            with urllib.request.urlopen(server.address + "a/b.js?x#y") as answer:
                assert (answer.read(), answer.headers["Content-Type"]) == (b"script", MEDIA_TYPES[".js"])
            with pytest.raises(urllib.error.HTTPError, match="404") as refused:
                urllib.request.urlopen(server.address + "../etc/passwd")
            refused.value.close()
        finally:
            server.shutdown()
            thread.join()


def test_a_taken_port_is_one_line():
    with (
        Server({}) as server,
        pytest.raises(ConfigError, match=f"port = {server.server_port} cannot be used"),
    ):
        Server({}, server.server_port)


def test_command_exports(tmp_path):
    done = CliRunner().invoke(app, ["explore", "--export", str(tmp_path / "page")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "page" / "index.html").is_file()
    assert "any web server shows it" in done.output


def test_command_serves_until_it_is_interrupted():
    import signal

    command = [sys.executable, "-m", "starloom", "explore", "--no-browser"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it heeds it even if we do not
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        signal.signal(signal.SIGINT, before)
        try:
            line = running.stdout.readline()
            address = re.search(r"http://127.0.0.1:\d+/", line).group()
            with urllib.request.urlopen(address) as answer:
                assert b"starloom" in answer.read()
        finally:
            running.send_signal(signal.SIGINT)
            _, error = running.communicate(timeout=30)
    assert (running.returncode, error) == (0, "")


def test_the_page_needs_no_jax():
    code = "import sys; from starloom.explorer.site import site; site(); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
