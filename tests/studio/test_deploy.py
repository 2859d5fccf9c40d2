"""The files of deploy/: a real Prometheus runs every query, and a real nginx passes requests on."""

import json
import math
import os
import re
import shutil
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from likeness.common.io import write_text
from likeness.repository.clones import Process
from likeness.repository.experiments import git
from likeness.studio.jobs import FOLDER, Job
from tests.conftest import ROOT, binary
from tests.repository.servers import free_port, running
from tests.studio.conftest import serve

DEPLOY = ROOT / "deploy"
TOKEN = "0123456789abcdef" * 4
HOST = "studio.example.com"


def queries() -> list[str]:
    """Of the dashboard."""
    board = json.loads((DEPLOY / "grafana.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_the_dashboard_has_every_metric_of_ours() -> None:
    from likeness.studio.gauges import Gpus, Jobs
    from likeness.studio.observe import Metrics

    own = {metric.name for each in (Jobs(ROOT), Gpus()) for metric in each.collect()}
    own |= {metric.name for metric in Metrics().registry.collect()}
    text = " ".join(queries())
    # What http_requests has by its route, and the counts of a histogram.
    own -= {"tts_requests", "image_requests"}
    assert len(own) >= 9
    assert {name for name in own if name not in text} == set()


def test_panels_have_ids_places_and_a_source_of_their_own() -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    (variable,) = board["templating"]["list"]
    source = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in board["panels"]})
    for panel in board["panels"]:
        assert panel["title"]
        for target in panel["targets"]:
            assert (panel["datasource"], target["datasource"]) == (source, source)


# --- Prometheus -----------------------------------------------------------------------------------


