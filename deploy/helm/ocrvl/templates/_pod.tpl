{{- /* Pods of the server. Each template takes a dict of `root`, the chart's context, and `role`: server, leader, worker. */ -}}

{{- define "ocrvl.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "ocrvl.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "ocrvl.mounts" -}}
- {name: repository, mountPath: /repository}
- {name: shared-memory, mountPath: /dev/shm}
- {name: scratch, mountPath: /tmp, subPath: tmp}
- {name: scratch, mountPath: /cache, subPath: cache}
{{- if ne .root.Values.modelCache.mode "none" }}
- {name: models, mountPath: /models}
{{- end }}
{{- if and .root.Values.tls.secretName (ne .role "worker") }}
- {name: tls, mountPath: /tls, readOnly: true}
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ocrvl.volumes" -}}
- {name: repository, emptyDir: {sizeLimit: 64Mi}}
- {name: shared-memory, emptyDir: {medium: Memory, sizeLimit: {{ .root.Values.sharedMemory }}}}
- {name: scratch, emptyDir: {sizeLimit: {{ .root.Values.scratch }}}}
{{- with .root.Values.modelCache }}
{{- if eq .mode "emptyDir" }}
- {name: models, emptyDir: {sizeLimit: {{ .size }}}}
{{- else if ne .mode "none" }}
- {name: models, persistentVolumeClaim: {claimName: {{ include "ocrvl.cacheClaim" $.root }}}}
{{- end }}
{{- end }}
{{- if and .root.Values.tls.secretName (ne .role "worker") }}
- {name: tls, secret: {secretName: {{ .root.Values.tls.secretName }}, defaultMode: 0440}}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ocrvl.env" -}}
- {name: HOME, value: /tmp}
- {name: XDG_CACHE_HOME, value: /cache}
{{- if ne .root.Values.modelCache.mode "none" }}
- {name: HF_HOME, value: /models}
{{- end }}
{{- with .root.Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Fetches the weights, so that a start that fails to says so by itself and the server needs no way out. */ -}}
{{- define "ocrvl.download" -}}
- name: download
  image: {{ include "ocrvl.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [python3, -m, ocrvl.checkpoint, {{ .root.Values.checkpoint | quote }}]
  securityContext: {{ include "ocrvl.containerSecurity" .root | nindent 4 }}
  env:
    {{- include "ocrvl.env" . | nindent 4 }}
    {{- with .root.Values.modelCache.tokenSecret }}
    - {name: HF_TOKEN, valueFrom: {secretKeyRef: {name: {{ . }}, key: HF_TOKEN}}}
    {{- end }}
  volumeMounts: {{ include "ocrvl.mounts" . | nindent 4 }}
  resources:
    requests: {cpu: "1", memory: 1Gi}
    limits: {memory: 2Gi}
{{- end -}}

{{- define "ocrvl.render" -}}
{{- $values := .root.Values -}}
- name: render
  image: {{ include "ocrvl.image" .root }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  command: [ocrvl, repository, /repository, --force]
  args:
    - --checkpoint={{ $values.checkpoint }}
    - --device={{ $values.device }}
    {{- if eq $values.device "gpu" }}
    - --gpus={{ until (int $values.gpus) | join "," }}
    - --engines={{ int $values.enginesPerGpu }}
    {{- else }}
    - --engines={{ $values.gpus }}
    {{- end }}
    - --parallel={{ $values.parallel }}
    {{- range $values.interfaces }}
    - --interface={{ . }}
    {{- end }}
    - --max-num-seqs={{ int $values.maxNumSeqs }}
    - --preprocess-instances={{ int $values.preprocessInstances }}
    {{- range $option, $value := dict "max-model-len" $values.maxModelLen "dtype" $values.dtype "gpu-memory-utilization" $values.gpuMemoryUtilization "queue-size" $values.queueSize "queue-timeout-seconds" $values.queueTimeoutSeconds "document-queue-size" $values.documentQueueSize "max-documents" $values.maxDocuments "max-request-bytes" $values.maxRequestBytes "max-file-bytes" $values.maxFileBytes }}
    {{- if not (kindIs "invalid" $value) }}
    # numbers of values are floats to Helm, which prints large ones with an exponent
    - --{{ $option }}={{ if and (kindIs "float64" $value) (eq $value (floor $value)) }}{{ int64 $value }}{{ else }}{{ $value }}{{ end }}
    {{- end }}
    {{- end }}
    {{- if ne .role "server" }}
    # vLLM's own way over several machines: ranks of one engine, by multiprocessing on each of them
    - --engine-arg=distributed_executor_backend=mp
    - --engine-arg=tensor_parallel_size={{ mul (int $values.gpus) (int $values.multiNode.machines) }}
    - --engine-arg=nnodes={{ int $values.multiNode.machines }}
    - --engine-arg=master_addr=$(LWS_LEADER_ADDRESS)
    - --engine-arg=master_port={{ int $values.multiNode.port }}
    {{- end }}
    {{- range $name, $value := $values.engineArgs }}
    - {{ printf "--engine-arg=%s=%s" $name (toJson $value) | quote }}
    {{- end }}
  securityContext: {{ include "ocrvl.containerSecurity" .root | nindent 4 }}
  env: {{ include "ocrvl.env" . | nindent 4 }}
  volumeMounts: {{ include "ocrvl.mounts" . | nindent 4 }}
  resources:
    requests: {cpu: "1", memory: 512Mi}
    limits: {memory: 2Gi}
{{- end -}}

{{- define "ocrvl.resources" -}}
{{- $resources := deepCopy .root.Values.resources -}}
{{- if eq .root.Values.device "gpu" -}}
{{- $gpus := dict .root.Values.gpuResource (int .root.Values.gpus) -}}
{{- $resources = merge (dict "limits" $gpus) $resources -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{- define "ocrvl.serverArgs" -}}
- serve
- --model-repository=/repository
- --host=0.0.0.0
- --exit-timeout={{ int .root.Values.shutdown.exit }}
# what dies ends the container: it is Kubernetes that starts again, and the startup probe that waits
- --no-recovery
{{- with .root.Values.tls }}
{{- if .secretName }}
- --
- --http-address=127.0.0.1
- --grpc-use-ssl=true
- --grpc-use-ssl-mutual={{ .mutual }}
- --grpc-server-cert=/tls/tls.crt
- --grpc-server-key=/tls/tls.key
{{- if .mutual }}
- --grpc-root-cert=/tls/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Ready: requests can be taken. Alive: a restart would not help; a pod that is full or busy is both or the latter. */ -}}
{{- define "ocrvl.probes" -}}
{{- $busy := .root.Values.probes.busySeconds -}}
startupProbe:
  exec: {command: [ocrvl, probe, --timeout=10]}
  periodSeconds: 10
  timeoutSeconds: 15
  failureThreshold: {{ max 1 (div (int .root.Values.probes.startupSeconds) 10) }}
readinessProbe:
  exec: {command: [ocrvl, probe, --timeout=5, --busy-seconds={{ $busy }}]}
  periodSeconds: 5
  timeoutSeconds: 10
  failureThreshold: 2
livenessProbe:
  exec: {command: [ocrvl, probe, --live, --timeout=10, --busy-seconds={{ $busy }}]}
  periodSeconds: 20
  timeoutSeconds: 15
  failureThreshold: 3
{{- end -}}

{{- define "ocrvl.server" -}}
- name: {{ .name | default "server" }}
  image: {{ include "ocrvl.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [ocrvl]
  args: {{ include "ocrvl.serverArgs" . | nindent 4 }}
  securityContext: {{ include "ocrvl.containerSecurity" .root | nindent 4 }}
  env:
    {{- include "ocrvl.env" . | nindent 4 }}
    {{- if include "ocrvl.fromHub" .root }}
    # fetched by now; the server connects to no hub
    - {name: HF_HUB_OFFLINE, value: "1"}
    {{- end }}
  ports:
    {{- if not .root.Values.tls.secretName }}
    - {name: http, containerPort: 8000}
    {{- end }}
    - {name: grpc, containerPort: 8001}
    - {name: metrics, containerPort: 8002}
  {{- include "ocrvl.probes" . | nindent 2 }}
  lifecycle:
    preStop: {sleep: {seconds: {{ int .root.Values.shutdown.preStop }}}}
  resources: {{ include "ocrvl.resources" . | nindent 4 }}
  volumeMounts: {{ include "ocrvl.mounts" . | nindent 4 }}
{{- end -}}

{{- /* The other machines of an engine: ranks without a server, which end when the first one does. */ -}}
{{- define "ocrvl.worker" -}}
- name: worker
  image: {{ include "ocrvl.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [python3, -m, ocrvl.models.engine.headless_worker]
  args: [/repository/paddleocr_vl/1/model.json, --node-rank=$(LWS_WORKER_INDEX)]
  securityContext: {{ include "ocrvl.containerSecurity" .root | nindent 4 }}
  env:
    {{- include "ocrvl.env" . | nindent 4 }}
    {{- if include "ocrvl.fromHub" .root }}
    - {name: HF_HUB_OFFLINE, value: "1"}
    {{- end }}
  resources: {{ include "ocrvl.resources" . | nindent 4 }}
  volumeMounts: {{ include "ocrvl.mounts" . | nindent 4 }}
{{- end -}}

{{- define "ocrvl.podSpec" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "ocrvl.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add (int $values.shutdown.preStop) (int $values.shutdown.exit) 20 }}
securityContext: {{ include "ocrvl.podSecurity" .root | nindent 2 }}
{{- with $values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- if eq $values.device "gpu" }}
{{- with $values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with $values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- if and $values.topologySpread (eq .role "server") }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {{ include "ocrvl.serverSelector" $.root | fromYaml | toJson }}}
  {{- end }}
{{- end }}
initContainers:
  {{- if include "ocrvl.fromHub" .root }}
  {{- include "ocrvl.download" . | nindent 2 }}
  {{- end }}
  {{- include "ocrvl.render" . | nindent 2 }}
containers:
  {{- if eq .role "worker" }}
  {{- include "ocrvl.worker" . | nindent 2 }}
  {{- else }}
  {{- include "ocrvl.server" . | nindent 2 }}
  {{- end }}
volumes: {{ include "ocrvl.volumes" . | nindent 2 }}
{{- end -}}

{{- define "ocrvl.podMetadata" -}}
labels:
  {{- include "ocrvl.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ ternary "worker" "server" (eq .role "worker") }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
