#!/usr/bin/env bash
# Read a picture with curl: ./curl.sh scan.png [host:port]
set -euo pipefail
picture=$1 url=${2:-localhost:8000}

# one field a tensor; the picture as base64 text, from standard input since an argument of a command is short
printf '{"image": "%s", "task": "ocr"}' "$(base64 < "$picture" | tr -d '\n')" |
  curl --silent --show-error --fail-with-body --max-time 60 --data-binary @- "http://$url/v2/models/ocr/generate"
echo

# is it ready?
curl --silent --output /dev/null --write-out '%{http_code}\n' "http://$url/v2/health/ready"