@pytest.fixture
def watched(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A studio on a machine with a GPU, as nvidia-smi says, and with a training that runs."""
    smi = tmp_path / "bin" / "nvidia-smi"
    listed, memory = "GPU 0: A (UUID: GPU-a)", "0, GPU-a, 1024, 81559"
    write_text(smi, f'#!/bin/sh\n[ "$1" = -L ] && echo "{listed}" || echo "{memory}"\n')
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}:{os.environ['PATH']}")
    commit = git(repository, "rev-parse", "HEAD")
    job = Job(repository / FOLDER / "mine", "dvc", [], [], {}, commit, [], "2026")
    replace(job, process=Process.of(os.getpid())).write()
    curve = "plots/voice_train/plots/metrics/train/loss.tsv"
    write_text(job.clone.path / curve, "step\tloss\n1\t0.5\n")
    write_text(tmp_path / "token", TOKEN)
    try:
        with serve(repository, tmp_path / "log", "--token-file", str(tmp_path / "token")) as server:
            server = server._replace(token=TOKEN)
            server.wait()
            yield server
    finally:
        shutil.rmtree(job.folder)


@pytest.mark.slow
def test_prometheus_answers_every_query_of_the_dashboard(watched: Any, tmp_path: Path) -> None:
    prometheus, port = binary("prometheus", "prometheus"), free_port()
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["rule_files"] = [str(DEPLOY / "alerts.yml")]
    (scrape,) = config["scrape_configs"]
    scrape["authorization"]["credentials_file"] = str(tmp_path / "token")
    (target,) = scrape["static_configs"]
    target["targets"] = [watched.url.removeprefix("http://")]
    write_text(tmp_path / "prometheus.yml", yaml.safe_dump(config))
    command = [
        prometheus, f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip

    def ask(path: str, **values: str) -> Any:
        address = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(values)}"
        with urllib.request.urlopen(address) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        return found["data"]

    def value(query: str) -> list[float]:
        return [float(one["value"][1]) for one in ask("query", query=query)["result"]]

    asked = [
        ("/v1/audio/speech", {"model": "xtts_mini", "voice": "af_heart", "input": "Hm."}),
        ("/v1/images/generations", {"model": "sd_mini", "prompt": "Shoes", "steps": 2}),
        ("/v1/audio/speech", {"model": "none", "voice": "x", "input": "x"}),
    ]
    with running(command, port, tmp_path / "prometheus.log"), watched.client() as client:
        until, waiting = time.monotonic() + 90, queries()
        while waiting:  # a rate needs two values, and a quantile requests between them
            assert time.monotonic() < until, waiting
            for path, body in asked:
                assert client.post(path, json={**body, "seed": 1}).status_code in (200, 404)
            time.sleep(0.5)
            waiting = [q for q in waiting if not [v for v in value(q) if math.isfinite(v)]]
        assert value('up{job="likeness-studio"}') == [1]
        assert value("engine_ready") == [1, 1]
        assert value("training_loss") == [0.5]
        assert value('jobs{state="running"}') == [1]
        assert value("gpu_memory_used_bytes") == [2**30]
        assert 0 < value(queries()[3])[0] < 60
        (group,) = ask("rules")["groups"]
        assert {rule["health"] for rule in group["rules"]} == {"ok"}
        assert {rule["state"] for rule in group["rules"]} == {"inactive"}


def test_alerts_are_rules_that_prometheus_takes() -> None:
    promtool = binary("promtool", "prometheus")
    done = subprocess.run(
        [promtool, "check", "rules", DEPLOY / "alerts.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# --- nginx ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            binary("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
            f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
            "-keyout", folder / "tls.key", "-out", folder / "tls.crt",
        ], check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.mark.slow
def test_nginx_passes_requests_on_with_tls(empty: Path, certificate: Path, tmp_path: Path) -> None:
    import httpx

    nginx, port, plain = binary("nginx", "nginx"), free_port(), free_port()
    root = shutil.copytree(empty, tmp_path / "repository")  # without models, which take seconds
    shutil.copy(ROOT / "params.yaml", root)
    (root / "dvc.yaml").touch()
    with serve(root, tmp_path / "log", "--allow-host", HOST) as server:
        site = (DEPLOY / "nginx.conf").read_text()
        for old, new in (
            ("/etc/likeness/", f"{certificate}/"),
            ("listen 443", f"listen 127.0.0.1:{port}"),
            ("listen 80", f"listen 127.0.0.1:{plain}"),
            ("http://127.0.0.1:8321", server.url),
        ):
            assert old in site
            site = site.replace(old, new)
        temporary = "".join(
            f"{name}_temp_path {tmp_path}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        write_text(
            tmp_path / "nginx.conf",
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
            f"events {{}}\nhttp {{ access_log off;\n{temporary}{site}}}\n",
        )
        command = [nginx, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        with running(command, port, tmp_path / "nginx.log"):
            trusted = ssl.create_default_context(cafile=str(certificate / "tls.crt"))
            with httpx.Client(
                base_url=f"https://127.0.0.1:{port}", verify=trusted,
                headers={"Host": HOST, "Origin": f"https://{HOST}"},
            ) as client:  # fmt: skip
                name = {"sni_hostname": HOST}
                answer = client.post("/api/session", json={"token": server.token}, extensions=name)
                assert answer.status_code == 200
                assert re.search(r"(?i)secure", answer.headers["set-cookie"])
                assert client.get("/v1/models", extensions=name).status_code == 200
                assert client.get("/metrics", extensions=name).status_code == 404
            sent = httpx.get(f"http://127.0.0.1:{plain}/docs", headers={"Host": HOST})
            assert (sent.status_code, sent.headers["location"]) == (308, f"https://{HOST}/docs")


# --- Kubernetes, and the container ----------------------------------------------------------------


def test_the_manifest_s_parts_fit_together() -> None:
    parts = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    by_kind = {part["kind"]: part for part in parts}
    for part in parts:
        assert part["apiVersion"]
        assert part["metadata"]["name"]
    deployment, service = by_kind["Deployment"], by_kind["Service"]
    pod = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    (container,) = pod["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
    claim = volumes["repository"]["persistentVolumeClaim"]["claimName"]
    assert claim == by_kind["PersistentVolumeClaim"]["metadata"]["name"]
    (port,) = container["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    (rule,) = by_kind["Ingress"]["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == service["metadata"]["name"]
    assert f"--allow-host={rule['host']}" in container["args"]


def test_the_manifest_s_options_and_probes_are_the_studio_s() -> None:
    import argparse

    from likeness.studio.app import make_app
    from likeness.studio.security import make_keys
    from likeness.studio.studio import add_arguments

    parts = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    (container,) = next(p for p in parts if p["kind"] == "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(container["args"])
    hosts = make_keys(args.host, args.port, args.allow_host).hosts
    routes = make_app().openapi()["paths"]
    for name in ("livenessProbe", "readinessProbe"):
        probe = container[name]["httpGet"]
        assert probe["path"] in routes
        assert probe["httpHeaders"][0]["value"] in hosts
