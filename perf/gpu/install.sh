#!/usr/bin/env bash
# Puts the parts of a bundle (perf/gpu/bundle.py) together on the machine that is to use them; see README.md.
#
# OCRVL_GPU_BUNDLE    where parts and manifest arrive, .gpu of this checkout unless set
# OCRVL_GPU_TARGET    where they are collected and unpacked, /tmp/ocrvl-gpu unless set
# OCRVL_GPU_PACKAGES  the folder of that interpreter's packages, which gets a .pth file
# PYTHON              the interpreter that has torch, python3 unless set
#
# Ends with 0 when everything is in place, 3 while parts are missing, 1 when something is wrong. A part that has arrived
# is kept under its checksum, so it need not come again.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bundle=${OCRVL_GPU_BUNDLE:-$repository/.gpu}
target=${OCRVL_GPU_TARGET:-/tmp/ocrvl-gpu}
python=${PYTHON:-python3}

say() { echo "install.sh: $*"; }
fail() {
  say "$*" >&2
  exit 1
}
checksum() { sha256sum "$1" | cut -d ' ' -f 1; }

# Prints "NAME SHA256" for each part of the manifest, or "archive SHA256".
manifest() {
  "$python" - "$target/manifest.json" "$1" << 'PYTHON'
import json
import sys

manifest = json.load(open(sys.argv[1]))
for entry in manifest["parts"] if sys.argv[2] == "parts" else [{"name": "archive", **manifest["archive"]}]:
    print(entry["name"], entry["sha256"])
PYTHON
}

collect() {
  local name sum missing=()
  while read -r name sum; do
    if [[ ! -f $target/parts/$sum ]]; then
      if [[ ! -f $bundle/$name ]]; then
        missing+=("$name")
        continue
      fi
      [[ $(checksum "$bundle/$name") == "$sum" ]] || fail "$name is damaged, or of another bundle than the manifest"
      cp "$bundle/$name" "$target/parts/.arriving"
      mv "$target/parts/.arriving" "$target/parts/$sum"
      say "$name has arrived"
    fi
  done < <(manifest parts)
  if ((${#missing[@]})); then
    say "missing: ${missing[*]}"
    exit 3
  fi
}

unpack() {
  local sum=$1 part archive=$target/site.tar.xz
  while read -r _ part; do
    cat "$target/parts/$part"
  done < <(manifest parts) > "$archive"
  [[ $(checksum "$archive") == "$sum" ]] || fail "the parts do not add up to the archive"
  rm -rf "$target/site" "$target/site.new"
  mkdir "$target/site.new"
  "$python" - "$archive" "$target/site.new" << 'PYTHON'
import sys
import tarfile

with tarfile.open(sys.argv[1]) as archive:
    archive.extractall(sys.argv[2], filter="data")
PYTHON
  # here, on all cores, rather than in each of the server's processes at once; what is not Python 3.12 is of no consequence
  "$python" -m compileall -q -j 0 "$target/site.new" > "$target/compileall.log" 2>&1 || true
  mv "$target/site.new" "$target/site"
  rm -f "$archive"
  echo "$sum" > "$target/installed"
  say "unpacked $target/site"
}

# The checkout as a distribution, so that vLLM finds the plugin, and the environment that has it all.
describe() {
  "$python" - "$repository" "$target" << 'PYTHON'
import ast
import os
import shlex
import sys
import sysconfig
import tomllib
from pathlib import Path

repository, target = Path(sys.argv[1]), Path(sys.argv[2])
project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
tree = ast.parse((repository / "backend/ocrvl/__init__.py").read_text())
(version,) = (
    ast.literal_eval(node.value)
    for node in tree.body
    if isinstance(node, ast.Assign) and [ast.unparse(name) for name in node.targets] == ["__version__"]
)
for old in (target / "site").glob("ocrvl-*.dist-info"):
    for file in old.iterdir():
        file.unlink()
    old.rmdir()
info = target / f"site/ocrvl-{version}.dist-info"
info.mkdir()
(info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ocrvl\nVersion: {version}\n")
groups = project["entry-points"]
lines = [line for group, names in groups.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))]
(info / "entry_points.txt").write_text("\n".join(lines) + "\n")

paths = [target / "site", repository / "backend", repository / "client", repository / "cli", repository]
exports = {"PYTHONPATH": paths}
# NVRTC, which torch loads late and vLLM's allocator links against
if nvrtc := next((found for entry in filter(None, sys.path) for found in Path(entry).glob("nvidia/*/lib/libnvrtc.so.13")), None):
    exports["LD_LIBRARY_PATH"] = [nvrtc.parent]
environment = [
    f"export {name}={shlex.quote(':'.join(map(str, values)))}${{{name}:+:${name}}}\n" for name, values in exports.items()
]
# the server's stub of Python 3.12 is isolated: it finds this interpreter's packages, and nothing of PYTHONPATH
packages = Path(os.environ.get("OCRVL_GPU_PACKAGES") or sysconfig.get_path("purelib"))
if os.access(packages, os.W_OK):
    (packages / "ocrvl-gpu.pth").write_text(f"import sys; sys.path[:0] = {list(map(str, paths))}\n")
# FlashInfer is not packed, and vLLM would import it for sampling
environment.append("export VLLM_USE_FLASHINFER_SAMPLER=0\n")
(target / "env.sh").write_text("".join(environment))
PYTHON
}

mkdir -p "$target/parts"
if [[ -f $bundle/manifest.json ]]; then
  cp "$bundle/manifest.json" "$target/manifest.json"
fi
[[ -f $target/manifest.json ]] || fail "no manifest.json in $bundle"
read -r _ wanted < <(manifest archive)
if [[ ! -d $target/site || $(cat "$target/installed" 2> /dev/null) != "$wanted" ]]; then
  collect
  unpack "$wanted"
fi
describe
say "ready: source $target/env.sh"
