"""`deploy/helm`: what the chart makes of values is what Kubernetes takes, and keeps what it promises."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import pytest
from typer.testing import CliRunner

from ocrvl.repository.memory import request_bytes
from ocrvl_cli import app
from ocrvl_gateway.paddle import fork_server, restructure_pool
from ocrvl_gateway.settings import PREFIX, GatewaySettings, read_settings
from ocrvl_receipts.settings import PREFIX as RECEIPTS_PREFIX
from ocrvl_receipts.settings import FrontSettings, StoreSettings, WorkerSettings
from ocrvl_receipts.settings import read_settings as read_receipts_settings
from tests.support.charts import CHART, EXAMPLES, KUBERNETES, Manifest, find, load_values, problems, render

by_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
by_values = pytest.mark.parametrize(
    "values", [{}, *map(load_values, EXAMPLES)], ids=["none", *(path.stem for path in EXAMPLES)]
)

ENGINE_BYTES = 6 * 2**30
"""Allowed for an engine's processes on the host: libraries, the GPU's context, weights on their way to it."""

GATEWAY_BYTES = 2**29
"""Allowed for a gateway without requests."""

BODY_COPIES = 5
"""At most at a time: as it comes, as text, decoded, as a message, and in gRPC's buffers."""

FETCHED_COPIES = 3
"""Of a file at an address: as it comes, as a message, and in gRPC's buffers."""

RECEIPTS: dict[str, Any] = load_values(Path("deploy/helm/examples/receipts.yaml"))

GATEWAY: dict[str, Any] = {"gateway": {"enabled": True}, "tls": {"mutual": False}}


def pod_specs(manifests: list[Manifest]) -> list[dict[str, Any]]:
    """Every pod of a release, wherever it is written."""
    specs = []
    for manifest in manifests:
        spec = manifest.get("spec", {})
        match manifest["kind"]:
            case "Deployment":
                specs.append(spec["template"]["spec"])
            case "LeaderWorkerSet":
                template = spec["leaderWorkerTemplate"]
                specs += [template["leaderTemplate"]["spec"], template["workerTemplate"]["spec"]]
            case "InferenceService":
                specs.append(spec["predictor"])
    return specs


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def server_of(values: dict[str, Any]) -> dict[str, Any]:
    """The pod of a plain Deployment."""
    spec: dict[str, Any] = find(render(values), "Deployment")["spec"]["template"]["spec"]
    return spec


def arguments(values: dict[str, Any], name: str) -> list[str]:
    """What a container of the server's pod is called with."""
    (container,) = (one for one in containers(server_of(values)) if one["name"] == name)
    return [*container["command"], *container.get("args", [])]


def gateway_of(values: dict[str, Any]) -> dict[str, Any]:
    """The pod of a gateway."""
    spec: dict[str, Any] = find(render(values), "Deployment", "demo-ocrvl-gateway")["spec"]["template"]["spec"]
    return spec


def gateway_settings(spec: dict[str, Any], **given: str) -> GatewaySettings:
    """What a gateway makes of its pod's arguments and environment; `given` is what its secrets hold."""
    (container,) = spec["containers"]
    variables = {one["name"]: given.get(one["name"], one.get("value", "")) for one in container["env"]}
    known = {name: value for name, value in variables.items() if name.startswith(PREFIX)}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in known.items():
            environment.setenv(name, value)
        return read_settings(container["args"][1:])


def bytes_of(quantity: str) -> int:
    """A quantity of Kubernetes in bytes."""
    number, unit = re.fullmatch(r"([0-9.]+)(Ki|Mi|Gi|Ti)", quantity).groups()  # type: ignore[union-attr]
    return int(float(number) * 1024 ** (1 + ["Ki", "Mi", "Gi", "Ti"].index(unit)))


@by_example
def test_every_example_is_valid_for_the_last_versions_of_kubernetes(example: Path) -> None:
    manifests = render(load_values(example))
    found = [
        f"{version} {manifest['kind']} {problem}"
        for manifest in manifests
        for version in KUBERNETES
        for problem in problems(manifest, version)
    ]
    assert found == []


