#!/usr/bin/env bash
# Read an image with curl: ./curl.sh scan.png [host:port]
set -euo pipefail
image=$1 url=${2:-localhost:8000}

# one field a tensor; the image as base64 text, from standard input since an argument of a command is short
printf '{"image": "%s", "task": "ocr"}' "$(base64 < "$image" | tr -d '\n')" |
  curl --silent --show-error --fail-with-body --max-time 60 --data-binary @- "http://$url/v2/models/ocr/generate"
echo

# is it ready?
curl --silent --output /dev/null --write-out '%{http_code}\n' "http://$url/v2/health/ready"