def test_a_mistake_is_noticed_in_kubernetes_own_kinds_and_in_others() -> None:
    for kind, name in (("Deployment", "demo-ocrvl"), ("ScaledObject", "demo-ocrvl")):
        manifest = deepcopy(find(render({"autoscaling": {"kind": "keda"}}), kind, name))
        manifest["spec"]["replicaz"] = 2
        assert problems(manifest, KUBERNETES[-1])


def test_helm_s_own_linter_finds_nothing_wrong() -> None:
    for example in EXAMPLES:
        report = helm_python.lint(CHART, load_values(example), strict=True)
        assert report["errors"] == []
        assert [message for message in report["messages"] if message["severity"] > 1] == []


@by_example
def test_every_container_is_confined(example: Path) -> None:
    for spec in pod_specs(render(load_values(example))):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in containers(spec):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}


@by_example
def test_what_is_mounted_is_a_volume_and_every_volume_is_mounted(example: Path) -> None:
    for spec in pod_specs(render(load_values(example))):
        mounted = {mount["name"] for container in containers(spec) for mount in container.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


@by_example
def test_selectors_find_the_pods_that_they_are_for(example: Path) -> None:
    manifests = render(load_values(example))
    labels = []
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "Deployment":
            labels.append(spec["template"]["metadata"]["labels"])
            assert spec["selector"]["matchLabels"].items() <= labels[-1].items()
        elif manifest["kind"] == "LeaderWorkerSet":
            labels += [
                spec["leaderWorkerTemplate"][part]["metadata"]["labels"]
                for part in ("leaderTemplate", "workerTemplate")
            ]
        elif manifest["kind"] == "InferenceService":
            labels.append(spec["predictor"]["labels"])
    for manifest in manifests:
        if manifest["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            spec = manifest["spec"]
            selector = spec.get("podSelector", spec.get("selector"))
            selector = selector.get("matchLabels", selector)
            assert any(selector.items() <= found.items() for found in labels), manifest["metadata"]["name"]


@by_example
def test_names_are_not_used_twice(example: Path) -> None:
    manifests = render(load_values(example))
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    # an InferenceService and a LeaderWorkerSet make a Service of their own name
    names += [("Service", name) for kind, name in names if kind in ("InferenceService", "LeaderWorkerSet")]
    assert len(names) == len(set(names))


@by_example
def test_a_pod_is_given_longer_to_end_than_its_requests_are(example: Path) -> None:
    values = load_values(example)
    with helm_python.Chart.load(CHART) as chart:
        shutdown = chart.merge_values(values)["shutdown"]
    for spec in pod_specs(render(values)):
        # what `ocrvl serve` takes beyond the exit timeout before it kills
        assert spec["terminationGracePeriodSeconds"] >= shutdown["preStop"] + shutdown["exit"] + 10


def make_repository(spec: dict[str, Any], repository: Path) -> bool:
    """Write what a pod's first container renders; whether it has one."""
    words = next(
        ([*one["command"][1:], *one["args"]] for one in containers(spec) if one["name"] == "render"), list[str]()
    )
    words = [str(repository) if word == "/repository" else word for word in words]
    words = ["--checkpoint=nano" if word.startswith("--checkpoint=/") else word for word in words]
    # on this machine's cores
    words = ["--engines=1" if word.startswith("--engines=") else word for word in words]
    if words:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    return bool(words)


@by_values
def test_commands_are_taken_and_requests_fit_into_the_memory_of_a_pod(values: dict[str, Any], tmp_path: Path) -> None:
    for spec in pod_specs(render(values)):
        if make_repository(spec, tmp_path / "repository"):
            server = next(one for one in spec["containers"])
            (shared,) = (one["emptyDir"]["sizeLimit"] for one in spec["volumes"] if one["name"] == "shared-memory")
            engines = values.get("gpus", 1) * values.get("enginesPerGpu", 1)
            held = sum(request_bytes(tmp_path / "repository").values())
            assert held + bytes_of(shared) + engines * ENGINE_BYTES <= bytes_of(server["resources"]["limits"]["memory"])


@pytest.mark.parametrize("hosts", [[], ["files.example.com"]], ids=["sent", "fetched"])
def test_what_a_gateway_may_hold_fits_into_its_memory(hosts: list[str]) -> None:
    spec = gateway_of({"gateway": {"enabled": True, "urlHosts": hosts}})
    settings = gateway_settings(spec)
    of_all = settings.max_in_flight * settings.max_body_bytes
    held = min(settings.max_total_body_bytes, of_all) * BODY_COPIES + (of_all * FETCHED_COPIES if hosts else 0)
    apart = restructure_pool.MAX_WORKERS * (fork_server.MEMORY_BYTES + restructure_pool._MAX_ANSWER_BYTES)
    assert held + apart + GATEWAY_BYTES <= bytes_of(spec["containers"][0]["resources"]["limits"]["memory"])


@by_values
def test_a_gateway_lets_requests_finish_as_long_as_its_pod_may_take(values: dict[str, Any]) -> None:
    spec = gateway_of({**values, **GATEWAY})
    wait = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    left = spec["terminationGracePeriodSeconds"] - wait - gateway_settings(spec).drain_timeout
    # for what uvicorn does beyond it
    assert 10 <= left <= 30


def test_hosts_that_a_gateway_may_fetch_from_can_be_reached() -> None:
    def egress(values: dict[str, Any]) -> list[dict[str, Any]]:
        manifests = render({"gateway": {"enabled": True, **values}})
        rules = find(manifests, "NetworkPolicy", "demo-ocrvl-gateway")["spec"]["egress"]
        return [rule for rule in rules if {"port": 443} in rule["ports"]]

    hosts = ["files.example.com", "*.example.org"]
    assert gateway_settings(gateway_of({"gateway": {"enabled": True, "urlHosts": hosts}})).url_hosts == hosts
    (rule,) = egress({"urlHosts": hosts})
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    for private in ("10.0.0.1", "169.254.169.254", "172.20.0.1", "192.168.1.1", "127.0.0.1", "fd00::1", "fe80::1"):
        assert not any(contains(block, private) for block in blocks), private
    for public in ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"):
        assert any(contains(block, public) for block in blocks), public
    assert egress({}) == []


def contains(block: dict[str, Any], address: str) -> bool:
    """Whether an `ipBlock` has this address."""
    inside = ip_address(address)
    return inside in ip_network(block["cidr"]) and not any(
        inside in ip_network(each) for each in block.get("except", [])
    )


def test_names_are_looked_up_in_the_cluster_and_at_node_local_dns() -> None:
    manifests = render({"gateway": {"enabled": True}})
    for name in ("demo-ocrvl", "demo-ocrvl-gateway"):
        rules = find(manifests, "NetworkPolicy", name)["spec"]["egress"]
        (peers,) = (rule["to"] for rule in rules if {"port": 53, "protocol": "UDP"} in rule["ports"])
        assert {"namespaceSelector": {}} in peers
        assert any(contains(peer["ipBlock"], "169.254.20.10") for peer in peers if "ipBlock" in peer)


def test_a_secret_without_an_authority_is_enough_where_the_system_s_are_trusted() -> None:
    values = {"gateway": {"enabled": True}, "tls": {"secretName": "tls", "systemAuthorities": True}}
    spec = gateway_of(values)
    assert (gateway_settings(spec).tls, gateway_settings(spec).ca) == (True, None)
    assert "secret" not in str(spec["volumes"])


def test_probes_are_ours_and_a_slow_answer_is_the_probe_s_own() -> None:
    (server,) = server_of({})["containers"]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = server[name]["exec"]["command"]
        assert command[:2] == ["ocrvl", "probe"]
        (own,) = (float(word.partition("=")[2]) for word in command if word.startswith("--timeout="))
        assert own < server[name]["timeoutSeconds"]
        assert CliRunner().invoke(app, [*command[1:], "--url=127.0.0.1:9", "--metrics-url="]).exit_code == 1
    assert ["--live" in server[name]["exec"]["command"] for name in ("readinessProbe", "livenessProbe")] == [
        False,
        True,
    ]


def test_a_server_that_dies_is_started_again_by_kubernetes_alone() -> None:
    assert "--no-recovery" in arguments({}, "server")


def test_gpus_are_requested_and_engines_put_on_them() -> None:
    values = {"gpus": 4, "gpuResource": "nvidia.com/mig-3g.40gb"}
    (server,) = server_of(values)["containers"]
    assert server["resources"]["limits"]["nvidia.com/mig-3g.40gb"] == 4
    assert "--gpus=0,1,2,3" in arguments(values, "render")
    assert "--engines=1" in arguments(values, "render")
    assert "--engines=2" in arguments({**values, "enginesPerGpu": 2}, "render")
    assert "--parallel=tensor" in arguments({**values, "parallel": "tensor"}, "render")


def test_a_cpu_pod_asks_for_no_gpu() -> None:
    (server,) = server_of({"device": "cpu", "gpus": 2})["containers"]
    assert not any("gpu" in name for name in server["resources"]["limits"])
    assert "--engines=2" in arguments({"device": "cpu", "gpus": 2}, "render")


@pytest.mark.parametrize(
    ("checkpoint", "mode", "fetched"),
    [
        ("PaddlePaddle/PaddleOCR-VL-1.6", "emptyDir", True),
        ("PaddlePaddle/PaddleOCR-VL-1.6", "none", False),
        ("/weights/mine", "claim", False),
        ("nano", "emptyDir", False),
    ],
)
def test_weights_are_fetched_before_the_start_only_from_a_hub(checkpoint: str, mode: str, fetched: bool) -> None:
    manifests = render({"checkpoint": checkpoint, "modelCache": {"mode": mode}})
    spec = find(manifests, "Deployment")["spec"]["template"]["spec"]
    assert ("download" in [one["name"] for one in spec["initContainers"]]) is fetched
    egress = find(manifests, "NetworkPolicy")["spec"]["egress"]
    assert any({"port": 443} in rule.get("ports", []) for rule in egress) is fetched


def test_no_peer_but_the_named_ones_reaches_a_port() -> None:
    for rule in find(render({}), "NetworkPolicy")["spec"]["ingress"]:
        assert rule["from"]
        assert {port["port"] for port in rule["ports"]} <= {"http", "grpc", "metrics"}


def test_with_tls_plain_http_leaves_the_pod_nowhere() -> None:
    manifests = render({"tls": {"secretName": "certificate", "mutual": True}})
    spec = find(manifests, "Deployment")["spec"]["template"]["spec"]
    (server,) = spec["containers"]
    assert "--http-address=127.0.0.1" in server["args"]
    assert "--grpc-use-ssl-mutual=true" in server["args"]
    assert "http" not in [port["name"] for port in server["ports"]]
    assert "http" not in [port["name"] for port in find(manifests, "Service")["spec"]["ports"]]


@pytest.mark.parametrize(("parallel", "engines", "images"), [("data", 1, 180), ("data", 2, 360), ("tensor", 1, 90)])
def test_autoscalers_aim_at_a_share_of_what_a_pod_reads_at_a_time(parallel: str, engines: int, images: int) -> None:
    values: dict[str, Any] = {"gpus": 2, "maxNumSeqs": 128, "parallel": parallel, "enginesPerGpu": engines}
    values["autoscaling"] = {"targetUtilization": 0.705, "kind": "keda"}
    (trigger,) = find(render(values), "ScaledObject")["spec"]["triggers"]
    assert trigger["metadata"]["threshold"] == str(images)
    values["autoscaling"] = {"targetUtilization": 0.705, "kind": "hpa"}
    first, _ = find(render(values), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert first["pods"]["target"] == {"type": "AverageValue", "averageValue": str(images)}


def test_the_chart_s_autoscaling_is_what_the_simulation_recommends() -> None:
    advised = json.loads(Path("deploy/autoscaling.json").read_text("utf-8"))
    manifests = render({"gpus": 1, "maxNumSeqs": advised["max_num_seqs"], "autoscaling": {"kind": "keda"}})
    spec = find(manifests, "ScaledObject")["spec"]
    (signal,) = advised["triggers"]
    assert spec["triggers"][0]["metadata"]["threshold"] == str(signal["target_per_replica"])
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (advised["min_replicas"], advised["max_replicas"])
    moves = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    for way in ("scaleUp", "scaleDown"):
        assert moves[way]["policies"] == advised["behavior"][way]["policies"]
        assert moves[way]["stabilizationWindowSeconds"] == advised["behavior"][way]["stabilizationWindowSeconds"]
    assert f"--queue-size={advised['queue_size']}" in str(manifests)


def test_autoscalers_ask_for_series_that_exist() -> None:
    name = "ocrvl_engine_images_in_flight"
    # which a test of its own holds to the code
    assert f"`{name}`" in Path("docs/metrics.md").read_text("utf-8")
    (trigger,) = find(render({"autoscaling": {"kind": "keda"}}), "ScaledObject")["spec"]["triggers"]
    service = find(render({}), "Service", "demo-ocrvl-pods")
    assert f'{name}{{namespace="ocr", service="{service["metadata"]["name"]}"}}' in trigger["metadata"]["query"]


def test_a_deployment_that_is_scaled_does_not_say_how_many_it_is() -> None:
    assert "replicas" in find(render({}), "Deployment")["spec"]
    assert "replicas" not in find(render({"autoscaling": {"kind": "hpa"}}), "Deployment")["spec"]


def test_an_engine_over_machines_has_all_their_gpus_and_one_leader() -> None:
    values = {"workload": "leaderworkerset", "parallel": "tensor", "gpus": 4, "multiNode": {"machines": 3}}
    template = find(render(values), "LeaderWorkerSet", "demo-ocrvl-engine")["spec"]["leaderWorkerTemplate"]
    for part in ("leaderTemplate", "workerTemplate"):
        (rendering,) = (one for one in template[part]["spec"]["initContainers"] if one["name"] == "render")
        assert {"--engine-arg=tensor_parallel_size=12", "--engine-arg=nnodes=3"} <= set(rendering["args"])
    assert template["size"] == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"maxNumSeq": 4}, "maxNumSeq"),
        ({"gpus": 0}, "gpus"),
        ({"parallel": "pipeline"}, "parallel"),
        ({"enginesPerGpu": 0}, "enginesPerGpu"),
        ({"enginesPerGpu": 2, "parallel": "tensor"}, "set enginesPerGpu: 1"),
        ({"checkpoint": ""}, "checkpoint"),
        ({"engineArgs": {"max_num_seqs": 4}}, "max_num_seqs"),
        ({"sharedMemory": "8"}, "sharedMemory"),
        ({"workload": "leaderworkerset"}, "set parallel: tensor"),
        ({"workload": "kserve", "autoscaling": {"kind": "keda"}}, "autoscaling.kind"),
        ({"autoscaling": {"min": 9, "max": 2}}, "autoscaling.min"),
        ({"tls": {"mutual": True}}, "set tls.secretName"),
        ({"grpcRoute": {"enabled": True}}, "name the Gateway"),
        ({**RECEIPTS, "interfaces": ["unary"]}, "add receipt to interfaces"),
        ({**RECEIPTS, "receipts": {"enabled": True}}, "name Kafka's brokers"),
        ({"receipts": {"brokers": ["kafka://a:9092"]}}, "brokers"),
        ({"modelCache": {"mode": "existingClaim"}}, "name the claim"),
    ],
)
def test_values_that_mean_nothing_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(helm_python.HelmError, match=message):
        render(values)


def test_every_value_has_a_schema_and_the_schema_is_one() -> None:
    def undescribed(values: Any, schema: dict[str, Any], path: str) -> list[str]:
        if not isinstance(values, dict) or "properties" not in schema:
            return []
        known = schema["properties"]
        missing = [f"{path}.{name}" for name in values.keys() - known.keys()]
        return missing + [
            more for name in values.keys() & known for more in undescribed(values[name], known[name], f"{path}.{name}")
        ]

    with helm_python.Chart.load(CHART) as chart:
        assert chart.schema is not None
        jsonschema.Draft7Validator.check_schema(chart.schema)
        assert undescribed(chart.values, chart.schema, "") == []


def test_the_gateway_starts_with_what_the_chart_gives_it(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.touch()
    values = {"gateway": {"enabled": True, "apiKeysSecret": "keys"}, "tls": {"secretName": "tls"}}
    secrets = {"OCRVL_GATEWAY_CA": str(authority), "OCRVL_GATEWAY_API_KEYS": "k" * 32}
    settings = gateway_settings(gateway_of(values), **secrets)
    assert settings.tls
    assert settings.ca == authority
    assert len(settings.api_keys) == 1
    assert settings.server == ["demo-ocrvl-pods:8001"]


def receipts_settings(values: dict[str, Any], part: str, **given: str) -> StoreSettings:
    """What a worker or a front end makes of its pod's environment; `given` is what its secrets hold."""
    spec = find(render(values), "Deployment", f"demo-ocrvl-receipts-{part}")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    variables = {one["name"]: given.get(one["name"], one.get("value", "")) for one in container["env"]}
    assert [*container["command"], *container["args"]] == ["ocrvl", "receipts", part]
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            if name.startswith(RECEIPTS_PREFIX):
                environment.setenv(name, value)
        return read_receipts_settings(WorkerSettings if part == "worker" else FrontSettings, part)


def test_workers_and_front_ends_start_with_what_the_chart_gives_them(tmp_path: Path) -> None:
    properties = tmp_path / "kafka.properties"
    properties.write_text("security.protocol=ssl\n")
    given = {"OCRVL_RECEIPTS_KAFKA_PROPERTIES": str(properties), "OCRVL_RECEIPTS_API_KEYS": "k" * 32}
    worker, front = receipts_settings(RECEIPTS, "worker", **given), receipts_settings(RECEIPTS, "front", **given)
    assert isinstance(worker, WorkerSettings)
    assert isinstance(front, FrontSettings)
    assert worker.server == ["demo-ocrvl-pods:8001"]
    assert len(front.api_keys) == 1
    assert worker.todo == front.todo == "receipts.todo"
    assert (worker.brokers, worker.endpoint) == (front.brokers, front.endpoint)
    assert (worker.metrics_port, front.port) == (9464, 8090)


def test_workers_are_scaled_by_the_lag_of_their_own_group_and_topic_up_to_the_partitions() -> None:
    values = deepcopy(RECEIPTS)
    values["receipts"] |= {"partitions": 6, "kafkaPropertiesSecret": ""}
    spec = find(render(values), "ScaledObject", "demo-ocrvl-receipts-worker")["spec"]
    worker = receipts_settings(values, "worker")
    assert isinstance(worker, WorkerSettings)
    (trigger,) = spec["triggers"]
    assert (trigger["metadata"]["consumerGroup"], trigger["metadata"]["topic"]) == (worker.group, worker.todo)
    assert spec["maxReplicaCount"] == worker.partitions == 6
    assert "replicas" not in find(render(values), "Deployment", spec["scaleTargetRef"]["name"])["spec"]


def test_workers_reach_the_server_and_what_receipts_egress_names() -> None:
    manifests = render(RECEIPTS)
    egress = find(manifests, "NetworkPolicy", "demo-ocrvl-receipts-worker")["spec"]["egress"]
    assert any(rule["ports"] == [{"port": "grpc"}] for rule in egress)
    ingress = find(manifests, "NetworkPolicy")["spec"]["ingress"]
    assert "receipts-worker" in str(ingress)
    assert "receipts" not in str(render({}))


def test_the_images_that_a_worker_holds_fit_into_its_memory() -> None:
    values = deepcopy(RECEIPTS)
    values["receipts"] |= {"kafkaPropertiesSecret": ""}
    worker = receipts_settings(values, "worker")
    assert isinstance(worker, WorkerSettings)
    spec = find(render(values), "Deployment", "demo-ocrvl-receipts-worker")["spec"]["template"]["spec"]
    held = worker.concurrency * worker.max_bytes * FETCHED_COPIES
    assert held + 2**29 <= bytes_of(spec["containers"][0]["resources"]["limits"]["memory"])
